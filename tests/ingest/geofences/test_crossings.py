"""What readings say of a vehicle and a geofence; in memory, as the worker derives it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcell.contract.geofences import Area, area_of
from ingest.derive.rules import BUCKET_US
from ingest.geofences.chain import Kept, rederive
from ingest.geofences.crossings import NOWHERE, Crossed, Crossing, Fence, Fences, cross
from ingest.geofences.shapes import Shape
from tests.ingest.derive.drives import RULES, START_US, Reading, by_bucket, track

A_DEGREE_M = 111_195.0
DEPOT = area_of({"type": "Point", "coordinates": [25.0, 60.0]}, 200.0)
CITY = area_of({"type": "Point", "coordinates": [25.0, 60.0]}, 5000.0)
CAR = 7


def fence(
    number: int = 1, *, area: Area = DEPOT, dwell_s: int | None = None, only: int | None = None
) -> Fence:
    return Fence(number, 1, Shape(area), 25.0, dwell_s, None if only is None else frozenset([only]))


def reading(seconds: float, north_m: float, acc: float = 5.0) -> Reading:
    """So many metres north of the depot; NaN: without a position."""
    return Reading(START_US + round(seconds * 1e6), 60 + north_m / A_DEGREE_M, 25.0, acc)


def crossed(readings: list[Reading], *fences: Fence) -> Crossed:
    return cross(NOWHERE, track(readings), Fences(fences or [fence()]), CAR, RULES)


def seen(readings: list[Reading], *fences: Fence) -> list[tuple[str, float, float | None]]:
    """Kind, at, and before, in seconds."""
    return [
        (
            one.kind,
            (one.at_us - START_US) / 1e6,
            None if one.before_us is None else (one.before_us - START_US) / 1e6,
        )
        for one in crossed(readings, *fences).crossings
    ]


def test_in_and_out() -> None:
    drive = [reading(n * 10, metres) for n, metres in enumerate([500, 300, 150, 0, 0, 150, 300])]
    assert seen(drive) == [("enter", 20, 10), ("exit", 60, 50)]


@pytest.mark.parametrize(
    ("metres", "acc", "out"),
    [(224, 5, False), (227, 5, True), (260, 70, False), (275, 70, True), (400, 150, False)],
)
def test_who_is_out_is_further_away_than_the_margin_and_the_accuracy(
    metres: float, acc: float, out: bool
) -> None:
    """400 m away with an accuracy of 150 m is no position at all."""
    assert (len(seen([reading(0, 0), reading(60, metres, acc)])) == 2) is out


def test_the_edge_does_not_flutter() -> None:
    drive = [
        reading(n * 10, metres) for n, metres in enumerate([300, 210, 195, 205, 198, 215, 190, 210, 300])
    ]
    assert seen(drive) == [("enter", 20, 10), ("exit", 80, 70)], "210 m is not inside, and no exit either"


def test_a_jump_of_the_receiver_says_nothing() -> None:
    drive = [reading(0, 0), reading(1, 9000), reading(2, 0), reading(3, 0)]
    assert seen(drive) == [("enter", 0, None)]


def test_a_silence_in_the_same_place_is_a_gap_in_the_visit() -> None:
    assert seen([reading(0, 0), reading(4000, 50), reading(4010, 300)]) == [
        ("enter", 0, None),
        ("gap", 4000, 0),
        ("exit", 4010, 4000),
    ]


def test_after_a_silence_elsewhere_nobody_knows() -> None:
    city = fence(area=CITY)
    readings = [reading(0, 0), reading(10, 0), reading(4000, 2000)]
    assert seen(readings, city) == [("enter", 0, None), ("exit", 10, 10), ("enter", 4000, 10)]
    assert [one.silence for one in crossed(readings, city).crossings] == [False, True, True]
    assert seen([reading(0, 0), reading(10, 0), reading(4000, 90_000)], city) == [
        ("enter", 0, None),
        ("exit", 10, 10),
    ]


def test_at_the_edge_after_a_silence_elsewhere_is_outside() -> None:
    city = fence(area=CITY)
    assert seen([reading(0, 0), reading(10, 0), reading(4000, 5010), reading(4010, 5010)], city) == [
        ("enter", 0, None),
        ("exit", 10, 10),
    ]


def test_readings_without_a_position_do_not_count() -> None:
    drive = [reading(0, 0), *(reading(n, math.nan) for n in range(60, 4000, 60)), reading(4000, 0)]
    assert seen(drive) == [("enter", 0, None), ("gap", 4000, 0)]
    assert crossed([reading(0, math.nan)]).state == NOWHERE


def test_of_two_positions_at_a_time_the_last_one_holds() -> None:
    assert seen([reading(0, 0), reading(0, 900)]) == []


@pytest.mark.parametrize(
    ("dwell_s", "wanted"), [(30, [("dwell", 50.0, 40.0)]), (31, [("dwell", 60.0, 50.0)]), (90, [])]
)
def test_dwelling_is_seen_at_the_first_position_after_it(dwell_s: int, wanted: list[object]) -> None:
    drive = [reading(n * 10, metres) for n, metres in enumerate([500, 300, 0, 0, 0, 0, 0, 0, 900, 900])]
    found = seen(drive, fence(dwell_s=dwell_s))
    assert [one for one in found if one[0] == "dwell"] == wanted


def test_a_geofence_of_others_does_not_count() -> None:
    assert seen([reading(0, 0)], fence(only=CAR + 1)) == []
    assert seen([reading(0, 0)], fence(only=CAR)) == [("enter", 0, None)]


@dataclass
class Memory:
    """The tables of one vehicle."""

    fences: Fences
    readings: set[Reading] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)
    kept: dict[int, Crossed] = field(default_factory=dict)

    def arrive(self, batch: list[Reading]) -> None:
        new = set(batch) - self.readings
        self.readings |= new
        self.dirty |= {one.us // BUCKET_US for one in new}

    def derive(self, numbers: list[int]) -> None:
        """As one transaction of the worker does."""
        stored = by_bucket(self.readings)
        found, following = rederive(
            CAR,
            {n: track(stored[n]) for n in numbers},
            {n: self.around(n) for n in numbers},
            self.fences,
            RULES,
        )
        self.kept |= found
        self.dirty = (self.dirty - set(numbers)) | set(following)

    def around(self, number: int) -> Kept:
        own, earlier = self.kept.get(number), [n for n in self.kept if n < number]
        before = max(earlier, default=None)
        return Kept(
            None if own is None else own.state,
            before,
            None if before is None else self.kept[before].state,
            min((n for n in self.kept if n > number), default=None),
        )

    def history(self) -> list[Crossing]:
        return [one for number in sorted(self.kept) for one in self.kept[number].crossings]


FENCES = Fences([fence(1), fence(2, area=CITY, dwell_s=900), fence(3, dwell_s=60)])
readings = st.builds(
    lambda minutes, metres, acc: reading(minutes * 60, metres, acc),
    st.integers(0, 240),
    st.sampled_from([0, 100, 195, 210, 230, 300, 900, 4900, 5100, 8000, math.nan]),
    st.sampled_from([5.0, 60.0, 150.0, math.nan]),
)


@settings(max_examples=50)
@given(
    st.lists(readings, min_size=1, max_size=40, unique_by=lambda one: one.us),
    st.randoms(use_true_random=False),
)
def test_any_order_and_repetition_gives_what_all_in_order_gives(found: list[Reading], rng: Random) -> None:
    wanted = Memory(FENCES)
    wanted.arrive(found)
    wanted.derive(sorted(wanted.dirty))
    assert not wanted.dirty
    mixed = [*found, *rng.sample(found, len(found) // 3)]
    rng.shuffle(mixed)
    ours = Memory(FENCES)
    while mixed or ours.dirty:
        part = [mixed.pop() for _ in range(min(len(mixed), rng.randint(1, 6)))]
        ours.arrive(part)
        due = sorted(ours.dirty)
        if due and (not mixed or rng.random() < 0.7):
            ours.derive(due[: rng.randint(1, len(due))])
    assert ours.history() == wanted.history()
    assert {n: of.state for n, of in ours.kept.items()} == {n: of.state for n, of in wanted.kept.items()}


@given(st.lists(readings, min_size=1, max_size=40, unique_by=lambda one: one.us))
def test_entries_and_exits_take_turns(found: list[Reading]) -> None:
    memory = Memory(FENCES)
    memory.arrive(found)
    memory.derive(sorted(memory.dirty))
    for number in FENCES.by_id:
        kinds = [one.kind for one in memory.history() if one.fence == number]
        turns = [kind for kind in kinds if kind in ("enter", "exit")]
        assert turns == ["enter", "exit"] * (len(turns) // 2) + ["enter"] * (len(turns) % 2)
        assert kinds.count("dwell") <= turns.count("enter")
        state = memory.kept[max(memory.kept)].state
        assert (number in state.inside) is (len(turns) % 2 == 1)
