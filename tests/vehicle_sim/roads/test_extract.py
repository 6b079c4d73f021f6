"""Reading OpenStreetMap extracts with pyosmium."""

from pathlib import Path

import pytest

from tests.vehicle_sim.roads.osm_files import SQUARE_NODES, SQUARE_WAYS, write_extract
from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.extract import Extract, read_extract
from vehicle_sim.roads.progress import silent
from vehicle_sim.roads.tags import Control


def extract(path: Path, *, buildings: bool = True) -> Extract:
    return read_extract(path, buildings=buildings, progress=silent)


@pytest.mark.parametrize("suffix", [".osm.pbf", ".osm", ".osm.gz"])
def test_drivable_ways_with_their_nodes(tmp_path: Path, suffix: str) -> None:
    found = extract(write_extract(tmp_path / f"square{suffix}", SQUARE_NODES, SQUARE_WAYS))
    assert [way.id for way in found.ways] == [10, 11, 12, 13, 14]
    assert found.ways[0].nodes == [1, 5, 2]
    assert found.ways[0].positions == [(25.0, 60.0), (25.0009, 60.0), (25.0018, 60.0)]
    assert found.box is None


def test_controls_areas_and_coastlines(tmp_path: Path) -> None:
    ring = (1, 2, 3, 4, 1)
    ways = (
        (1, ring, {"natural": "water", "name": "Lake"}),
        (2, ring, {"leisure": "park"}),
        (3, ring, {"building": "yes"}),
        (4, ring, {"building": "no"}),
        (5, (1, 2, 3), {"natural": "coastline"}),
        (6, ring, {"landuse": "residential"}),
    )
    path = write_extract(tmp_path / "a.osm.pbf", SQUARE_NODES, ways, {2: {"highway": "traffic_signals"}})
    found = extract(path)
    assert {(area.kind, area.name) for area in found.areas} == {
        ("water", "Lake"),
        ("park", ""),
        ("building", ""),
    }
    assert len(found.coastlines) == 1
    assert found.controls[2].control is Control.SIGNAL
    assert {area.kind for area in extract(path, buildings=False).areas} == {"water", "park"}


def test_a_way_that_leaves_the_extract_is_cut_there(tmp_path: Path) -> None:
    nodes = {number: place for number, place in SQUARE_NODES.items() if number != 3}
    path = write_extract(tmp_path / "a.osm.pbf", nodes, [(1, (1, 2, 3, 4, 5, 6), {"highway": "residential"})])
    assert [way.nodes for way in extract(path).ways] == [[1, 2], [4, 5, 6]]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    path = write_extract(tmp_path / "a.osm.pbf", SQUARE_NODES, SQUARE_WAYS)
    read_extract(path, buildings=True, progress=lambda what, count: told.append((what, count)))
    assert told[0] == ("objects read", 0)


def test_files_that_are_no_whole_extract_are_refused(tmp_path: Path) -> None:
    whole = write_extract(tmp_path / "a.osm.pbf", SQUARE_NODES, SQUARE_WAYS).read_bytes()
    (tmp_path / "cut.osm.pbf").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bad.osm.pbf").write_bytes(b"hello" * 100)
    (tmp_path / "cut.osm").write_text("<osm version='0.6'><node id='1' lat='1'")
    (tmp_path / "folder.osm.pbf").mkdir()
    for name in ("cut.osm.pbf", "bad.osm.pbf", "cut.osm"):
        with pytest.raises(RoadsError, match=f"{name}: cannot be read as an OpenStreetMap extract: "):
            extract(tmp_path / name)
    with pytest.raises(RoadsError, match="no such file"):
        extract(tmp_path / "none.osm.pbf")
    with pytest.raises(RoadsError, match="not a file"):
        extract(tmp_path / "folder.osm.pbf")
