"""When a CAM is due, and with what in it: the generation rules of EN 302 637-2 as properties."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.mobility.motion import Motion
from vehicle_sim.roads.geodesy import segment, turn_deg
from vehicle_sim.v2x.generation import CamRules, Due

STILL = Motion(60.17, 24.94, 90.0, 0.0)
METRE = 1 / 111_412  # of latitude here, in degrees

# Steps of a vehicle: metres north, degrees of turn, m/s more.
STEPS = st.lists(st.tuples(st.floats(-6, 6), st.floats(-8, 8), st.floats(-1, 1)), min_size=1, max_size=80)
CHECKS_MS = st.lists(st.integers(1, 100), min_size=80, max_size=80)


def after(motion: Motion, step: tuple[float, float, float]) -> Motion:
    north_m, turn, faster = step
    return replace(
        motion,
        lat=motion.lat + north_m * METRE,
        heading=(motion.heading + turn) % 360,
        speed_ms=max(motion.speed_ms + faster, 0.0),
    )


def changed(one: Motion, other: Motion) -> bool:
    return (
        abs(turn_deg(one.heading, other.heading)) > 4
        or abs(one.speed_ms - other.speed_ms) > 0.5
        or segment(one.lon, one.lat, other.lon, other.lat)[0] > 4
    )


@given(STEPS, CHECKS_MS, st.sampled_from([100, 250, 1000]))
def test_a_cam_comes_at_most_every_100_ms_and_at_least_every_second(
    steps: list[tuple[float, float, float]], checks: list[int], dcc_ms: int
) -> None:
    rules, motion, now = CamRules(dcc_ms), STILL, 0
    sent: list[tuple[int, Motion, Due]] = []
    for step, check in zip(steps, checks, strict=False):
        now += check
        motion = after(motion, step)
        due = rules.look(now, motion)
        if not sent:
            assert due == Due(low_frequency=True)
        elif now - sent[-1][0] < dcc_ms:
            assert due is None
        elif changed(motion, sent[-1][1]) or now - sent[-1][0] >= 1000:
            assert due is not None
        if due is not None:
            sent.append((now, motion, due))
        assert now - sent[-1][0] < 1000
    told = [at for at, _, due in sent if due.low_frequency]
    assert all(later - earlier >= 500 for earlier, later in itertools.pairwise(told))
    for at, _, due in sent:
        assert due.low_frequency or at - max(t for t in told if t <= at) < 500


@given(STEPS)
def test_on_the_grid_of_100_ms_no_second_is_without_a_cam(steps: list[tuple[float, float, float]]) -> None:
    rules, motion, last = CamRules(), STILL, 0
    for number in range(60):
        motion = after(motion, steps[number % len(steps)]) if number % 7 == 0 else motion
        if rules.look(number * 100, motion) is not None:
            assert number * 100 - last <= 1000
            last = number * 100


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (replace(STILL, heading=94.0), replace(STILL, heading=94.1)),
        (replace(STILL, heading=86.0), replace(STILL, heading=85.9)),
        (replace(STILL, speed_ms=0.5), replace(STILL, speed_ms=0.51)),
        (replace(STILL, lat=STILL.lat + 3.95 * METRE), replace(STILL, lat=STILL.lat + 4.05 * METRE)),
    ],
)
def test_each_trigger_has_its_threshold(less: Motion, more: Motion) -> None:
    for motion, is_due in ((less, False), (more, True)):
        rules = CamRules()
        assert rules.look(0, STILL) is not None
        assert (rules.look(100, motion) is not None) is is_due


def test_a_turn_over_north_is_a_small_one() -> None:
    rules = CamRules()
    assert rules.look(0, replace(STILL, heading=359.0)) is not None
    assert rules.look(100, replace(STILL, heading=2.0)) is None
    assert rules.look(200, replace(STILL, heading=3.5)) is not None


def test_the_interval_of_a_trigger_is_kept_for_three_cams_and_then_it_is_a_second_again() -> None:
    rules = CamRules()
    assert rules.look(0, STILL) is not None
    moved = replace(STILL, speed_ms=2.0)
    assert rules.look(300, moved) is not None  # by the trigger: T_GenCam is now 300 ms
    due = [now for now in range(400, 4000, 100) if rules.look(now, moved) is not None]
    assert due == [600, 900, 1200, 2200, 3200]


@pytest.mark.parametrize("dcc_ms", [99, 1001])
def test_an_interval_that_the_standard_does_not_allow_is_refused(dcc_ms: int) -> None:
    with pytest.raises(ValueError, match="100 to 1000"):
        CamRules(dcc_ms)
