"""The network as it is driven."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from vehicle_sim.roads import HELSINKI, RoadNetwork, RoadsError, load
from vehicle_sim.roads.format import (
    ATTRIBUTION,
    Feature,
    LineString,
    Position,
    RoadFile,
    RoadProperties,
    write,
)
from vehicle_sim.roads.network import corner_radius_m
from vehicle_sim.roads.tags import Control

GEOD = Geod(ellps="WGS84")


def road(start: int, end: int, points: list[Position], **properties: object) -> Feature:
    lons, lats = zip(*points, strict=True)
    length = round(GEOD.line_length(lons, lats), 2)
    made = RoadProperties("residential", start, end, speed=36, length=length)
    for key, value in properties.items():
        setattr(made, key, value)
    return Feature(LineString(points), made)


A, B, C = (25.0, 60.0), (25.01, 60.0), (25.01, 60.005)


def network(path: Path, *features: Feature) -> RoadNetwork:
    write(RoadFile("fleetcell-roads", 1, ATTRIBUTION, "t", (25.0, 60.0, 25.01, 60.005), [*features]), path)
    return load(path)


def test_both_directions_of_a_road(tmp_path: Path) -> None:
    loaded = network(
        tmp_path / "r.gz", road(0, 1, [A, B, C], speed_back=18, control="signal", control_back="stop")
    )
    forth, back = loaded.roads
    assert (forth.index, forth.start, forth.end, forth.reverse) == (0, 0, 1, 1)
    assert (back.index, back.start, back.end, back.reverse) == (1, 1, 0, 0)
    assert (forth.limit_ms, back.limit_ms) == (10.0, 5.0)
    assert (forth.control, back.control) == (Control.SIGNAL, Control.STOP)
    assert forth.points == back.points[::-1]
    assert forth.headings == pytest.approx([90, 0], abs=0.01)
    assert back.headings == pytest.approx([180, 270], abs=0.01)
    assert forth.offsets_m[-1] == forth.length_m == back.length_m
    assert forth.bends[0][0] == forth.offsets_m[1]


def test_turning_back_only_at_a_dead_end(tmp_path: Path) -> None:
    loaded = network(
        tmp_path / "r.gz", road(0, 1, [A, B]), road(1, 2, [B, C]), road(2, 0, [C, A], oneway=True)
    )
    ab, ba, bc, _, ca = loaded.roads
    assert loaded.successors == [(bc.index,), (ab.index,), (ca.index,), (ba.index,), (ab.index,)]


def test_times_and_starts(tmp_path: Path) -> None:
    loaded = network(tmp_path / "r.gz", road(0, 1, [A, B], control="signal"))
    length = loaded.roads[0].length_m
    assert loaded.times_s == pytest.approx([length / 10 + 8, length / 10])
    assert loaded.starts_m == pytest.approx([length, 2 * length])
    assert loaded.length_m == pytest.approx(2 * length)


def test_positions_on_a_road(tmp_path: Path) -> None:
    forth = network(tmp_path / "r.gz", road(0, 1, [A, B, C])).roads[0]
    assert forth.at(0)[:2] == A
    assert forth.at(-5)[:2] == A
    assert forth.at(forth.offsets_m[1])[:2] == pytest.approx(B, abs=1e-12)
    assert forth.at(forth.length_m)[:2] == pytest.approx(C)
    assert forth.at(1e9)[:2] == C
    assert forth.at(forth.offsets_m[1] / 2) == pytest.approx((25.005, 60.0, 90.0), abs=0.01)


def test_heights_on_a_road(tmp_path: Path) -> None:
    made = road(0, 1, [A, B, C], heights=[10.0, 30.0, 20.0])
    file = RoadFile(
        "fleetcell-roads", 3, ATTRIBUTION, "t", (25.0, 60.0, 25.01, 60.005), [made], heights="sea"
    )
    write(file, tmp_path / "r.gz")
    loaded = load(tmp_path / "r.gz")
    forth, back = loaded.roads
    assert loaded.heights == "sea"
    assert [forth.height_at(m) for m in (-1, 0, forth.offsets_m[1] / 2, forth.offsets_m[1], 1e9)] == [
        10, 10, 20, 30, 20
    ]  # fmt: skip
    assert back.heights_m == (20, 30, 10)
    assert back.height_at(40) == pytest.approx(forth.height_at(forth.length_m - 40))
    flat = network(tmp_path / "flat.gz", road(0, 1, [A, B]))
    assert flat.heights is None
    assert flat.roads[0].height_at(5) == 0


def test_what_cannot_be_driven_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoadsError, match="no road leads on from node 1"):
        network(tmp_path / "r.gz", road(0, 1, [A, B], oneway=True))
    with pytest.raises(RoadsError, match="from node 0 to 1 is not as long as it says"):
        network(tmp_path / "r.gz", road(0, 1, [A, B], length=100.0))
    with pytest.raises(RoadsError, match="is not as long as it says"):
        network(tmp_path / "r.gz", road(0, 1, [A, A, B]))
    with pytest.raises(RoadsError, match="no road in the file"):
        network(tmp_path / "r.gz")


@pytest.mark.parametrize(
    ("turn", "before", "after", "radius"),
    [
        (0, 10, 10, None),
        (3, 10, 10, None),
        (90, 20, 30, 10),
        (-90, 20, 30, 10),
        (90, 1, 1, 5),
        (90, 500, 500, 25),
    ],
)
def test_corner_radius(turn: float, before: float, after: float, radius: float | None) -> None:
    found = corner_radius_m(turn, before, after)
    assert found is None if radius is None else found == pytest.approx(radius)


def test_turning_back_has_the_smallest_radius() -> None:
    assert 0 < (corner_radius_m(180, 50, 50) or 0) < 1


def test_helsinki_is_one_network_with_its_attribution() -> None:
    assert NETWORK.path == HELSINKI
    assert NETWORK.attribution == "© OpenStreetMap contributors, ODbL 1.0"
    assert (HELSINKI.parent / "NOTICE.md").read_text().count("ODbL") >= 2
    assert len(NETWORK.roads) > 1000
    west, south, east, north = NETWORK.bounds
    assert 24.9 < west < east < 25.0
    assert 60.1 < south < north < 60.2
    names = {road.name for road in NETWORK.roads}
    assert {"Mannerheimintie", "Kaivokatu"} <= names
    assert any(road.control is Control.SIGNAL for road in NETWORK.roads)
    reached, rest = {0}, [0]
    while rest:
        for after in NETWORK.successors[rest.pop()]:
            if after not in reached:
                reached.add(after)
                rest.append(after)
    assert len(reached) > 0.97 * len(NETWORK.roads)


def test_helsinkis_lengths_are_the_ellipsoids() -> None:
    for one in NETWORK.roads:
        lons, lats = zip(*one.points, strict=True)
        assert one.length_m == pytest.approx(GEOD.line_length(lons, lats), abs=0.006)
        assert all(a < b for a, b in pairwise(one.offsets_m))
        assert all(0 <= heading < 360 for heading in one.headings)
        assert all(0 < offset < one.length_m and radius > 0 for offset, radius in one.bends)


def test_helsinkis_roads_go_on_where_they_end() -> None:
    for one in NETWORK.roads:
        for after in NETWORK.successors[one.index]:
            following = NETWORK.roads[after]
            assert following.start == one.end
            assert following.points[0] == one.points[-1]
            assert following.index != one.reverse or len(NETWORK.successors[one.index]) == 1


@given(st.integers(0, len(NETWORK.roads) - 1), st.floats(0, 1), st.floats(0, 1))
def test_offsets_are_metres(index: int, a: float, b: float) -> None:
    one = NETWORK.roads[index]
    low, high = sorted((a * one.length_m, b * one.length_m))
    begin, end = one.at(low)[:2], one.at(high)[:2]
    inner = [p for p, offset in zip(one.points, one.offsets_m, strict=True) if low < offset < high]
    lons, lats = zip(begin, *inner, end, strict=True)
    assert math.isclose(GEOD.line_length(lons, lats), high - low, rel_tol=1e-3, abs_tol=0.01)
