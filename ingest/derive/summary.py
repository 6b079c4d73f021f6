"""One bucket's readings as a rollup and as segments.

Every figure belongs to a step, from one reading to the next, and a step belongs to the bucket in which it
ends. So the first step of a bucket needs what was last known before it (`Last`), and buckets add up without
a seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.derive.segments import Box, Kind, Place, Segment, compress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.derive.rules import Rules
    from ingest.derive.track import Floats, Track

EARTH_M: Final = 6_371_008.8  # mean radius (IUGG)
_UNDECIDED: Final = -1

Bools = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]


class Last(msgspec.Struct, frozen=True, array_like=True):
    """What was last known after a reading: its time, and of each signal the last value (None: none yet)."""

    us: int
    position_us: int | None = None
    lat: float | None = None
    lon: float | None = None
    speed_us: int | None = None
    speed: float | None = None
    ignition: float | None = None
    soc: float | None = None
    fuel: float | None = None


class Rollup(msgspec.Struct, frozen=True):
    """The figures of one bucket; times in µs since 1970, m, s, km/h, percent points of charge and fuel."""

    count: int
    first_us: int
    last_us: int
    distance_m: float
    moving_s: float
    speed_count: int
    speed_sum: float
    speed_min: float | None
    speed_max: float | None
    soc_used: float
    soc_charged: float
    fuel_used: float
    fuel_filled: float


class Summary(msgspec.Struct, frozen=True):
    """All that is kept of a bucket."""

    rollup: Rollup
    segments: list[Segment]
    last: Last


@dataclass(frozen=True, slots=True)
class _Steps:
    """What each reading's step is: seconds, kind, metres, and the changes of charge and fuel."""

    seconds: Floats
    kinds: Kinds
    distance: Floats
    off: Bools
    soc: Floats
    fuel: Floats


def summarise(before: Last | None, track: Track, rules: Rules) -> Summary:
    """One bucket.

    Args:
        before: what was last known before it; None: these are the vehicle's first readings.
        track: its readings, at least one.
        rules: the parameters.
    """
    known = _Known(before, track, rules)
    steps = known.steps()
    given = track.speed[~np.isnan(track.speed)]
    rollup = Rollup(
        count=len(track),
        first_us=int(track.times_us[0]),
        last_us=int(track.times_us[-1]),
        distance_m=float(steps.distance.sum()),
        moving_s=float(steps.seconds[steps.kinds == Kind.MOVING].sum()),
        speed_count=len(given),
        speed_sum=float(given.sum()),
        speed_min=float(given.min()) if len(given) else None,
        speed_max=float(given.max()) if len(given) else None,
        soc_used=_falls(steps.soc),
        soc_charged=_falls(-steps.soc),
        fuel_used=_falls(steps.fuel),
        fuel_filled=_falls(-steps.fuel),
    )
    return Summary(rollup, compress(known.runs(steps), rules), known.last())


