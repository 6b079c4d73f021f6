"""Turn restrictions, from the extract to the network that is driven on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vehicle_sim.roads.osm_files import Relations, write_extract
from vehicle_sim.roads import BuildReport, RoadNetwork, RoadsError, build, load
from vehicle_sim.roads.format import RoadProperties, read, write
from vehicle_sim.roads.restrictions import Restriction, Unread, read_restriction
from vehicle_sim.roads.turning import ways_on

OVER_5 = (("w", 10, "from"), ("n", 5, "via"), ("w", 11, "to"))

# A crossing at node 5 with arms to 1 (west, way 10), 2 (north, 11), 3 (east, 12), 4 (south, 13), and a ring
# of ways around it through 1 to 4, so that no arm is a dead end.
NODES = {1: (25.0, 60.001), 2: (25.002, 60.002), 3: (25.004, 60.001), 4: (25.002, 60.0), 5: (25.002, 60.001)}
WAYS: Sequence[tuple[int, Sequence[int], Mapping[str, str]]] = tuple(
    (number, nodes, {"highway": "residential", "name": name})
    for number, nodes, name in (
        (10, (1, 5), "west"),
        (11, (5, 2), "north"),
        (12, (5, 3), "east"),
        (13, (4, 5), "south"),
        (20, (1, 2), "ring"),
        (21, (2, 3), "ring"),
        (22, (3, 4), "ring"),
        (23, (4, 1), "ring"),
    )
)


def restriction(kind: str, origin: int, target: int, number: int = 1, **tags: str) -> Relations:
    members = (("w", origin, "from"), ("n", 5, "via"), ("w", target, "to"))
    return ((number, members, {"type": "restriction", "restriction": kind, **tags}),)


def built(folder: Path, relations: Relations, suffix: str = ".osm.pbf") -> tuple[BuildReport, RoadNetwork]:
    extract = write_extract(folder / f"x{suffix}", NODES, WAYS, relations=relations)
    report = build(extract, folder / "x.geojson.gz")
    return report, load(folder / "x.geojson.gz")


def ways_over_5(network: RoadNetwork, origin: str) -> set[str]:
    """The names of the roads that may follow when one comes to the crossing from there."""
    node = next(
        iter(
            {road.end for road in network.roads if road.name == "west"}
            & {road.start for road in network.roads if road.name == "east"}
        )
    )
    (arriving,) = [road for road in network.roads if road.name == origin and road.end == node]
    return {network.roads[after].name for after in network.successors[arriving.index]}


@pytest.mark.parametrize("suffix", [".osm.pbf", ".osm"])
def test_a_forbidden_turn_is_not_among_the_ways_on(tmp_path: Path, suffix: str) -> None:
    report, network = built(tmp_path, restriction("no_left_turn", 10, 11), suffix)
    assert (report.no_turns, report.unread) == (1, {})
    assert ways_over_5(network, "west") == {"east", "south"}
    assert ways_over_5(network, "south") == {"west", "north", "east"}  # others may


def test_only_one_way_on(tmp_path: Path) -> None:
    report, network = built(tmp_path, restriction("only_straight_on", 10, 12))
    assert report.no_turns == 3  # left, right, and back
    assert ways_over_5(network, "west") == {"east"}
    assert ways_over_5(network, "north") == {"west", "south", "east"}


def test_it_holds_for_a_way_drawn_against_the_driving(tmp_path: Path) -> None:
    """Way 11 is drawn away from the crossing, way 13 towards it."""
    _, network = built(tmp_path, restriction("no_straight_on", 11, 13))
    assert ways_over_5(network, "north") == {"west", "east"}
    assert ways_over_5(network, "south") == {"west", "north", "east"}


def test_several_ways_of_no_entry(tmp_path: Path) -> None:
    members = (("w", 10, "from"), ("w", 13, "from"), ("n", 5, "via"), ("w", 11, "to"))
    _, network = built(tmp_path, ((1, members, {"type": "restriction", "restriction": "no_entry"}),))
    assert ways_over_5(network, "west") == {"east", "south"}
    assert ways_over_5(network, "south") == {"west", "east"}
    assert ways_over_5(network, "east") == {"west", "north", "south"}


def test_what_is_not_for_cars_is_passed_over_and_the_rest_is_counted(tmp_path: Path) -> None:
    relations: Relations = (
        *restriction("no_left_turn", 10, 11, 1, **{"except": "psv;motorcar"}),
        (2, OVER_5, {"type": "restriction", "restriction:hgv": "no_left_turn"}),
        (3, OVER_5, {"type": "restriction", "restriction:conditional": "no_left_turn @ (07:00-09:00)"}),
        (4, (*OVER_5, ("w", 12, "via")), {"type": "restriction", "restriction": "no_u_turn"}),
        (5, OVER_5[:2], {"type": "restriction", "restriction": "no_left_turn"}),
        *restriction("prohibited", 10, 11, 6),
    )
    report, network = built(tmp_path, relations)
    assert report.no_turns == 0
    assert report.unread == {"conditional": 1, "incomplete": 2, "unknown": 1}
    assert ways_over_5(network, "west") == {"north", "east", "south"}


def test_a_way_that_goes_on_beyond_the_node_says_not_enough(tmp_path: Path) -> None:
    through = (10, (1, 5, 3), {"highway": "residential", "name": "west"})
    ways = [through, *(way for way in WAYS if way[0] not in {10, 12})]
    extract = write_extract(tmp_path / "x.osm", NODES, ways, relations=restriction("no_left_turn", 10, 11))
    assert build(extract, tmp_path / "x.gz").unread == {"ambiguous": 1}


def test_a_road_from_which_no_turn_is_left_is_not_in_the_network(tmp_path: Path) -> None:
    """Whoever comes from the west may only go on to where no car may drive."""
    ways = [*WAYS, (30, (5, 1), {"highway": "footway"})]
    extract = write_extract(
        tmp_path / "x.osm", NODES, ways, relations=restriction("only_straight_on", 10, 30)
    )
    build(extract, tmp_path / "x.gz")
    network = load(tmp_path / "x.gz")
    (west,) = [road for road in network.roads if road.name == "west"]  # one-way now, away from the crossing
    assert west.reverse is None
    assert network.roads[network.successors[west.index][0]].name == "ring"


def test_turning_back_may_be_forbidden_at_a_dead_end(tmp_path: Path) -> None:
    nodes = {**NODES, 6: (25.006, 60.001)}
    ways = [*WAYS, (40, (3, 6), {"highway": "residential", "name": "dead end"})]
    members = (("w", 40, "from"), ("n", 6, "via"), ("w", 40, "to"))
    relations = ((1, members, {"type": "restriction", "restriction": "no_u_turn"}),)
    build(write_extract(tmp_path / "x.osm", nodes, ways, relations=relations), tmp_path / "x.gz")
    assert "dead end" not in {road.name for road in load(tmp_path / "x.gz").roads}


@pytest.mark.parametrize("turn", [(1, 99), (0, 1), (1, 8), (-99, 1)])
def test_a_turn_between_roads_that_do_not_meet_is_refused(tmp_path: Path, turn: tuple[int, int]) -> None:
    built(tmp_path, ())
    file = read(tmp_path / "x.geojson.gz")
    file.no_turns = [turn]
    write(file, tmp_path / "bad.gz")
    with pytest.raises(RoadsError, match=rf"bad\.gz: no_turns: {turn[1]} does not follow {turn[0]}"):
        load(tmp_path / "bad.gz")


def test_relations_of_other_kinds_are_none() -> None:
    assert read_restriction({"type": "multipolygon", "natural": "water"}, []) is None
    assert read_restriction({"type": "restriction"}, OVER_5) is None
    specific = {"restriction": "no_left_turn", "restriction:motorcar": "only_left_turn"}
    assert read_restriction(specific, OVER_5) == Restriction((10,), 5, (11,), only=True)
    with pytest.raises(Unread, match="incomplete"):
        read_restriction({"restriction": "no_left_turn"}, [*OVER_5, ("n", 6, "via")])


NUMBERS = st.integers(0, 9)


@given(
    st.dictionaries(NUMBERS, st.tuples(st.integers(0, 4), st.integers(0, 4))),
    st.dictionaries(NUMBERS, NUMBERS),
    st.sets(st.tuples(NUMBERS, NUMBERS)),
)
def test_ways_on_meet_and_are_allowed(
    ends: dict[int, tuple[int, int]], reverses: dict[int, int], forbidden: set[tuple[int, int]]
) -> None:
    for road, following in ways_on(ends, reverses, forbidden).items():
        possible = {after for after in ends if ends[after][0] == ends[road][1]}
        allowed = {after for after in possible if (road, after) not in forbidden}
        assert set(following) <= allowed
        assert bool(following) is bool(allowed)
        if len(following) > 1:
            assert reverses.get(road) not in following


def over_ways(kind: str, ways: Sequence[int], **tags: str) -> Relations:
    """From the first of the ways over the others to the last."""
    roles = ["from", *["via"] * (len(ways) - 2), "to"]
    members = tuple(("w", number, role) for number, role in zip(ways, roles, strict=True))
    return ((1, members, {"type": "restriction", "restriction": kind, **tags}),)


def named(network: RoadNetwork, paths: list[tuple[int, ...]]) -> set[tuple[str, ...]]:
    """Paths in the file's numbers as the names of their roads, with the node where each ends."""
    file = read(network.path)
    roads = [f.properties for f in file.features if isinstance(f.properties, RoadProperties)]
    return {tuple(roads[abs(n) - 1].name for n in path) for path in paths}


