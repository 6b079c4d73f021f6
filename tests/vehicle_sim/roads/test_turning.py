"""Forbidden paths of several roads: states that remember, against a search that remembers everything."""

from heapq import heappop, heappush
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.vehicle_sim.roads.test_graph import way
from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.extract import Way
from vehicle_sim.roads.forbidden import forbidden_paths
from vehicle_sim.roads.graph import Piece, largest_component, split
from vehicle_sim.roads.restrictions import Restriction
from vehicle_sim.roads.turning import Path, ways_on, with_memory

LONGEST = 4
ROADS = range(9)
NETWORKS = st.dictionaries(
    st.sampled_from(ROADS), st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1
)
PATHS = st.sets(st.lists(st.sampled_from(ROADS), min_size=2, max_size=LONGEST).map(tuple), max_size=12)


def contains(path: Path, forbidden: set[Path]) -> bool:
    return any(path[i:j] in forbidden for i in range(len(path)) for j in range(i + 2, len(path) + 1))


def times_from(road: int, following: dict[int, tuple[int, ...]], forbidden: set[Path]) -> dict[int, int]:
    """Least number of roads to each that can be driven to; all of the last roads are remembered."""
    best: dict[int, int] = {}
    seen: set[Path] = set()
    heap: list[tuple[int, Path]] = [(0, (road,))]
    while heap:
        cost, path = heappop(heap)
        if path in seen:
            continue
        seen.add(path)
        best.setdefault(path[-1], cost)
        for after in following[path[-1]]:
            longer = (*path, after)
            if not contains(longer, forbidden):
                heappush(heap, (cost + 1, longer[-(LONGEST - 1) :]))
    return best


@given(NETWORKS, PATHS)
def test_states_lead_where_a_search_that_forgets_nothing_leads(
    ends: dict[int, tuple[int, int]], forbidden: set[Path]
) -> None:
    following = ways_on(ends, {}, forbidden)
    states = with_memory(following, forbidden)
    for road in ends:
        best: dict[int, int] = {}
        seen = {road}
        layer, cost = [road], 0
        while layer:
            for state in layer:
                best.setdefault(states.road(state), cost)
            found = {after for state in layer for after in states.following[state]} - seen
            seen |= found
            layer, cost = sorted(found), cost + 1
        assert best == times_from(road, following, forbidden)


@given(NETWORKS, PATHS, st.lists(st.integers(0, 100), max_size=40))
def test_no_walk_over_states_is_forbidden(
    ends: dict[int, tuple[int, int]], forbidden: set[Path], choices: list[int]
) -> None:
    states = with_memory(ways_on(ends, {}, forbidden), forbidden)
    state = next(iter(ends))
    walk = [state]
    for choice in choices:
        onward = states.following[state]
        if not onward:
            break
        state = onward[choice % len(onward)]
        walk.append(states.road(state))
    assert not contains(tuple(walk), forbidden)
    for before, after in pairwise(walk):
        assert ends[before][1] == ends[after][0]


def test_without_long_paths_a_state_is_a_road() -> None:
    following = {0: (1,), 1: (0,)}
    assert with_memory(following, {(0, 0)}).following == following


def test_only_who_comes_from_there_may_not_go_on() -> None:
    following = {0: (2,), 1: (2,), 2: (3, 4), 3: (0,), 4: (1,)}
    states = with_memory(following, {(0, 2, 3)})
    (from_0,), (from_1,) = states.following[0], states.following[1]
    assert states.paths[from_0] == (0, 2)
    assert states.following[from_0] == (4,)
    assert from_1 == 2
    assert states.following[2] == (3, 4)


def test_a_path_may_begin_within_another_one() -> None:
    following = {0: (1,), 1: (2,), 2: (3, 4), 3: (0,), 4: (1,)}
    states = with_memory(following, {(0, 1, 2, 3), (1, 2, 4)})

    def onward(*roads: int) -> list[int]:
        state = roads[0]
        for road in roads[1:]:
            (state,) = [after for after in states.following[state] if states.road(after) == road]
        return [states.road(after) for after in states.following[state]]

    assert onward(2) == [3, 4]
    assert onward(1, 2) == [3]
    assert onward(0, 1, 2) == []


