"""Whatever order readings come in, and however often: the same rollups, trips and stops as all at once."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.derive.segments import Kind
from ingest.derive.summary import summarise
from tests.ingest.derive.drives import (
    RULES,
    Memory,
    Phase,
    Reading,
    at_once,
    by_bucket,
    drive,
    journeys,
    readings,
    track,
)


def same(memory: Memory, everything: list[Reading]) -> None:
    wanted = at_once(everything)
    assert memory.rollups == wanted.rollups
    assert {number: ended for number, ended in memory.ended.items() if ended} == {
        number: ended for number, ended in wanted.ended.items() if ended
    }
    assert memory.open == wanted.open


@settings(max_examples=60)
@given(readings(), st.randoms(use_true_random=False), st.integers(1, 40))
def test_shuffled_late_and_duplicated_arrival_gives_what_sorted_input_gives(
    everything: list[Reading], rng: random.Random, size: int
) -> None:
    arriving = everything + rng.sample(everything, len(everything) // 3)
    rng.shuffle(arriving)
    memory = Memory(page=rng.choice([1, 2, 16]))
    for start in range(0, len(arriving), size):
        memory.arrive(arriving[start : start + size])
        if memory.dirty and rng.random() < 0.5:
            memory.derive(rng.sample(sorted(memory.dirty), rng.randint(1, len(memory.dirty))))
    memory.drain()
    if everything:
        same(memory, everything)


@settings(max_examples=40)
@given(readings(), st.randoms(use_true_random=False))
def test_what_is_removed_was_never_there(everything: list[Reading], rng: random.Random) -> None:
    memory = Memory()
    memory.arrive(everything)
    memory.drain()
    buckets = by_bucket(everything)
    gone = set(rng.sample(sorted(buckets), rng.randint(0, len(buckets))))
    memory.readings -= {reading for number in gone for reading in buckets[number]}
    memory.dirty |= gone
    memory.drain()
    left = [reading for number, found in buckets.items() if number not in gone for reading in found]
    if left:
        same(memory, left)
    else:
        assert (memory.rollups, memory.open) == ({}, None)


@settings(max_examples=40)
@given(readings())
def test_rollups_add_up_and_segments_leave_no_seam(everything: list[Reading]) -> None:
    if not everything:
        return
    changes = at_once(everything)
    assert sum(rollup.count for rollup, _, _ in changes.rollups.values()) == len(everything)
    segments = [one for number in sorted(changes.rollups) for one in changes.rollups[number][1]]
    for before, after in itertools.pairwise(segments):
        assert before.end_us == after.start_us
    distance = sum(rollup.distance_m for rollup, _, _ in changes.rollups.values())
    assert distance == pytest.approx(sum(segment.distance_m for segment in segments))
    found = journeys(changes)
    for before, after in itertools.pairwise(found):
        assert before.end_us <= after.start_us
        assert Kind.UNKNOWN not in (before.kind, after.kind)


@given(
    st.lists(
        st.builds(
            Phase,
            st.sampled_from([40, 100, 400, 900]),
            st.sampled_from([0.0, 40.0]),
            st.sampled_from([1.0, 0.0]),
            st.just(10),
            st.just(False),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_where_buckets_begin_does_not_matter(phases: list[Phase]) -> None:
    everything = drive(*phases)
    whole = summarise(None, track(everything), RULES)
    parts = [one for _, segments, _ in at_once(everything).rollups.values() for one in segments]
    assert sum(one.distance_m for one in parts) == pytest.approx(whole.rollup.distance_m)
    assert sum(one.moving_s for one in parts) == pytest.approx(whole.rollup.moving_s)
    joined = [(one.kind, one.start_us, one.end_us) for one in whole.segments]
    edges = {(one.start_us, one.end_us) for one in parts}
    assert {start for _, start, _ in joined} <= {start for start, _ in edges}
    assert {end for _, _, end in joined} <= {end for _, end in edges}


def test_late_readings_change_only_what_they_touch() -> None:
    day = [Phase(1200, 50), Phase(1200, 0, 0.0, 10)] * 10
    everything = drive(*day)
    late = {reading for reading in everything if 5000 <= (reading.us - everything[0].us) / 1e6 < 5100}
    memory = Memory(page=16)
    memory.arrive(set(everything) - late)
    memory.drain()
    before = dict(memory.rollups)
    memory.arrive(late)
    (number,) = memory.dirty
    memory.drain()
    changed = {one for one, kept in memory.rollups.items() if kept != before.get(one)}
    assert number in changed
    assert all(number <= one <= number + 2 for one in changed), "the trip of those readings, and no other"
    same(memory, everything)
