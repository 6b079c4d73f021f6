"""Knots along a route: limits, bends, corners, stops."""

import dataclasses
import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.mobility.driver import Driver, route_knots
from vehicle_sim.mobility.profile import Knot
from vehicle_sim.mobility.routing import choose_route
from vehicle_sim.roads import RoadNetwork, load
from vehicle_sim.roads.network import Road
from vehicle_sim.roads.tags import Control

NETWORK = load()
DRIVER = Driver(accelerate=1.5, brake=2.0, lateral=2.0, limit_share=1.0)


@given(st.integers(0, len(NETWORK.roads) - 1), st.integers(0, 2**32), st.floats(0, 1), st.floats(0.1, 1))
def test_knots_follow_each_other_and_keep_the_limits(start: int, seed: int, begin: float, end: float) -> None:
    rng = random.Random(seed)
    driver = Driver.random(rng)
    route = choose_route(NETWORK, start, 300, rng)
    begin_m = begin * NETWORK.roads[start].length_m
    end_m = end * NETWORK.roads[route[-1]].length_m
    knots = route_knots(NETWORK, route, begin_m, end_m, driver, rng)
    assert knots[0].at_m == 0.0
    length = sum(NETWORK.roads[r].length_m for r in route[:-1]) - begin_m + end_m
    assert knots[-1].at_m == pytest.approx(length)
    assert all(a.at_m <= b.at_m for a, b in pairwise(knots))
    assert all(k.dwell_s == 0 or k.cap_ms == 0 for k in knots)
    # Each road's own limit holds on it.
    at = -begin_m
    for index in route:
        road = NETWORK.roads[index]
        for knot in knots:
            if at + 1e-6 < knot.at_m < at + road.length_m - 1e-6:
                assert knot.limit_ms <= road.limit_ms
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
    return RoadNetwork(roads, after, [10.0] * len(roads), [1.0], (0, 0, 0, 0), "", "", None)  # type: ignore[arg-type]


def knots_over(roads: Sequence[Road], seed: int = 0) -> list[Knot]:
    return route_knots(network(roads), range(len(roads)), 10.0, 50.0, DRIVER, random.Random(seed))


def test_straight_on_nothing_slows() -> None:
    knots = knots_over([straight(0), straight(1)])
    assert [(k.at_m, k.cap_ms) for k in knots] == [(0, math.inf), (90, math.inf), (140, 0)]


def test_a_corner_slows() -> None:
    knots = knots_over([straight(0), straight(1, heading=0)])
    # 90 degrees, tangents of 25 m: a radius of 25 m at 2 m/s² across
    assert knots[1].cap_ms == pytest.approx(math.sqrt(2.0 * 25))


def test_a_bend_on_the_way_slows() -> None:
    bent = dataclasses.replace(straight(0), bends=((5.0, 30.0), (60.0, 30.0)))
    knots = knots_over([bent, straight(1)])
    assert knots[1] == Knot(50.0, math.sqrt(2.0 * 30), 10.0)  # the one at 5 m lies behind
    assert len(knots) == 4


def test_turning_back_is_walking_pace() -> None:
    roads = [straight(0), straight(1, heading=270)]
    assert knots_over(roads)[1].cap_ms == 2.0


def test_some_signals_are_red_and_one_stops_before_the_line() -> None:
    roads = [straight(0, Control.SIGNAL), straight(1)]
    stops = [[k for k in knots_over(roads, seed) if k.dwell_s] for seed in range(200)]
    red = [found[0] for found in stops if found]
    assert 60 < len(red) < 120  # 45 %
    assert all(k.at_m == 85 and k.cap_ms == 0 and 3 <= k.dwell_s <= 30 for k in red)


def test_signals_of_one_junction_stop_once() -> None:
    roads = [straight(0, Control.STOP), *(straight(i, Control.STOP) for i in range(1, 4)), straight(4)]
    assert len([k for k in knots_over(roads) if k.dwell_s]) == 4
    near = [dataclasses.replace(road, length_m=30.0, offsets_m=(0.0, 30.0)) for road in roads]
    knots = route_knots(network(near), range(5), 10.0, 20.0, DRIVER, random.Random(0))
    assert [k.at_m for k in knots if k.dwell_s] == [15, 75]


def test_giving_way_is_stopping_or_passing_carefully() -> None:
    roads = [straight(0, Control.GIVE_WAY), straight(1)]
    caps = [knots_over(roads, seed)[1] for seed in range(100)]
    assert {k.cap_ms for k in caps} == {0.0, 5.0}
    assert all((k.dwell_s > 0) is (k.cap_ms == 0) for k in caps)


def test_turning_onto_a_more_important_road_may_mean_waiting() -> None:
    roads = [straight(0), straight(1, kind="primary", heading=0)]
    waits = [any(k.dwell_s for k in knots_over(roads, seed)) for seed in range(100)]
    assert 15 < sum(waits) < 60
    away = [straight(0, kind="primary"), straight(1, heading=0)]
    assert not any(k.dwell_s for seed in range(50) for k in knots_over(away, seed))


def test_manners_are_within_reason() -> None:
    for seed in range(200):
        driver = Driver.random(random.Random(seed))
        assert 1 <= driver.accelerate <= 2.2
        assert 1.4 <= driver.brake <= 2.6
        assert 0.88 <= driver.limit_share <= 1
