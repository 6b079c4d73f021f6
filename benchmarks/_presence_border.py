"""Drives over the border between two regions, and whether the frame followed them. Pure.

A move is of the moment at which a unit's position says, by the directory and with its hysteresis, that
another region serves it from here on. That is when the unit decides to be handed over.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from fleetcell.contract.directory import Regions
    from vehicle_sim.score.presence import Shown

SPEED_M_S: Final = 30.0
REACH_M: Final = 225.0  # to each side of the border: well beyond the hysteresis
PASS_S: Final = 2 * REACH_M / SPEED_M_S  # from one end to the other
_DEGREE_M: Final = 111_195.0  # of latitude
_STEP_S: Final = 0.25
_TRIES: Final = 100  # for a track


class Track(msgspec.Struct, frozen=True):
    """There and back, from west to east, across the border at a position in degrees."""

    lat: float
    lon: float
    begins_s: float  # how far into it a vehicle begins

    def place(self, after_s: float) -> tuple[float, float]:
        """Where a vehicle is after a time: latitude and longitude."""
        passes = (self.begins_s + after_s) / PASS_S % 2.0
        eastward = 2.0 * passes - 1.0 if passes < 1.0 else 3.0 - 2.0 * passes
        return self.lat, self.lon + eastward * REACH_M / (_DEGREE_M * math.cos(math.radians(self.lat)))


class Move(NamedTuple):
    """A unit decides for a region, or is there."""

    at: float
    region: str | None


# -- the drives --------------------------------------------------------------------------------------


def make_tracks(
    regions: Regions, bounds: tuple[float, float, float, float], count: int, rng: random.Random
) -> list[Track]:
    """Tracks over the border of two regions that share an area from west to east.

    Args:
        regions: the two.
        bounds: of the area: west, south, east, north in degrees.
        count: of tracks.
        rng: says where they are.

    Raises:
        ValueError: hardly any line crosses the border once.
    """
    west, south, east, north = bounds
    found: list[Track] = []
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        lat = rng.uniform(south, north)
        track = Track(lat, border(regions, lat, west, east), rng.uniform(0.0, 2.0 * PASS_S))
        if moves_of(regions, track) == 2:  # cells have corners: some lines cross more often
            found.append(track)
    if len(found) < count:
        raise ValueError(f"{len(found)} of {count} tracks over the border of the regions")
    return found


def border(regions: Regions, lat: float, west: float, east: float) -> float:
    """The longitude, in degrees, at which the region of the west ends."""
    home = regions.at(lat, west)
    while east - west > 1e-5:
        middle = (west + east) / 2.0
        if regions.at(lat, middle) == home:
            west = middle
        else:
            east = middle
    return west


def moves_of(regions: Regions, track: Track) -> int:
    """How often a unit changes its region, there and back."""
    whole = Track(track.lat, track.lon, 0.0)
    served = [regions.at(*whole.place(0.0))]
    for step in range(round(2.0 * PASS_S / _STEP_S) + 1):
        held = served[-1]
        served.append(regions.serving(*whole.place(step * _STEP_S), held) or held)
    return sum(before != after for before, after in pairwise(served))


# -- what followed -----------------------------------------------------------------------------------


def delays(moves: Sequence[Move], arrivals: Sequence[Move]) -> list[float | None]:
    """From each move of a unit to its arrival there, seconds; None where the next move came first."""
    found: list[float | None] = []
    for move, after in pairwise([*moves, Move(math.inf, None)]):
        between = (there for there in arrivals if move.at <= there.at < after.at)
        first = next((there.at for there in between if there.region == move.region), None)
        found.append(None if first is None else first - move.at)
    return found


def astray(moves: Sequence[Move], shown: Iterable[Shown]) -> int:
    """How many changes show a unit in another region than the one it is in, or the one it moves to.

    Once it is shown where it moves to, the region it left is another one: a change that names it
    would have the unit in two regions.
    """
    found = 0
    here: str | None = None
    for change in shown:
        aim = next((move.region for move in reversed(moves) if move.at <= change.at), here)
        if here is None or change.region == aim:
            here = change.region
        found += change.region != here
    return found
