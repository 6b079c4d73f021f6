"""What a vehicle tells about itself in DENMs: when, how often, until when, and how it ends."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.v2x import codec
from fleetcell.contract.v2x.messages import ActionId, Cause, Denm, StationType
from vehicle_sim.mobility.motion import Motion
from vehicle_sim.v2x import making
from vehicle_sim.v2x.body import Body
from vehicle_sim.v2x.hazards import Hazards

DRIVING = Motion(60.17, 24.94, 90.0, 10.0)
STANDING = replace(DRIVING, speed_ms=0.0, standing=True)
PARKED = replace(STANDING, ignition=False)
BRAKING = replace(DRIVING, acceleration=-6.0)
CAR = Body()
WORKS = Body(StationType.HEAVY_TRUCK, 9.5, 2.5, "roadWork")
ITS = 700_000_000_000


def new(body: Body = CAR) -> Hazards:
    return Hazards(body, random.Random(1))


def run(hazards: Hazards, *phases: tuple[Motion, float], begin_s: float = 0.0) -> list[tuple[float, Denm]]:
    """What is told while the vehicle does this and that for so many seconds, looked at every 100 ms."""
    told: list[tuple[float, Denm]] = []
    tick = round(begin_s * 10)
    for motion, seconds in phases:
        for _ in range(round(seconds * 10)):
            now = tick * 100
            told += [(tick / 10, one) for one in hazards.look(now, ITS + now, 77, motion, ())]
            tick += 1
    return told


def test_who_stands_at_the_kerb_is_told_after_a_while_and_taken_back() -> None:
    hazards = new()
    told = run(hazards, (DRIVING, 5), (STANDING, 40), (DRIVING, 10))
    news = [one for _, one in told if one.termination is None]
    assert told[0][0] == 5 + 15
    assert {(one.cause.cause_code, one.cause.sub_cause_code) for one in news if one.cause} == {(94, 0)}
    (action,) = {one.action_id for _, one in told}
    assert action.originating_station_id == 77
    assert sorted({one.management.reference_time - ITS for one in news}) == [20_000, 30_000, 40_000]
    times = [at for at, one in told if one.termination is None]
    assert all(round(later - at, 6) == 1 for at, later in itertools.pairwise(times))
    for at, one in told:
        if one.termination is None:
            assert one.management.detection_time == one.management.reference_time
            assert ITS + at * 1000 < one.management.detection_time + one.management.validity_duration * 1000
            assert one.denm.alacarte is not None
            assert one.denm.alacarte.stationary_vehicle is not None
            assert one.denm.alacarte.stationary_vehicle.stationary_since == "lessThan1Minute"
    ends = [(at, one) for at, one in told if one.termination]
    assert [(at, one.termination) for at, one in ends] == [(at, "isCancellation") for at in (45, 46, 47)]
    assert all(one.management.reference_time > news[-1].management.reference_time for _, one in ends)
    assert not hazards.active


def test_a_fault_is_a_breakdown() -> None:
    told = run(new(), (replace(STANDING, faulty=True), 16))
    assert [one.cause.sub_cause_code for _, one in told if one.cause] == [2]


def test_who_parks_or_waits_in_a_queue_is_no_hazard() -> None:
    assert run(new(), (PARKED, 60), (replace(DRIVING, speed_ms=0.0), 60)) == []


def test_what_begins_anew_is_another_event() -> None:
    told = run(new(), (STANDING, 16), (DRIVING, 1), (STANDING, 16))
    actions = [one.action_id for _, one in told]
    assert len(set(actions)) == 2
    assert actions == sorted(actions, key=actions.index)
    ended = {one.action_id for _, one in told if one.termination}
    assert ended == {actions[0]}


def test_hard_braking_is_told_at_once_and_runs_out() -> None:
    hazards = new()
    told = run(hazards, (DRIVING, 1), (BRAKING, 0.8), (DRIVING, 4))
    assert [at for at, _ in told] == [1.0, 1.5, 2.0, 2.5]
    assert len({one.action_id for _, one in told}) == 1
    one = told[0][1]
    assert one.cause is not None
    assert (one.cause.cause_code, one.cause.sub_cause_code) == (Cause.DANGEROUS_SITUATION, 1)
    assert one.expires_ms - one.detected_ms == 2000
    assert one.denm.location is not None
    assert one.denm.location.event_speed is not None
    assert one.denm.location.event_speed.speed_value == 1000
    assert not hazards.active
    again = run(hazards, (BRAKING, 0.5), begin_s=10)
    assert again[0][1].action_id != one.action_id


def test_soft_or_slow_braking_is_not_told() -> None:
    assert run(new(), (replace(DRIVING, acceleration=-3.9), 3), (replace(BRAKING, speed_ms=5.0), 3)) == []


def test_a_truck_of_road_works_tells_them_where_it_stands() -> None:
    told = run(new(WORKS), (DRIVING, 2), (PARKED, 30), (DRIVING, 5))
    news = [one for _, one in told if one.termination is None]
    assert {(one.cause.cause_code, one.cause.sub_cause_code) for one in news if one.cause} == {(3, 4)}
    assert [one.termination for _, one in told if one.termination] == ["isCancellation"] * 3
    assert told[0][0] == 2 + 5


def test_who_leaves_takes_back_what_lasts() -> None:
    hazards = new()
    run(hazards, (STANDING, 20))
    (end,) = hazards.leave(ITS + 20_000)
    assert end.termination == "isCancellation"
    assert hazards.leave(ITS + 21_000) == []


def test_another_station_can_say_that_it_is_over() -> None:
    (_, event), *_ = run(new(), (STANDING, 16))
    end = making.negation(5, event, ITS)
    assert (end.station_id, end.action_id, end.termination) == (5, event.action_id, "isNegation")
    assert end.management.reference_time >= event.management.reference_time
    assert codec.decode(Denm, codec.encode(end)) == end


MOTIONS = st.sampled_from([DRIVING, STANDING, PARKED, BRAKING])


@given(st.lists(st.tuples(MOTIONS, st.integers(1, 40)), max_size=8), st.sampled_from([CAR, WORKS]))
def test_whatever_it_does_events_are_orderly(phases: list[tuple[Motion, int]], body: Body) -> None:
    told = run(new(body), *phases)
    seen: dict[ActionId, list[Denm]] = {}
    for at, one in told:
        now = ITS + at * 1000
        management = one.management
        assert management.detection_time <= management.reference_time <= now
        assert now < management.detection_time + management.validity_duration * 1000 or one.termination
        seen.setdefault(one.action_id, []).append(one)
    for messages in seen.values():
        times = [one.management.reference_time for one in messages]
        assert times == sorted(times)
        ended = [one.termination is not None for one in messages]
        assert ended == sorted(ended)  # nothing is told after its end
        assert len({(one.cause.cause_code, one.cause.sub_cause_code) for one in messages if one.cause}) == 1