def test_the_last_of_the_ways_comes_after_all_between() -> None:
    """From 0 over 1 and 2 to 3, which also leaves from the end of 1: that is another way to go."""
    pieces = pieces_of([(0, 1, "no"), (1, 2, "no"), (2, 3, "no"), (2, 3, "no")])
    assert forbidden_paths(pieces, [Restriction((0,), (1, 2), (3,))]) == ({(0, 2, 4, 7)}, {})


def test_where_the_last_way_goes_both_ways_on_it_says_not_enough() -> None:
    pieces = split([way(0, [0, 1]), way(1, [1, 2]), way(2, [3, 2, 4])], {})
    assert forbidden_paths(pieces, [Restriction((0,), (1,), (2,))]) == (set(), {"ambiguous": 1})


STREETS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from(["yes", "no"])).filter(
        lambda s: s[0] != s[1]
    ),
    min_size=3,
    max_size=9,
)


def pieces_of(streets: list[tuple[int, int, str]]) -> list[Piece]:
    ways: list[Way] = [way(n, [a, b], oneway=oneway) for n, (a, b, oneway) in enumerate(streets)]
    return split(ways, {})


def directed(pieces: list[Piece]) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    ends: dict[int, tuple[int, int]] = {}
    reverses: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        if piece.tags.forward:
            ends[2 * i] = (piece.start, piece.end)
        if piece.tags.backward:
            ends[2 * i + 1] = (piece.end, piece.start)
        if piece.tags.forward and piece.tags.backward:
            reverses |= {2 * i: 2 * i + 1, 2 * i + 1: 2 * i}
    return ends, reverses


@given(STREETS, st.sets(st.lists(st.integers(0, 17), min_size=2, max_size=LONGEST).map(tuple), max_size=12))
def test_in_what_is_kept_everybody_can_drive_everywhere(
    streets: list[tuple[int, int, str]], forbidden: set[Path]
) -> None:
    pieces = pieces_of(streets)
    try:
        kept, paths = largest_component(pieces, forbidden)
    except RoadsError:
        return
    ends, reverses = directed(kept)
    following = ways_on(ends, reverses, set(paths))
    states = with_memory(following, paths)
    assert all(states.following.values())
    for road in ends:
        assert times_from(road, following, set(paths)).keys() == ends.keys()
    # What signs forbid is forbidden in what is kept, as far as it can be driven there.
    places = {(piece.way, piece.start, piece.end): i for i, piece in enumerate(kept)}
    numbers: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        place = places.get((piece.way, piece.start, piece.end))
        if place is not None:
            numbers |= {2 * i: 2 * place, 2 * i + 1: 2 * place + 1}
    for path in forbidden:
        renumbered = tuple(numbers.get(n, -1) for n in path)
        if ends.keys() >= set(renumbered) and all(b in following[a] for a, b in pairwise(renumbered)):
            assert renumbered in paths


def test_who_could_only_drive_to_what_is_left_out_does_not_go_there() -> None:
    """From way 1 over way 2 one may only go to a dead end without turning back: so not over way 2 at all."""
    streets = [(0, 1, "yes"), (1, 2, "yes"), (2, 0, "yes"), (1, 3, "yes"), (3, 0, "yes"), (0, 1, "yes")]
    pieces = pieces_of(streets)
    by_way = {piece.way: 2 * i for i, piece in enumerate(pieces)}
    kept, paths = largest_component(pieces, {(by_way[0], by_way[1], by_way[2])})
    assert len(kept) == len(pieces)
    assert (by_way[0], by_way[1]) in paths  # nothing else follows on way 1
    assert (by_way[5], by_way[1]) not in paths