class _Known:
    """After each reading, what is known then. Row 0 is `before`, or the first reading where there is none."""

    def __init__(self, before: Last | None, track: Track, rules: Rules) -> None:
        self._rules = rules
        good = ~np.isnan(track.lat) & ~np.isnan(track.lon) & ~(track.acc > rules.max_acc_m)
        first = before or Last(int(track.times_us[0]))
        whole = before is not None  # the first reading has a step of its own
        self.us = np.concatenate([[first.us], track.times_us]) if whole else track.times_us
        self.own = np.concatenate([[False], good]) if whole else good

        def column(held: float | None, values: Floats) -> Floats:
            return np.concatenate([[np.nan if held is None else held], values]) if whole else values

        at_s = (track.times_us - self.us[0]) / 1e6
        held = None if first.position_us is None else (first.position_us - first.us) / 1e6
        position_s = column(held, np.where(good, at_s, np.nan))
        has_position = ~np.isnan(position_s)
        self.position_s = _fill(position_s, has_position)
        self.lat = _fill(column(first.lat, track.lat), has_position)
        self.lon = _fill(column(first.lon, track.lon), has_position)
        speeds = column(first.speed, track.speed)
        held = None if first.speed_us is None else (first.speed_us - first.us) / 1e6
        speed_s = column(held, at_s)
        self.speed_s = _fill(speed_s, ~np.isnan(speeds))
        self.speed = _fill(speeds, ~np.isnan(speeds))
        self.ignition, self.soc, self.fuel = (
            _fill(values, ~np.isnan(values))
            for values in (
                column(first.ignition, track.ignition),
                column(first.soc, track.soc),
                column(first.fuel, track.fuel),
            )
        )

    def steps(self) -> _Steps:
        """The steps between the rows."""
        rules = self._rules
        at_s = (self.us - self.us[0]) / 1e6
        seconds = np.diff(at_s)
        with np.errstate(invalid="ignore"):  # comparisons with NaN are false, as they should be
            metres = _step_lengths(self.lat, self.lon)
            apart_s = np.maximum(np.diff(self.position_s), 1.0)
            seen = self.own[1:] & (metres <= rules.max_kmh / 3.6 * apart_s)
            off = (self.ignition[:-1] == 0) & (self.ignition[1:] == 0)
            held = np.where(at_s - self.speed_s <= rules.hold_s, np.abs(self.speed), np.nan)
            top = np.fmax(held[:-1], held[1:])
            brief = seconds <= rules.hold_s
            fast = metres / apart_s * 3.6 >= rules.moving_kmh
            silent = seconds > rules.gap_s
            left = silent & ~(self._next_place() <= rules.same_place_m) if silent.any() else silent
            by_speed = np.where(np.isnan(top), _UNDECIDED, top >= rules.moving_kmh)
            kinds = np.select(
                [
                    left,
                    off | silent,
                    brief & ~np.isnan(top),
                    brief & seen,
                    seen,
                ],
                [
                    np.full(len(seconds), Kind.UNKNOWN),
                    np.full(len(seconds), Kind.STILL),
                    by_speed,
                    fast,
                    fast | (metres > rules.same_place_m),
                ],
                by_speed,
            )
        kinds = _decide(kinds.astype(np.int8))
        distance = np.where((kinds == Kind.MOVING) & seen, metres, 0.0)
        return _Steps(
            seconds, kinds, distance, off, np.nan_to_num(np.diff(self.soc)), np.nan_to_num(np.diff(self.fuel))
        )

    def runs(self, steps: _Steps) -> Sequence[Segment]:
        """Neighbouring steps of a kind as segments."""
        kinds = steps.kinds
        if not len(kinds):
            return []
        starts = np.concatenate([[0], np.flatnonzero(np.diff(kinds)) + 1])
        ends = np.concatenate([starts[1:], [len(kinds)]])

        def total(values: Floats) -> list[float]:
            sums: list[float] = np.add.reduceat(values, starts).tolist()
            return sums

        moving = kinds == Kind.MOVING
        speeds = np.where(moving & self._given(), np.abs(self.speed[1:]), np.nan)
        south, north = np.fmin(self.lat[:-1], self.lat[1:]), np.fmax(self.lat[:-1], self.lat[1:])
        west, east = np.fmin(self.lon[:-1], self.lon[1:]), np.fmax(self.lon[:-1], self.lon[1:])
        return [
            Segment(Kind(kind), *rest)
            for kind, *rest in zip(
                kinds[starts].tolist(),
                self.us[starts].tolist(),
                self.us[ends].tolist(),
                self._places(starts),
                self._places(ends),
                _boxes(
                    np.fmin.reduceat(south, starts),
                    np.fmin.reduceat(west, starts),
                    np.fmax.reduceat(north, starts),
                    np.fmax.reduceat(east, starts),
                ),
                total(steps.distance),
                total(np.where(moving, steps.seconds, 0.0)),
                total(np.where(steps.off, steps.seconds, 0.0)),
                _values(np.fmax.reduceat(speeds, starts)),
                total(np.maximum(-steps.soc, 0.0)),
                total(np.maximum(steps.soc, 0.0)),
                total(np.maximum(-steps.fuel, 0.0)),
                total(np.maximum(steps.fuel, 0.0)),
                strict=True,
            )
        ]

    def last(self) -> Last:
        """What is known after the last row."""
        us = int(self.us[-1])

        def at(seconds: float) -> int | None:
            return None if np.isnan(seconds) else int(self.us[0]) + round(seconds * 1e6)

        def value(values: Floats) -> float | None:
            return None if np.isnan(values[-1]) else float(values[-1])

        return Last(
            us,
            at(self.position_s[-1]),
            value(self.lat),
            value(self.lon),
            at(self.speed_s[-1]),
            value(self.speed),
            value(self.ignition),
            value(self.soc),
            value(self.fuel),
        )

    def _places(self, rows: Rows) -> list[Place | None]:
        return [
            None if lat is None or lon is None else (lat, lon)
            for lat, lon in zip(_values(self.lat[rows]), _values(self.lon[rows]), strict=True)
        ]

    def _given(self) -> Bools:
        """Whether the reading at a step's end has a speed itself."""
        at_s = (self.us - self.us[0]) / 1e6
        given: Bools = self.speed_s[1:] == at_s[1:]
        return given

    def _next_place(self) -> Floats:
        """Metres from each row's place to the next position that is heard: a receiver may need a while."""
        rows = len(self.us)
        following = np.minimum.accumulate(np.where(self.own, np.arange(rows), rows)[::-1])[::-1][1:]
        lat, lon = np.append(self.lat, np.nan)[following], np.append(self.lon, np.nan)[following]
        return great_circle(self.lat[:-1], self.lon[:-1], lat, lon)


