"""Trips and stops from segments: a fold that can stop after any bucket and go on from there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from ingest.derive.segments import Kind, Segment, ends_trip, join
from ingest.derive.summary import EARTH_M

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.derive.rules import Rules


class Journey(msgspec.Struct, frozen=True, array_like=True):
    """What is under way: a stop, a drive after it that may yet turn out too short, and a rest after that."""

    stop: Segment | None = None
    drive: Segment | None = None
    rest: Segment | None = None


NOTHING: Final = Journey()


def advance(journey: Journey, segments: Iterable[Segment], rules: Rules) -> tuple[Journey, list[Segment]]:
    """Go on with the segments that follow.

    Returns:
        What is under way then, and the trips (kind MOVING) and stops (kind STILL) that ended, in order.
    """
    ended: list[Segment] = []
    for segment in segments:
        match segment.kind:
            case Kind.STILL if journey.drive is None:
                journey = Journey(join(journey.stop, segment, Kind.STILL))
            case Kind.STILL:
                rest = join(journey.rest, segment, Kind.STILL)
                journey = Journey(journey.stop, journey.drive, rest)
                if rest is not None and ends_trip(rest, rules):
                    journey = _arrive(journey, ended, rules)
            case Kind.MOVING:
                before = join(journey.drive, journey.rest, Kind.MOVING)
                journey = Journey(journey.stop, join(before, segment, Kind.MOVING))
                if is_trip(journey.drive, rules):
                    _add_stop(journey.stop, ended, rules)
                    journey = Journey(None, journey.drive)
            case Kind.UNKNOWN:
                _add_stop(_arrive(journey, ended, rules).stop, ended, rules)
                journey = NOTHING
    return journey, ended


def under_way(journey: Journey, rules: Rules) -> Segment | None:
    """The trip or stop that goes on for all that is known, or None."""
    if is_trip(journey.drive, rules):
        return journey.drive
    stop = _without_drive(journey)
    return stop if stop is not None and stop.seconds >= rules.parked_s else None


def is_trip(drive: Segment | None, rules: Rules) -> bool:
    """Whether a drive is long enough, in time and from corner to corner of the box around it."""
    return (
        drive is not None and drive.seconds >= rules.least_trip_s and _diagonal_m(drive) >= rules.least_trip_m
    )


def _arrive(journey: Journey, ended: list[Segment], rules: Rules) -> Journey:
    """The drive is over: a trip, or else a part of the stop around it."""
    if journey.drive is not None and is_trip(journey.drive, rules):
        ended.append(journey.drive)
        return Journey(journey.rest)
    return Journey(_without_drive(journey))


def _without_drive(journey: Journey) -> Segment | None:
    return join(join(journey.stop, journey.drive, Kind.STILL), journey.rest, Kind.STILL)


def _add_stop(stop: Segment | None, ended: list[Segment], rules: Rules) -> None:
    if stop is not None and stop.seconds >= rules.parked_s:
        ended.append(stop)


def _diagonal_m(segment: Segment) -> float:
    if segment.box is None:
        return segment.distance_m
    south, west, north, east = (math.radians(side) for side in segment.box)
    half = (
        math.sin((north - south) / 2) ** 2
        + math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    )
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))
