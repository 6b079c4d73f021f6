"""Speed profiles: within every bound, continuous, and exactly as long as the way."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vehicle_sim.mobility.profile import Knot, Profile, speed_profile


@st.composite
def ways(draw: st.DrawFn) -> list[Knot]:
    knots: list[Knot] = []
    at = 0.0
    for _ in range(draw(st.integers(2, 12))):
        dwell = draw(st.sampled_from([0.0, 0.0, 0.0, 3.0, 20.0]))
        cap = 0.0 if dwell else draw(st.sampled_from([math.inf, 0.0]) | st.floats(0.5, 40))
        knots.append(Knot(at, cap, draw(st.floats(1, 40)), dwell))
        at += draw(st.sampled_from([0.0, 0.01]) | st.floats(0.5, 500))
    assume(knots[-1].at_m > 1)
    return knots


def speed_at(profile: Profile, at_m: float) -> float:
    """The lowest speed with which the profile is at `at_m`."""
    found = math.inf
    begin = 0.0
    for duration, speed, acceleration in zip(
        profile.durations_s, profile.speeds_ms, profile.accelerations, strict=True
    ):
        end = begin + speed * duration + acceleration * duration**2 / 2
        if begin - 1e-6 <= at_m <= end + 1e-6:
            inside = min(max(at_m, begin), end) - begin
            found = min(found, math.sqrt(max(speed**2 + 2 * acceleration * inside, 0.0)))
        begin = end
    return found


@given(ways(), st.floats(0.5, 3), st.floats(0.5, 4))
def test_profiles_keep_every_bound(knots: list[Knot], accelerate: float, brake: float) -> None:
    profile = speed_profile(knots, accelerate, brake)
    speed = at = 0.0
    for duration, begin, acceleration in zip(
        profile.durations_s, profile.speeds_ms, profile.accelerations, strict=True
    ):
        assert duration > 0
        assert acceleration in {accelerate, 0.0, -brake}
        assert begin == pytest.approx(speed, abs=1e-5)  # no jump in speed
        speed = begin + acceleration * duration
        assert speed >= -1e-6
        at += begin * duration + acceleration * duration**2 / 2
    assert speed == pytest.approx(0, abs=1e-5)
    assert at == pytest.approx(knots[-1].at_m, rel=1e-9, abs=1e-6)
    for knot in knots[1:-1]:
        assert speed_at(profile, knot.at_m) <= knot.cap_ms + 1e-2
    fastest = max(knot.limit_ms for knot in knots[:-1])
    assert max(profile.speeds_ms) <= fastest + 1e-6


@given(ways())
def test_profiles_stand_as_long_as_they_should(knots: list[Knot]) -> None:
    profile = speed_profile(knots, 1.5, 2.0)
    standing = sum(
        duration
        for duration, speed, acceleration in zip(
            profile.durations_s, profile.speeds_ms, profile.accelerations, strict=True
        )
        if speed == 0.0 and acceleration == 0.0
    )
    assert standing == pytest.approx(sum(knot.dwell_s for knot in knots))


def phases(profile: Profile) -> list[tuple[float, float, float]]:
    return [
        (round(d, 6), round(v, 6), a)
        for d, v, a in zip(profile.durations_s, profile.speeds_ms, profile.accelerations, strict=True)
    ]


def test_a_long_road_is_a_trapezium() -> None:
    profile = speed_profile([Knot(0, math.inf, 10), Knot(200, 0, 10)], 2, 4)
    assert phases(profile) == [(5.0, 0.0, 2), (16.25, 10.0, 0.0), (2.5, 10.0, -4)]
    assert len(profile) == 3


def test_a_short_road_is_a_triangle() -> None:
    assert phases(speed_profile([Knot(0, math.inf, 100), Knot(24, 0, 100)], 2, 4)) == [
        (4.0, 0.0, 2),
        (2.0, 8.0, -4),
    ]


def test_the_brakes_come_in_time_for_what_is_beyond_the_next_knot() -> None:
    knots = [Knot(0, math.inf, 20), Knot(190, 5, 20), Knot(195, math.inf, 20), Knot(200, 0, 20)]
    profile = speed_profile(knots, 2, 2)
    assert speed_at(profile, 190) == pytest.approx(5)
    assert speed_at(profile, 165) == pytest.approx(math.sqrt(125))


def test_a_lower_limit_is_reached_before_it_begins() -> None:
    profile = speed_profile([Knot(0, math.inf, 20), Knot(300, math.inf, 8), Knot(400, 0, 8)], 2, 2)
    assert speed_at(profile, 300) == pytest.approx(8)
    assert speed_at(profile, 299) > 8


def test_a_phase_that_goes_on_is_one_phase() -> None:
    knots = [Knot(x, math.inf, 10) for x in range(0, 1000, 10)] + [Knot(1000, 0, 10)]
    assert len(speed_profile(knots, 2, 2)) == 3
