"""Destinations and the way to them."""

import random
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from tests.vehicle_sim.roads.grids import grid
from vehicle_sim.mobility.routing import choose_route
from vehicle_sim.roads import RoadNetwork, RoadsError


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


PLAIN = grid(4, 120.0)
FILE_NUMBERS = [
    number
    for piece, road in enumerate(
        [road for road in PLAIN.roads if road.reverse is None or road.reverse > road.index], 1
    )
    for number in ((piece,) if road.reverse is None else (piece, -piece))
]  # by index


@st.composite
def paths(draw: st.DrawFn) -> tuple[int, ...]:
    """Three to five roads of the grid, one after the other; another way on is left before the last."""
    path = [draw(st.integers(0, len(PLAIN.roads) - 1))]
    for _ in range(draw(st.integers(2, 4))):
        path.append(draw(st.sampled_from(PLAIN.successors[path[-1]])))
    assume(len(PLAIN.successors[path[-2]]) > 1)
    return tuple(path)


@settings(max_examples=30)
@given(st.sets(paths(), min_size=1, max_size=8), st.integers(0, 2**32), st.floats(30, 600))
def test_no_route_contains_a_forbidden_path(
    forbidden: set[tuple[int, ...]], seed: int, seconds: float
) -> None:
    """And all roads are still driven to, but by longer ways."""
    try:
        network = grid(4, 120.0, no_paths=[tuple(FILE_NUMBERS[road] for road in path) for path in forbidden])
    except RoadsError:  # a build would have seen to it that nobody gets stuck
        assume(False)
    rng = random.Random(seed)
    for path in forbidden:
        route = choose_route(network, path[0], seconds, rng)
        for before, after in pairwise(route):
            assert after in network.successors[before]
        for length in range(3, 6):
            assert not forbidden & {tuple(route[i : i + length]) for i in range(len(route) - length + 1)}


def test_a_forbidden_path_makes_a_way_longer() -> None:
    """The last three roads of a route are forbidden: whoever wants to its end comes from elsewhere."""

    def routes(network: RoadNetwork) -> dict[int, list[int]]:
        found = [choose_route(network, 0, 900, random.Random(seed)) for seed in range(400)]
        return {route[-1]: route for route in found}

    def takes(route: list[int]) -> float:
        return sum(PLAIN.times_s[road] for road in route[1:])

    before = routes(PLAIN)
    for end, route in before.items():
        network = grid(4, 120.0, no_paths=[tuple(FILE_NUMBERS[road] for road in route[-3:])])
        after = routes(network)
        assert all(takes(after[each]) >= takes(before[each]) - 1e-9 for each in before.keys() & after.keys())
        if end in after:
            assert after[end][-3:] != route[-3:]
            assert takes(after[end]) > takes(route)
            return
    pytest.fail("no end was reached in another way")
