"""Splitting ways into roads and keeping one network."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.extract import Way
from vehicle_sim.roads.format import LineString, RoadProperties
from vehicle_sim.roads.graph import Piece, largest_component, road_features, split, strong_components
from vehicle_sim.roads.tags import Control, NodeControl, way_tags

SIGNAL = NodeControl(Control.SIGNAL, forward=True, backward=True)
SIGN = NodeControl(Control.GIVE_WAY, forward=None, backward=None)


def way(number: int, nodes: list[int], **tags: str) -> Way:
    """Nodes lie 0.001 degrees of latitude apart on the meridian, by their ids."""
    found = way_tags({"highway": "residential", **tags})
    assert found is not None
    return Way(number, found, nodes, [(25.0, round(60 + node / 1000, 6)) for node in nodes])


def ends(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(p.start, p.end) for p in pieces]


def test_ways_are_cut_where_they_meet() -> None:
    pieces = split([way(2, [3, 9]), way(1, [1, 2, 3, 4, 5])], {})
    assert ends(pieces) == [(1, 3), (3, 5), (3, 9)]
    assert [len(p.positions) for p in pieces] == [3, 3, 2]
    assert pieces[0].length_m == pytest.approx(222.8, abs=0.1)


def test_a_way_that_passes_a_node_twice_is_cut_there() -> None:
    assert ends(split([way(1, [1, 2, 3, 1])], {})) == [(1, 1)]
    assert ends(split([way(1, [1, 2, 3, 4, 2])], {})) == [(1, 2), (2, 2)]


def test_nodes_in_one_place_make_no_road() -> None:
    short = Way(1, way(1, [1, 2]).tags, [1, 2, 3], [(25.0, 60.0), (25.0, 60.0), (25.0, 60.1)])
    (piece,) = split([short], {})
    assert piece.positions == [(25.0, 60.0), (25.0, 60.1)]
    nowhere = Way(1, short.tags, [1, 2], [(25.0, 60.0), (25.0, 60.0)])
    assert split([nowhere], {}) == []


def test_signals_cut_and_hold_for_their_directions() -> None:
    before, after = split([way(1, [1, 2, 5])], {2: SIGNAL})
    assert (before.control, before.control_back) == (Control.SIGNAL, None)
    assert (after.control, after.control_back) == (None, Control.SIGNAL)
    forward_only = NodeControl(Control.SIGNAL, forward=True, backward=False)
    before, after = split([way(1, [1, 2, 5])], {2: forward_only})
    assert (before.control, after.control_back) == (Control.SIGNAL, None)


def test_a_sign_without_direction_is_for_those_who_come_to_the_nearer_end() -> None:
    before, after = split([way(1, [1, 8, 9])], {8: SIGN})
    assert (before.control, after.control_back) == (Control.GIVE_WAY, None)
    before, after = split([way(1, [1, 2, 9])], {2: SIGN})
    assert (before.control, after.control_back) == (None, Control.GIVE_WAY)


def test_only_what_can_be_driven_to_and_from_is_kept() -> None:
    ways = [
        way(1, [1, 2]),
        way(2, [2, 3], oneway="yes"),  # leads out and never back
        way(3, [4, 5]),
        way(4, [5, 9]),  # the longer network
    ]
    assert ends(largest_component(split(ways, {}))[0]) == [(4, 5), (5, 9)]
    with pytest.raises(RoadsError, match="no network"):
        largest_component(split([way(1, [1, 2], oneway="yes")], {}))


def test_features_are_written_as_they_are_driven() -> None:
    pieces = split([way(7, [20, 30], oneway="-1"), way(8, [20, 30], maxspeed="40")], {20: SIGNAL})
    against, both = road_features(pieces)
    assert isinstance(against.properties, RoadProperties)
    assert isinstance(against.geometry, LineString)
    assert (against.properties.start, against.properties.end) == (1, 0)
    assert against.geometry.coordinates[0] == (25.0, 60.03)
    assert against.properties.oneway
    assert (against.properties.control, against.properties.control_back) == ("signal", None)
    assert isinstance(both.properties, RoadProperties)
    assert (both.properties.oneway, both.properties.speed, both.properties.speed_back) == (False, 40, None)
    assert (both.properties.control, both.properties.control_back) == (None, "signal")


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24))
def test_strong_components_are_who_reaches_each_other(edges: list[tuple[int, int]]) -> None:
    onward = {node: [b for a, b in edges if a == node] for node in range(8)}
    reach = {node: {node} for node in onward}
    for _, a, b in itertools.product(range(8), range(8), range(8)):
        if b in reach[a]:
            reach[a] |= {c for d in reach[a] for c in onward[d]}
    found = {frozenset(members) for members in strong_components(onward)}
    assert found == {frozenset(b for b in reach[a] if a in reach[b]) for a in onward}
