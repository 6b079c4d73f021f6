"""What a vehicle does between its first and its last reading, as segments that join without a seam."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.derive.rules import Rules

Place = tuple[float, float]  # lat, lon in degrees
Box = tuple[float, float, float, float]  # south, west, north, east in degrees


class Kind(IntEnum):
    """What a segment is."""

    STILL = 0
    MOVING = 1
    UNKNOWN = 2  # silent for long, and then somewhere else


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """From one reading to a later one: µs since 1970, m, s, km/h, and percent points of charge and fuel."""

    kind: Kind
    start_us: int
    end_us: int
    start: Place | None
    end: Place | None
    box: Box | None
    distance_m: float
    moving_s: float
    off_s: float  # with the ignition off
    speed_max: float | None
    soc_used: float
    soc_charged: float
    fuel_used: float
    fuel_filled: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_us - self.start_us) / 1e6


def join(first: Segment | None, then: Segment | None, kind: Kind) -> Segment | None:
    """Both as one of this kind; the second begins where the first ends."""
    if first is None or then is None:
        only = first or then
        return only and msgspec.structs.replace(only, kind=kind)
    return Segment(
        kind,
        first.start_us,
        then.end_us,
        first.start or then.start,
        then.end or first.end,
        _around(first.box, then.box),
        first.distance_m + then.distance_m,
        first.moving_s + then.moving_s,
        first.off_s + then.off_s,
        max(
            (speed for speed in (first.speed_max, then.speed_max) if speed is not None),
            default=None,
        ),
        first.soc_used + then.soc_used,
        first.soc_charged + then.soc_charged,
        first.fuel_used + then.fuel_used,
        first.fuel_filled + then.fuel_filled,
    )


def ends_trip(rest: Segment, rules: Rules) -> bool:
    """Whether standing like this is more than traffic."""
    return rest.seconds >= rules.stop_s or rest.off_s >= rules.parked_s


def compress(runs: Iterable[Segment], rules: Rules) -> list[Segment]:
    """The same with what belongs together in one: neighbours of a kind, and a drive around a short rest."""
    found: list[Segment] = []
    for run in runs:
        now = run
        if (
            now.kind is Kind.MOVING
            and len(found) >= 2
            and found[-2].kind is Kind.MOVING
            and found[-1].kind is Kind.STILL
            and not ends_trip(found[-1], rules)
        ):
            now = _joined(found.pop(), now)
        if found and found[-1].kind is now.kind:
            now = _joined(found.pop(), now)
        found.append(now)
    return found


def _joined(first: Segment, then: Segment) -> Segment:
    both = join(first, then, then.kind)
    assert both is not None
    return both


def _around(first: Box | None, then: Box | None) -> Box | None:
    if first is None or then is None:
        return first or then
    return (
        min(first[0], then[0]),
        min(first[1], then[1]),
        max(first[2], then[2]),
        max(first[3], then[3]),
    )
