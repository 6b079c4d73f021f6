"""Figures of a list of numbers. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spread(msgspec.Struct, frozen=True):
    """Of how many, median, 95th percentile and largest, in the unit that the field's name ends with."""

    n: int
    p50: float
    p95: float
    max: float


def spread(values: Sequence[float], digits: int = 3) -> Spread | None:
    """None where there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(
        len(ordered),
        round(nearest(ordered, 0.5), digits),
        round(nearest(ordered, 0.95), digits),
        round(ordered[-1], digits),
    )


def nearest(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of ascending numbers: the least that `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
