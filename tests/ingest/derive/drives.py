"""Readings of made-up drives, and a database in memory that derives from them as the worker does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from ingest.derive.chain import START, Changes, Derived, State, rederive
from ingest.derive.rules import BUCKET_US, Rules
from ingest.derive.segments import Segment
from ingest.derive.summary import EARTH_M, Rollup
from ingest.derive.track import Track

NAN = math.nan
START_US = 1_763_625_600_000_000  # 2025-11-20 08:00 UTC, where a bucket begins
RULES = Rules()


class Reading(NamedTuple):
    """One reading: µs since 1970, degrees, m, km/h, 0 or 1, %; NaN where it does not have the signal."""

    us: int
    lat: float = NAN
    lon: float = NAN
    acc: float = NAN
    speed: float = NAN
    ignition: float = NAN
    soc: float = NAN
    fuel: float = NAN


class Phase(NamedTuple):
    """So many seconds at this speed (km/h), a reading every `every_s`; 0 km/h and ignition 0 is parked."""

    seconds: int
    kmh: float
    ignition: float = 1.0
    every_s: int = 1
    silent: bool = False


def drive(*phases: Phase, start_us: int = START_US) -> list[Reading]:
    """The readings of the phases, one after the other, driving north from 60 N 25 E."""
    readings: list[Reading] = []
    us, metres = start_us, 0.0
    for phase in phases:
        for _ in range(phase.seconds // phase.every_s):
            us += phase.every_s * 1_000_000
            metres += phase.kmh / 3.6 * phase.every_s
            if not phase.silent:
                lat = 60 + math.degrees(metres / EARTH_M)
                readings.append(
                    Reading(us, lat, 25.0, 5.0, phase.kmh, phase.ignition, 80 - metres / 5000, 50.0)
                )
    return readings


def track(readings: Iterable[Reading]) -> Track:
    """In the order of time."""
    us, *columns = zip(*sorted(readings), strict=True)
    return Track(np.array(us, dtype=np.int64), *(np.array(column, dtype=float) for column in columns))


def by_bucket(readings: Iterable[Reading]) -> dict[int, list[Reading]]:
    """By bucket number."""
    found: dict[int, list[Reading]] = {}
    for reading in readings:
        found.setdefault(reading.us // BUCKET_US, []).append(reading)
    return found


def at_once(readings: Iterable[Reading], rules: Rules = RULES) -> Changes:
    """Everything derived from all readings, in one go."""
    tracks = {number: track(found) for number, found in by_bucket(readings).items()}
    changes = rederive(START, [], tracks, rules, complete=True)
    assert changes is not None
    return changes


def journeys(changes: Changes) -> list[Segment]:
    """The trips and stops that ended, in order, and the one under way."""
    ended = [segment for number in sorted(changes.ended) for segment in changes.ended[number]]
    return ended + ([changes.open] if changes.open else [])


@dataclass
class Memory:
    """The tables of one vehicle."""

    rules: Rules = RULES
    page: int = 2
    readings: set[Reading] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)
    rollups: dict[int, tuple[Rollup, list[Segment], State]] = field(default_factory=dict)
    ended: dict[int, list[Segment]] = field(default_factory=dict)
    open: Segment | None = None

    def arrive(self, batch: Iterable[Reading]) -> None:
        """Store what is new, and mark its buckets."""
        new = set(batch) - self.readings
        self.readings |= new
        self.dirty |= {reading.us // BUCKET_US for reading in new}

    def derive(self, numbers: Sequence[int]) -> None:
        """Derive these buckets, as one transaction of the worker does."""
        stored = by_bucket(self.readings)
        tracks = {number: track(stored[number]) if number in stored else None for number in numbers}
        first = min(numbers)
        earlier = [number for number in self.rollups if number < first]
        before = self.rollups[max(earlier)][2] if earlier else START
        later = sorted(number for number in self.rollups if number >= first)
        page = self.page
        while True:
            kept = [Derived(number, *self.rollups[number][1:]) for number in later[:page]]
            changes = rederive(before, kept, tracks, self.rules, complete=len(kept) < page)
            if changes is not None:
                break
            page *= 4
        self.dirty -= set(numbers)
        self._write(changes)

    def drain(self) -> None:
        """Derive until nothing is dirty, a bucket at a time."""
        while self.dirty:
            self.derive([min(self.dirty)])

    def _write(self, changes: Changes) -> None:
        self.rollups |= changes.rollups
        for number, journey in changes.journeys.items():
            rollup, segments, state = self.rollups[number]
            self.rollups[number] = (rollup, segments, State(state.last, journey))
        for number in changes.emptied:
            self.rollups.pop(number, None)
        self.ended |= changes.ended
        if changes.to_the_end:
            self.open = changes.open
        self.dirty |= set(changes.again)


phases = st.builds(
    Phase,
    seconds=st.sampled_from([20, 45, 100, 400, 900, 2400]),
    kmh=st.sampled_from([0.0, 0.0, 3.0, 30.0, 90.0]),
    ignition=st.sampled_from([1.0, 1.0, 0.0, NAN]),
    every_s=st.sampled_from([10, 20, 60]),
    silent=st.sampled_from([False, False, False, True]),
)


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    """Of several phases, some without a position or a speed."""
    made = drive(*draw(st.lists(phases, min_size=1, max_size=8)))
    holes = draw(st.sets(st.integers(0, max(0, len(made) - 1)), max_size=10))
    without = draw(
        st.sampled_from(
            [
                lambda one: one._replace(lat=NAN, lon=NAN),
                lambda one: one._replace(speed=NAN),
                lambda one: one._replace(ignition=NAN, soc=NAN),
            ]
        )
    )
    return [without(one) if index in holes else one for index, one in enumerate(made)]