def great_circle(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Metres between places in degrees, on a sphere (haversine)."""
    lat1, lon1, lat2, lon2 = (np.radians(values) for values in (lat1, lon1, lat2, lon2))
    return _haversine(lat2 - lat1, lon2 - lon1, np.cos(lat1) * np.cos(lat2))


def _step_lengths(lat: Floats, lon: Floats) -> Floats:
    """Metres from each place to the next one: `great_circle` with half of the work."""
    lat, lon = np.radians(lat), np.radians(lon)
    cos = np.cos(lat)
    return _haversine(lat[1:] - lat[:-1], lon[1:] - lon[:-1], cos[:-1] * cos[1:])


def _haversine(north: Floats, east: Floats, cosines: Floats) -> Floats:
    half = np.sin(north / 2) ** 2 + cosines * np.sin(east / 2) ** 2
    metres: Floats = 2 * EARTH_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return metres


def _fill(values: Floats, has: Bools) -> Floats:
    """The last value that there was, at each row."""
    filled: Floats = values[np.maximum.accumulate(np.where(has, np.arange(len(values)), 0))]
    return filled


def _decide(kinds: Kinds) -> Kinds:
    """A step that says nothing of motion is what the next one is that does; still where none does."""
    steps = len(kinds)
    following = np.minimum.accumulate(np.where(kinds >= 0, np.arange(steps), steps)[::-1])[::-1]
    decided: Kinds = np.append(kinds, Kind.STILL).astype(np.int8)[following]
    # An unknown time ahead says nothing of the time before it.
    return np.where((kinds < 0) & (decided == Kind.UNKNOWN), Kind.STILL, decided).astype(np.int8)


def _values(column: Floats) -> list[float | None]:
    """NaN is none."""
    return [None if np.isnan(value) else value for value in column.tolist()]


def _boxes(*sides: Floats) -> list[Box | None]:
    """South, west, north and east of each run; none where it has no position."""
    found = zip(*(side.tolist() for side in sides), strict=True)
    return [None if np.isnan(south) else (south, west, north, east) for south, west, north, east in found]


def _falls(changes: Floats) -> float:
    return float(np.maximum(-changes, 0.0).sum())
