"""From an extract to a file that can be driven on."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.vehicle_sim.roads.osm_files import SQUARE_NODES, SQUARE_WAYS, write_extract
from tests.vehicle_sim.roads.test_elevation import write_plane
from vehicle_sim.roads import RoadsError, build, load
from vehicle_sim.roads.tags import Control


def test_build_and_load(tmp_path: Path) -> None:
    extract = write_extract(
        tmp_path / "square.osm.pbf",
        SQUARE_NODES,
        [*SQUARE_WAYS, (20, (1, 5, 4, 1), {"natural": "water", "name": "Pond"})],
        {5: {"highway": "traffic_signals"}},
    )
    told: list[tuple[str, int]] = []
    report = build(extract, tmp_path / "out.gz", lambda what, count: told.append((what, count)))
    # 1-5, 5-2, 2-3-4, 4-1 and the dead end 2-6; the island 7-8 is left out.
    assert (report.roads, report.nodes, report.left_out, report.signals) == (5, 5, 1, 2)
    assert report.land == {"water": 1, "park": 0, "building": 0}
    assert report.km == pytest.approx(0.45, abs=0.01)
    assert report.bounds == (25.0, 60.0, 25.0027, 60.0009)
    assert report.size_bytes == (tmp_path / "out.gz").stat().st_size
    assert [what for what, _ in told] == [
        "objects read",
        "roads between junctions",
        "roads in one network",
        "polygons",
    ]
    network = load(tmp_path / "out.gz")
    assert len(network.roads) == 8  # two one-way
    assert network.source == "square.osm.pbf"
    assert {road.name for road in network.roads} == {"South", ""}
    assert [road.limit_ms * 3.6 for road in network.roads if road.kind == "primary"] == pytest.approx(
        [50, 60]
    )
    assert [road.tunnel for road in network.roads if road.kind == "primary"] == [False, True]
    assert sum(road.control is Control.SIGNAL for road in network.roads) == 2


def test_the_same_extract_gives_the_same_bytes(tmp_path: Path) -> None:
    extract = write_extract(tmp_path / "square.osm.pbf", SQUARE_NODES, SQUARE_WAYS)
    build(extract, tmp_path / "a")
    build(extract, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_heights_of_tags_and_tiles(tmp_path: Path) -> None:
    """The way from 1 to 4 is drawn against the driving, and says that it rises from 1 to 4."""
    ways = [
        (number, nodes, {**tags, "incline": "5%"} if number == 12 else tags)
        for number, nodes, tags in SQUARE_WAYS
    ]
    extract = write_extract(tmp_path / "square.osm.pbf", SQUARE_NODES, ways)
    flat = build(extract, tmp_path / "tags.gz")
    assert flat.heights == "relative"
    assert 0.01 < flat.steepest < 0.05
    network = load(tmp_path / "tags.gz")
    assert network.heights == "relative"
    (down,) = [road for road in network.roads if road.tunnel]  # driven from 4 to 1
    assert down.heights_m[0] > down.heights_m[-1] + 2
    for road in network.roads:
        for after in network.successors[road.index]:
            assert network.roads[after].heights_m[0] == road.heights_m[-1]

    tiles = tmp_path / "tiles"
    tiles.mkdir()
    write_plane(tiles / "N60E025.hgt", 0, 11_112, base_m=20)  # 10 m in 100 m to the north
    hilly = build(extract, tmp_path / "tiles.gz", heights=tiles)
    assert hilly.heights == "sea"
    network = load(tmp_path / "tiles.gz")
    (south,) = [r for r in network.roads if r.name == "South" and r.points[0] == (25.0, 60.0)]
    assert south.heights_m[0] == pytest.approx(20, abs=3)
    (down,) = [road for road in network.roads if road.tunnel]
    assert 4 < down.heights_m[0] - down.heights_m[-1] < 10
    with pytest.raises(RoadsError, match="no such folder"):
        build(extract, tmp_path / "x.gz", heights=tmp_path / "none")


@pytest.mark.parametrize(
    ("ways", "reason"),
    [
        ([], "no road open to cars"),
        ([(1, (1, 2), {"highway": "footway"})], "no road open to cars"),
        ([(1, (1, 2), {"highway": "primary", "oneway": "yes"})], "can be driven in a circle"),
    ],
)
def test_an_extract_without_a_network_is_refused(tmp_path: Path, ways: Any, reason: str) -> None:
    extract = write_extract(tmp_path / "x.osm.pbf", SQUARE_NODES, ways)
    with pytest.raises(RoadsError, match=rf"x\.osm\.pbf: no road .*{reason.removeprefix('no road ')}"):
        build(extract, tmp_path / "out.gz")
    assert not (tmp_path / "out.gz").exists()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("extract", "graph", "land"):
        monkeypatch.delitem(sys.modules, f"vehicle_sim.roads.{name}", raising=False)
        monkeypatch.delattr(f"vehicle_sim.roads.{name}", raising=False)
    real = builtins.__import__

    def without_osmium(name: str, *args: Any, **more: Any) -> Any:
        if name == "osmium":
            raise ModuleNotFoundError("No module named 'osmium'", name="osmium")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without_osmium)
    with pytest.raises(RoadsError, match=r"pip install 'fleetcell\[roads\]' \(osmium is missing\)"):
        build(tmp_path / "x.osm.pbf", tmp_path / "out.gz")
