"""The file of a road network."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.format import ATTRIBUTION, Feature, LineString, RoadFile, RoadProperties, read, write

ROAD = Feature(
    LineString([(25.0, 60.0), (25.001, 60.0)]), RoadProperties("primary", 0, 1, speed=40, length=55.8)
)
FILE = RoadFile("fleetcell-roads", 3, ATTRIBUTION, "x.osm.pbf", (25.0, 60.0, 25.001, 60.0), [ROAD])


def test_it_is_geojson(tmp_path: Path) -> None:
    write(FILE, tmp_path / "r.geojson.gz")
    document = json.loads(gzip.decompress((tmp_path / "r.geojson.gz").read_bytes()))
    assert document == {
        "type": "FeatureCollection",
        "format": "fleetcell-roads",
        "version": 3,
        "attribution": "© OpenStreetMap contributors, ODbL 1.0",
        "source": "x.osm.pbf",
        "bbox": [25.0, 60.0, 25.001, 60.0],
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": [[25.0, 60.0], [25.001, 60.0]]},
                "properties": {
                    "kind": "road",
                    "class": "primary",
                    "from": 0,
                    "to": 1,
                    "speed": 40,
                    "length": 55.8,
                },
            }
        ],
    }


def test_written_and_read_is_the_same(tmp_path: Path) -> None:
    size = write(FILE, tmp_path / "r.geojson.gz")
    assert size == (tmp_path / "r.geojson.gz").stat().st_size
    assert read(tmp_path / "r.geojson.gz") == FILE
    assert [p.name for p in tmp_path.iterdir()] == ["r.geojson.gz"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    write(FILE, tmp_path / "a.gz")
    write(FILE, tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)  # no time in it


def test_it_may_be_unpacked(tmp_path: Path) -> None:
    write(FILE, tmp_path / "r.gz")
    (tmp_path / "r.geojson").write_bytes(gzip.decompress((tmp_path / "r.gz").read_bytes()))
    assert read(tmp_path / "r.geojson") == FILE


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_earlier_version_is_read(tmp_path: Path, version: int) -> None:
    """What was built before there were restrictions, and before there were some over ways."""
    write(FILE, tmp_path / "r.gz")
    document = json.loads(gzip.decompress((tmp_path / "r.gz").read_bytes()))
    (tmp_path / "r.gz").write_text(json.dumps({**document, "version": version}))
    assert read(tmp_path / "r.gz").features == FILE.features


def change(**properties: Any) -> dict[str, Any]:
    return properties


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        (("version",), 4, "'fleetcell-roads' version 4, not 'fleetcell-roads' version 3 or older: build it"),
        (("format",), "other", "'other' version 3, not"),
        (("no_turns",), [[1]], "Expected `array` of length >= 2"),
        (("features",), [{}], "missing required field|type"),
        (("features", 0, "properties", "kind"), "canal", "Invalid value 'canal'"),
        (("features", 0, "properties", "speed"), "fast", "Expected `int`, got `str`"),
        (("features", 0, "properties", "speed"), 0, "feature 0: speed limit 0 km/h"),
        (("features", 0, "properties", "speed_back"), 1000, "feature 0: speed limit"),
        (("features", 0, "properties", "length"), 0, "feature 0: length 0"),
        (("features", 0, "properties", "from"), -1, "feature 0: a node number below 0"),
        (("features", 0, "properties", "control"), "police", "Invalid enum value 'police'"),
        (("features", 0, "geometry", "coordinates"), [[25.0, 60.0]], "fewer than two points"),
        (("features", 0, "geometry", "coordinates"), [[25.0, 95.0], [25, 60]], "outside the Earth's degrees"),
        (
            ("features", 0, "geometry"),
            {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [1, 2], [1, 1]]]},
            "not a LineString",
        ),
        (("features", 0, "properties"), {"kind": "water"}, "land is not a Polygon"),
        (("heights",), "sea", "feature 0: either all roads have heights or none"),
        (("heights",), "moon", "Invalid enum value 'moon'"),
        (("features", 0, "properties", "heights"), [1.0, 2.0], "either all roads have heights or none"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, where: tuple[Any, ...], value: Any, reason: str) -> None:
    write(FILE, tmp_path / "r.gz")
    document: Any = json.loads(gzip.decompress((tmp_path / "r.gz").read_bytes()))
    place = document
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    (tmp_path / "r.gz").write_text(json.dumps(document))
    with pytest.raises(RoadsError, match=reason):
        read(tmp_path / "r.gz")


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RoadsError, match="cannot be read: No such file"):
        read(tmp_path / "none")
    (tmp_path / "r").write_text("roads!")
    with pytest.raises(RoadsError, match=r"not a road network: .*sim roads build"):
        read(tmp_path / "r")
    write(FILE, tmp_path / "cut")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:-20])
    with pytest.raises(RoadsError, match="cut off or damaged"):
        read(tmp_path / "cut")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RoadsError, match="cannot be written"):
        write(FILE, tmp_path / "none" / "r.gz")


@pytest.mark.parametrize(
    ("heights", "reason"), [([1.0], "1 heights of 2 points"), ([1.0, 1e6], "a height that no road has")]
)
def test_heights_are_one_for_each_point(tmp_path: Path, heights: list[float], reason: str) -> None:
    write(FILE, tmp_path / "r.gz")
    document: Any = json.loads(gzip.decompress((tmp_path / "r.gz").read_bytes()))
    document["heights"] = "relative"
    document["features"][0]["properties"]["heights"] = heights
    (tmp_path / "r.gz").write_text(json.dumps(document))
    with pytest.raises(RoadsError, match=f"feature 0: {reason}"):
        read(tmp_path / "r.gz")
