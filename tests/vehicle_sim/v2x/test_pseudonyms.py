"""Pseudonyms change, are told by nothing that was before, and stay while an event is named after them."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.v2x.messages import Cam, Denm
from vehicle_sim.mobility.motion import Motion
from vehicle_sim.v2x.body import Body
from vehicle_sim.v2x.pseudonyms import PseudonymPolicy, Pseudonyms
from vehicle_sim.v2x.station import Station, StationPolicy

POLICY = PseudonymPolicy()
NORTH_M = 1 / 111_412
ITS = 700_000_000_000


def new(seed: int = 1) -> Pseudonyms:
    return Pseudonyms(POLICY, random.Random(seed))


@given(st.integers(0, 2**32), st.floats(0.5, 40))
def test_a_driving_vehicle_changes_by_distance_or_time(seed: int, speed_ms: float) -> None:
    names = new(seed)
    last_s, went_m, before = 0, 0.0, names.station_id
    for second in range(1200):
        went_m += speed_ms
        if names.look(second * 1000, speed_ms, standing=False, locked=False):
            assert names.station_id != before
            assert went_m >= POLICY.distance_m[0] or second - last_s >= POLICY.time_s[0]
            assert names.silent(second * 1000 + 2999)
            assert not names.silent(second * 1000 + 10_001)
            assert names.is_own(before)
            last_s, went_m, before = second, 0.0, names.station_id
        assert went_m < POLICY.distance_m[1] + speed_ms
        assert second - last_s <= POLICY.time_s[1]


def test_a_trip_begins_with_a_new_one() -> None:
    names = new()
    first = names.station_id
    assert not names.look(0, 0.0, standing=True, locked=False)
    assert not names.look(59_000, 0.0, standing=True, locked=False)
    assert not names.look(59_500, 1.0, standing=False, locked=False)  # a short stop is none
    names.look(60_000, 0.0, standing=True, locked=False)
    assert names.look(125_000, 1.0, standing=False, locked=False)
    assert names.station_id != first


def test_it_is_kept_while_an_event_is_told() -> None:
    names = new()
    for second in range(1000):
        assert not names.look(second * 1000, 20.0, standing=False, locked=True)
    assert names.look(1_000_000, 20.0, standing=False, locked=False)


def test_a_station_says_nothing_that_joins_two_pseudonyms() -> None:
    station = Station(Body(), StationPolicy(), random.Random(3))
    motion = Motion(60.17, 24.94, 0.0, 15.0)
    said: list[tuple[int, Cam | Denm]] = []
    for tick in range(3000):
        motion = replace(motion, lat=motion.lat + 1.5 * NORTH_M)
        said += [(tick * 100, one) for one in station.look(tick * 100, ITS + tick * 100, motion)]
    cams = [(at, one) for at, one in said if isinstance(one, Cam)]
    changes = [
        (before, after)
        for before, after in itertools.pairwise(cams)
        if before[1].station_id != after[1].station_id
    ]
    assert len(changes) >= 2
    for (before_ms, _), (after_ms, first) in changes:
        assert after_ms - before_ms >= 3000
        assert first.low_frequency is not None
        spanned_10ms = sum(point.path_delta_time or 0 for point in first.low_frequency.path_history)
        assert spanned_10ms * 10 <= after_ms - before_ms