def test_a_path_over_a_way_is_forbidden_to_those_who_come_from_there(tmp_path: Path) -> None:
    """From the west over the crossing to the east and back by the ring."""
    report, network = built(tmp_path, over_ways("no_u_turn", [10, 12, 21]))
    assert (report.no_turns, report.no_paths, report.unread) == (0, 1, {})
    assert named(network, read(network.path).no_turns) == {("west", "east", "ring")}
    (west,) = [r.index for r in network.roads if r.name == "west" and r.end == 4]
    (south,) = [r.index for r in network.roads if r.name == "south" and r.end == 4]
    (east,) = [r.index for r in network.roads if r.name == "east" and r.start == 4]
    (from_west,) = [s for s in network.onward[west] if network.state_roads[s] == east]
    assert east in network.onward[south]  # the state of who may go on everywhere
    assert len(network.onward[east]) == 2
    assert len(network.onward[from_west]) == 1
    assert network.successors[east] == network.onward[east]


def test_several_ways_between_in_any_order(tmp_path: Path) -> None:
    for number, ways in enumerate(([10, 12, 21, 20], [10, 21, 12, 20])):
        folder = tmp_path / str(number)
        folder.mkdir()
        report, network = built(folder, over_ways("no_u_turn", ways))
        assert report.no_paths == 1
        assert named(network, read(network.path).no_turns) == {("west", "east", "ring", "ring")}


