"""Heights that fit best, from the ground and from tags."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.roads.extract import Way
from vehicle_sim.roads.geodesy import metres_per_degree
from vehicle_sim.roads.heights import Heights, heights_of
from vehicle_sim.roads.tags import way_tags

KX, KY = metres_per_degree(60.0)


def way(number: int, nodes: list[int], **tags: str) -> Way:
    """Nodes lie 10 m apart to the east, by their ids."""
    found = way_tags({"highway": "residential", **tags})
    assert found is not None
    return Way(number, found, nodes, [(25.0 + node * 10 / KX, 60.0) for node in nodes])


def fitted(*ways: Way, ele: dict[int, float] | None = None) -> Heights:
    found = heights_of(ways, ele or {})
    assert found is not None
    return found


def test_where_nothing_is_known_there_are_none() -> None:
    assert heights_of([way(1, [1, 2, 3])], {}) is None
    assert heights_of([way(1, [1, 2, 3])], {9: 12.0}) is None  # of a node that is on no road


@pytest.mark.parametrize(("incline", "rise"), [("10%", 10.0), ("-5 %", -5.0), ("3°", 5.24), ("up", 4.0)])
def test_an_incline_alone_gives_differences(incline: str, rise: float) -> None:
    found = fitted(way(1, list(range(11)), incline=incline))
    assert not found.sea_level
    assert found.by_node[10] - found.by_node[0] == pytest.approx(rise, abs=0.01)
    assert found.by_node[5] - found.by_node[0] == pytest.approx(rise / 2, abs=0.01)


def test_surveyed_heights_are_above_the_sea_and_straight_between() -> None:
    found = fitted(way(1, list(range(11))), ele={0: 100.0, 10: 110.0})
    assert found.sea_level
    steps = [found.by_node[b] - found.by_node[a] for a, b in pairwise(range(11))]
    assert found.by_node[0] == pytest.approx(101, abs=1)  # they are uncertain: a little flatter fits better
    assert steps == pytest.approx([steps[0]] * 10, abs=1e-4)


def test_what_climbs_on_one_way_goes_down_on_the_other() -> None:
    """A ring: half of it says that it rises by 10 m, the other half has to come down again."""
    nodes = [*range(11), 0]
    found = fitted(way(1, nodes[:6], incline="10%"), way(2, nodes[5:]))
    climbed = found.by_node[5] - found.by_node[0]
    assert 3.5 < climbed < 5.0
    assert sum(found.by_node[b] - found.by_node[a] for a, b in pairwise(nodes)) == pytest.approx(0)


def test_a_sign_is_believed_more_than_no_sign() -> None:
    """Of 15 m in 200 m the first half says that it rises by 10."""
    found = fitted(
        way(1, list(range(11)), incline="10%"), way(2, list(range(10, 21))), ele={0: 0.0, 20: 15.0}
    )
    assert 9.5 < found.by_node[10] - found.by_node[0] < 11.0


@pytest.mark.parametrize("tag", ["bridge", "tunnel"])
def test_bridges_and_tunnels_do_not_follow_the_ground(tag: str) -> None:
    """The ground falls into a gorge of 50 m between nodes 5 and 15."""

    def ground(position: tuple[float, float]) -> float:
        node = (position[0] - 25.0) * KX / 10
        return 100.0 if node < 5.5 or node > 14.5 else 50.0

    over = [way(1, list(range(6))), way(2, list(range(5, 16)), **{tag: "yes"}), way(3, list(range(15, 21)))]
    found = heights_of(over, {}, ground)
    assert found is not None
    assert [found.by_node[node] for node in range(21)] == pytest.approx([100.0] * 21, abs=0.01)
    down = heights_of([way(1, list(range(21)))], {}, ground)
    assert down is not None
    assert down.by_node[10] < 75


def test_the_noise_of_the_ground_is_not_driven() -> None:
    def ground(position: tuple[float, float]) -> float:
        return 50.0 + 5.0 * math.sin(round((position[0] - 25.0) * KX / 10) * 12.9898)

    found = heights_of([way(1, list(range(101)))], {}, ground)
    assert found is not None
    steepest = max(abs(found.by_node[b] - found.by_node[a]) for a, b in pairwise(range(101))) / 10
    assert steepest < 0.1  # of 1.0 in the data


def test_where_the_ground_is_not_known_its_neighbours_count() -> None:
    def ground(position: tuple[float, float]) -> float | None:
        node = round((position[0] - 25.0) * KX / 10)
        return None if node == 3 else 10.0

    found = heights_of([way(1, [1, 2, 3, 4, 5])], {}, ground)
    assert found is not None
    assert found.by_node[3] == pytest.approx(10.0)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 12), st.sampled_from(["", "8%", "-3%", "up", "down"])
        ).filter(lambda s: s[0] != s[1]),
        min_size=1,
        max_size=15,
    ),
    st.dictionaries(st.integers(0, 12), st.floats(-100, 1000), max_size=5),
    st.floats(-400, 400),
)
def test_all_have_a_height_and_only_differences_count(
    streets: list[tuple[int, int, str]], ele: dict[int, float], higher: float
) -> None:
    ways = [way(n, [a, b], incline=incline) for n, (a, b, incline) in enumerate(streets)]
    found, raised = heights_of(ways, ele), heights_of(ways, {node: h + higher for node, h in ele.items()})
    if found is None or raised is None:
        assert found is raised
        return
    assert found.by_node.keys() == {node for each in ways for node in each.nodes}
    if found.sea_level:
        for node, height in found.by_node.items():
            assert raised.by_node[node] - height == pytest.approx(higher, abs=0.01)
