"""Distances as counts in classes that grow by 2 %: a bounded record of any number of them. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_STEP: Final = math.log(1.02)
_EARTH_M: Final = 6_371_008.8  # mean radius, WGS 84

# Age of a shown position, upper bounds in seconds; what is older is in the last class.
AGES: Final = (
    (1.0, "0 to 1 s"),
    (2.0, "1 to 2 s"),
    (5.0, "2 to 5 s"),
    (30.0, "5 to 30 s"),
    (120.0, "30 to 120 s"),
)
OLDEST: Final = "over 120 s"


def metres(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Between two places in degrees: along the sphere, good to 0.5 %."""
    dlat, dlon = math.radians(other_lat - lat), math.radians(other_lon - lon)
    a = (
        math.sin(dlat / 2) ** 2
        + math.cos(math.radians(lat)) * math.cos(math.radians(other_lat)) * math.sin(dlon / 2) ** 2
    )
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(a)))


def class_of(distance_m: float) -> int:
    """The class of a distance: 0 up to 2 cm, then growing by 2 % (and 2 cm)."""
    return int(math.log1p(max(distance_m, 0.0)) / _STEP)


def middle_m(number: int) -> float:
    """The middle of a class, m."""
    return math.expm1((number + 0.5) * _STEP)


def age_class(age_s: float) -> str:
    """The class of an age."""
    return next((name for bound, name in AGES if age_s <= bound), OLDEST)


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """What this share (0 to 1) of the distances does not exceed, m, to 1 % and 1 cm; None: there are none."""
    wanted = share * sum(counts.values())
    reached = 0
    for number in sorted(counts):
        reached += counts[number]
        if reached >= wanted:
            return middle_m(number)
    return None