def test_a_way_between_is_driven_in_all_its_pieces(tmp_path: Path) -> None:
    """Way 50 leads over the crossing: two pieces, and the path over it has four roads."""
    through = (50, (1, 5, 3), {"highway": "residential", "name": "through"})
    ways = [*(one for one in WAYS if one[0] not in {10, 12}), through]
    relations = over_ways("no_straight_on", [20, 50, 22])
    report = build(write_extract(tmp_path / "x.osm", NODES, ways, relations=relations), tmp_path / "x.gz")
    network = load(tmp_path / "x.gz")
    assert (report.no_paths, report.unread) == (1, {})
    assert named(network, read(network.path).no_turns) == {("ring", "through", "through", "ring")}


def test_only_this_way_on_after_a_way(tmp_path: Path) -> None:
    """Who comes from the west over the eastern arm has to go on south; who leaves earlier is not meant."""
    report, network = built(tmp_path, over_ways("only_right_turn", [10, 12, 22]))
    assert named(network, read(network.path).no_turns) == {("west", "east", "ring")}
    assert report.no_paths == 1  # north; nobody turns back there anyway
    assert ways_over_5(network, "west") == {"north", "east", "south"}


def test_except_and_conditions_are_those_of_turns(tmp_path: Path) -> None:
    members = over_ways("no_u_turn", [10, 12, 21])[0][1]
    relations: Relations = (
        *over_ways("no_u_turn", [10, 12, 21], **{"except": "motor_vehicle"}),
        (2, members, {"type": "restriction", "restriction:conditional": "no_u_turn @ (Mo-Fr)"}),
        (3, members, {"type": "restriction", "restriction:hgv": "no_u_turn"}),
    )
    report, network = built(tmp_path, relations)
    assert (report.no_turns, report.no_paths, report.unread) == (0, 0, {"conditional": 1})
    assert list(network.state_roads) == list(range(len(network.roads)))


def test_a_path_that_nobody_can_drive_forbids_nothing(tmp_path: Path) -> None:
    for number, ways in enumerate(([10, 22, 21], [10, 12, 10], [10, 99, 11])):
        folder = tmp_path / str(number)
        folder.mkdir()
        report, _ = built(folder, over_ways("no_u_turn", ways))
        assert (report.no_turns, report.no_paths, report.unread) == (0, 0, {})


def test_a_way_that_goes_on_beyond_the_one_between_says_not_enough(tmp_path: Path) -> None:
    through = (10, (1, 5, 3), {"highway": "residential", "name": "west"})
    ways = [through, *(one for one in WAYS if one[0] not in {10, 12})]
    extract = write_extract(
        tmp_path / "x.osm", NODES, ways, relations=over_ways("no_left_turn", [10, 11, 20])
    )
    assert build(extract, tmp_path / "x.gz").unread == {"ambiguous": 1}
