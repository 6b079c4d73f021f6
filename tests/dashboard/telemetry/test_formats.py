"""CSV, GeoJSON and GPX of readings are read back as they were, also in several portions."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from dashboard.telemetry.formats import Format, writer_of
from dashboard.telemetry.selection import EVERYTHING, select

NOW = datetime(2026, 11, 20, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
signals = st.fixed_dictionaries(
    {},
    optional={
        "lat": st.floats(-90, 90),
        "lon": st.floats(-180, 180),
        "speed": st.floats(0, 300),
        "rat": texts,
        "odd": st.lists(st.integers(), max_size=3),
    },
)


def readings(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "time": NOW + timedelta(seconds=seq),
            "vehicle": "a" if seq % 3 else "b",
            "boot": "0" * 32,
            "seq": seq,
            "received_at": NOW,
            "quality": 0,
            "signals": values,
        }
        for seq, values in enumerate(found, start=1)
    ]


def written(kind: Format, items: list[dict[str, Any]], *, everything: bool = True) -> str:
    writer = writer_of(kind, EVERYTHING if everything else select(["rat", "odd"]))
    middle = len(items) // 2
    return writer.head() + writer.body(items[:middle]) + writer.body(items[middle:]) + writer.tail()


@given(st.lists(signals, max_size=6))
def test_csv(found: list[dict[str, Any]]) -> None:
    rows = list(csv.DictReader(io.StringIO(written(Format.CSV, readings(found)), newline="")))
    assert len(rows) == len(found)
    for row, values in zip(rows, found, strict=True):
        assert row["rat"] == values.get("rat", "")
        assert (float(row["speed"]) if row["speed"] else None) == values.get("speed")
        assert (json.loads(row["extra"])["odd"] if row["extra"] else None) == values.get("odd")
    header = written(Format.CSV, [], everything=False).strip().split(",")
    assert header[-2:] == ["rat", "odd"]


@given(st.lists(signals, max_size=6))
def test_ndjson_and_geojson(found: list[dict[str, Any]]) -> None:
    lines = written(Format.NDJSON, readings(found)).split("\n")[:-1]
    assert [json.loads(line)["signals"] for line in lines] == found
    collection = json.loads(written(Format.GEOJSON, readings(found)))
    placed = [values for values in found if "lat" in values and "lon" in values]
    assert [f["geometry"]["coordinates"] for f in collection["features"]] == [
        [v["lon"], v["lat"]] for v in placed
    ]
    assert collection["without_position"] == len(found) - len(placed)


@given(st.lists(signals, max_size=8))
def test_gpx(found: list[dict[str, Any]]) -> None:
    root = ET.fromstring(written(Format.GPX, readings(found)))
    points = root.findall(".//{*}trkpt")
    assert len(points) == sum("lat" in values and "lon" in values for values in found)


def test_names_are_escaped() -> None:
    (item,) = readings([{"lat": 1.0, "lon": 2.0}])
    item["vehicle"] = "<b&c>"
    root = ET.fromstring(written(Format.GPX, [item]))
    name = root.find(".//{*}name")
    assert name is not None
    assert name.text == "<b&c>"
