"""Plans of routes: limits, bends, corners."""

import dataclasses
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from vehicle_sim.mobility.driver import Driver, Plan, plan_route
from vehicle_sim.mobility.kinds import CAR, KINDS, Manners
from vehicle_sim.mobility.routing import choose_route
from vehicle_sim.roads import RoadNetwork
from vehicle_sim.roads.network import Road
from vehicle_sim.roads.tags import Control

DRIVER = Driver(accelerate=1.5, brake=2.0, lateral=2.0, limit_share=1.0)


@given(
    st.integers(0, len(NETWORK.roads) - 1),
    st.integers(0, 2**32),
    st.floats(0, 0.9),
    st.floats(0.1, 1),
    st.sampled_from(sorted(KINDS)),
)
def test_plans_keep_the_limits_and_can_be_braked_for(
    start: int, seed: int, begin: float, end: float, kind: str
) -> None:
    rng = random.Random(seed)
    driver = Driver.random(rng, KINDS[kind].manners)
    route = choose_route(NETWORK, start, 300, rng)
    begin_m = begin * NETWORK.roads[start].length_m
    end_m = end * NETWORK.roads[route[-1]].length_m
    plan = plan_route(NETWORK, route, begin_m, end_m, driver)
    length = sum(NETWORK.roads[r].length_m for r in route[:-1]) - begin_m + end_m
    assert plan.at_m[0] == 0.0
    assert plan.at_m[-1] == pytest.approx(length)
    assert plan.caps_ms[-1] == 0.0
    knots = list(zip(plan.at_m, plan.caps_ms, plan.limits_ms, strict=True))
    for (at, cap, limit), (next_at, next_cap, _) in pairwise(knots):
        assert at <= next_at + 1e-9
        assert next_cap <= limit
        assert cap**2 <= next_cap**2 + 2 * driver.brake * (next_at - at) + 1e-6
    at = -begin_m
    for index in route:  # each road's own limit holds on it
        road = NETWORK.roads[index]
        middle = at + road.length_m / 2
        if 0 < middle < length:
            limit = [limit for knot, _, limit in knots if knot <= middle + 1e-6][-1]
            assert limit <= min(road.limit_ms, driver.fastest_ms) + 1e-9
        at += road.length_m


def straight(
    index: int, control: Control | None = None, kind: str = "residential", heading: float = 90
) -> Road:
    """100 m of road with a limit of 10 m/s, one way."""
    return Road(
        index=index,
        start=index,
        end=index + 1,
        kind=kind,
        name="",
        limit_ms=10.0,
        control=control,
        tunnel=False,
        bridge=False,
        length_m=100.0,
        points=((25.0, 60.0), (25.001, 60.0)),
        offsets_m=(0.0, 100.0),
        headings=(heading,),
        bends=(),
        reverse=None,
    )


def network(roads: Sequence[Road]) -> RoadNetwork:
    after = [(road.index + 1,) for road in roads[:-1]] + [()]
    times = [10.0] * len(roads)
    states = range(len(roads))
    return RoadNetwork(roads, after, times, [1.0], (0, 0, 0, 0), "", "", None, after, states, times)  # type: ignore[arg-type]


def plan_over(roads: Sequence[Road]) -> Plan:
    return plan_route(network(roads), range(len(roads)), 10.0, 50.0, DRIVER)


def test_straight_on_nothing_slows() -> None:
    plan = plan_over([straight(0), straight(1)])
    assert list(plan.at_m) == [0, 140]
    assert list(plan.caps_ms) == [10, 0]
    assert list(plan.limits_ms) == [10, 10]


def test_another_limit_is_a_knot() -> None:
    slower = dataclasses.replace(straight(1), limit_ms=5.0)
    plan = plan_over([straight(0), slower])
    assert list(plan.at_m) == [0, 90, 140]
    assert list(plan.caps_ms) == [10, 5, 0]
    assert list(plan.limits_ms) == [10, 5, 5]


def test_a_corner_slows() -> None:
    plan = plan_over([straight(0), straight(1, heading=0)])
    # 90 degrees, tangents of 25 m: a radius of 25 m at 2 m/s² across
    assert plan.caps_ms[1] == pytest.approx(math.sqrt(2.0 * 25))


def test_a_bend_on_the_way_slows() -> None:
    bent = dataclasses.replace(straight(0), bends=((5.0, 30.0), (60.0, 30.0)))
    plan = plan_over([bent, straight(1)])
    assert list(plan.at_m) == [0, 50, 140]  # the one at 5 m lies behind
    assert plan.caps_ms[1] == pytest.approx(math.sqrt(2.0 * 30))


def test_turning_back_is_walking_pace() -> None:
    assert plan_over([straight(0), straight(1, heading=270)]).caps_ms[1] == 2.0


def test_what_comes_soon_is_braked_for_before() -> None:
    bent = dataclasses.replace(straight(0), bends=((60.0, 200.0), (64.0, 1.0)))
    plan = plan_over([bent, straight(1)])
    assert list(plan.at_m) == [0, 54, 140]  # a bend of 200 m is driven at the limit: no knot
    near = dataclasses.replace(straight(0), bends=((60.0, 45.0), (64.0, 1.0)))
    plan = plan_over([near, straight(1)])
    assert plan.caps_ms[1] == pytest.approx(math.sqrt(2.0**2 + 2 * 2.0 * 4.0))  # less than the bend's own


def test_manners_are_within_reason() -> None:
    for seed in range(200):
        driver = Driver.random(random.Random(seed), CAR.manners)
        assert 1 <= driver.accelerate <= 2.2
        assert 1.4 <= driver.brake <= 2.6
        assert 0.88 <= driver.limit_share <= 1
    truck = Driver.random(random.Random(1), Manners(fastest_ms=22.0))
    assert truck.limit_ms(dataclasses.replace(straight(0), limit_ms=33.0)) == 22.0
