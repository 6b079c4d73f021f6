"""Destinations and the way to them."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.mobility.routing import choose_route
from vehicle_sim.roads import load

NETWORK = load()


@given(
    road=st.integers(0, len(NETWORK.roads) - 1),
    seconds=st.floats(1, 2000),
    seed=st.integers(0, 2**32),
)
def test_routes_go_on_from_road_to_road(road: int, seconds: float, seed: int) -> None:
    route = choose_route(NETWORK, road, seconds, random.Random(seed))
    assert route[0] == road
    assert len(route) >= 2
    for before, after in pairwise(route):
        assert after in NETWORK.successors[before]
    assert len(set(route[1:])) == len(route) - 1  # no circles
    assert choose_route(NETWORK, road, seconds, random.Random(seed)) == route


@given(st.integers(0, len(NETWORK.roads) - 1), st.floats(30, 120), st.integers(0, 2**32))
def test_routes_take_about_as_long_as_wished(road: int, seconds: float, seed: int) -> None:
    route = choose_route(NETWORK, road, seconds, random.Random(seed))
    if len(route) > 2:  # the first road may be longer than the wish
        assert sum(NETWORK.times_s[r] for r in route[1:]) <= seconds


def test_no_way_is_quicker() -> None:
    """Against Bellman and Ford's algorithm, which shares nothing with Dijkstra's."""
    start = 17
    best = [float("inf")] * len(NETWORK.roads)
    for after in NETWORK.successors[start]:
        best[after] = NETWORK.times_s[after]
    changed = True
    while changed:
        changed = False
        for current, cost in enumerate(best):
            for after in NETWORK.successors[current]:
                if cost + NETWORK.times_s[after] < best[after] - 1e-9:
                    best[after] = cost + NETWORK.times_s[after]
                    changed = True
    for seed in range(20):
        route = choose_route(NETWORK, start, 900, random.Random(seed))
        assert sum(NETWORK.times_s[r] for r in route[1:]) == pytest.approx(best[route[-1]])


def test_destinations_differ() -> None:
    ends = {choose_route(NETWORK, 0, 600, random.Random(seed))[-1] for seed in range(50)}
    assert len(ends) > 30
