"""Readings and buckets over real HTTP."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.dashboard.conftest import Running, serving, settings_of
from tests.dashboard.fleet import Fleet
from tests.postgres_servers import Database, connected

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture
async def driven(running: Running) -> Running:
    """Vehicle a: 10 readings, one a second; b: 3; c: none, and no catalogue has its latest signal."""
    await running.fleet.add("a", "b", "c")
    for name, count in (("a", 10), ("b", 3)):
        await running.fleet.read(
            name,
            [
                {
                    "time": START + timedelta(seconds=n),
                    "lat": round(60.17 + n / 1000, 3),
                    "lon": 24.94,
                    "speed": 10.0 * n,
                    "heading": 359.0 if n % 2 else 1.0,
                    "ignition": n >= 5,
                    "rat": "LTE",
                    "extra": {"throttle": n, "odd": {"x": n}, "dtc": ["P0420"]},
                }
                for n in range(count)
            ],
        )
    await running.fleet.latest("a", START, 60.17, 24.94, odd={"x": 1})
    await running.fleet.latest("b", START, 60.17, 24.94, odd={"x": 2})
    await running.fleet.latest("c", START, 60.17, 24.94, rare=1)
    return running


async def get(running: Running, path: str, **params: object) -> dict[str, object]:
    answer = await running.api.get(f"/api/v1/{path}", params={k: str(v) for k, v in params.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def every_page(running: Running, path: str, **params: object) -> list[dict[str, Any]]:
    """The answers from the first page to the last."""
    found = [await get(running, path, **params)]
    while found[-1]["next_cursor"] is not None:
        found.append(await get(running, path, **params, cursor=found[-1]["next_cursor"]))
    return found


async def test_raw_readings_page_through_without_loss(driven: Running) -> None:
    pages = await every_page(driven, "vehicles/a/telemetry", limit=4, signals="speed,odd")
    assert [page["units"] for page in pages] == [{"speed": "km/h", "odd": ""}] * 3
    seen = [item for page in pages for item in page["items"]]
    assert [item["seq"] for item in seen] == list(range(1, 11))
    assert seen[3]["signals"] == {"speed": 30.0, "odd": {"x": 3}}
    assert seen[3]["time"] == "2026-11-20T09:00:03Z"


async def test_order_and_range(driven: Running) -> None:
    answer = await get(
        driven,
        "vehicles/a/telemetry",
        order="desc",
        since="2026-11-20T09:00:02Z",
        until="2026-11-20T11:00:06+02:00",
        signals="Vehicle.Speed",
    )
    items = answer["items"]
    assert isinstance(items, list)
    assert [item["signals"]["speed"] for item in items] == [50, 40, 30, 20]


async def test_buckets(driven: Running) -> None:
    answer = await get(driven, "vehicles/a/telemetry", bucket="5s", limit=1)
    items = answer["items"]
    assert isinstance(items, list)
    (first,) = items
    assert first["time"] == "2026-11-20T09:00:00Z"
    assert first["count"] == 5
    assert first["signals"]["speed"] == {"avg": 20, "min": 0, "max": 40, "last": 40}
    assert first["signals"]["ignition"] == {"avg": 0, "last": False}
    assert first["signals"]["rat"] == {"last": "LTE"}
    mean = first["signals"]["heading"]["avg"]
    assert min(mean, 360 - mean) < 1  # not 180
    second = await get(
        driven,
        "vehicles/a/telemetry",
        bucket="5s",
        cursor=answer["next_cursor"],
        agg="max",
        signals="speed,throttle",
    )
    assert second["items"] == [
        {
            "time": "2026-11-20T09:00:05Z",
            "count": 5,
            "signals": {"speed": {"max": 90}, "throttle": {"max": 9}},
        }
    ]
    assert second["next_cursor"] is None


async def test_readings_with_a_wrong_clock_stay_out_of_buckets(driven: Running) -> None:
    await driven.fleet.read(
        "c",
        [
            {"time": START, "speed": 500.0, "quality": 1, "extra": {"$device_time_ms": 5}},
            {"time": START, "speed": 5.0},
        ],
    )
    buckets = (await get(driven, "vehicles/c/telemetry", bucket="1m", signals="speed"))["items"]
    assert isinstance(buckets, list)
    (bucket,) = buckets
    assert bucket["signals"]["speed"]["max"] == 5
    items = (await get(driven, "vehicles/c/telemetry"))["items"]
    assert isinstance(items, list)
    assert [item["quality"] for item in items] == [1, 0]
    assert items[0]["signals"] == {"speed": 500.0}
    assert items[0]["notes"] == {"device_time_ms": 5}


async def test_across_vehicles(driven: Running) -> None:
    pages = await every_page(driven, "telemetry", limit=4, signals="speed")
    seen = [(item["vehicle"], item["seq"]) for page in pages for item in page["items"]]
    assert seen == [("a", n) for n in range(1, 11)] + [("b", n) for n in range(1, 4)]
    only = (await get(driven, "telemetry", vehicles="b,c", bucket="1m", signals="speed", agg="avg"))["items"]
    assert only == [
        {"time": "2026-11-20T09:00:00Z", "count": 3, "signals": {"speed": {"avg": 10}}, "vehicle": "b"}
    ]
    paged = await get(driven, "telemetry", bucket="5s", signals="speed", agg="last", limit=2)
    rest = await get(
        driven, "telemetry", bucket="5s", signals="speed", agg="last", limit=2, cursor=paged["next_cursor"]
    )
    assert isinstance(rest["items"], list)
    assert [item["vehicle"] for item in rest["items"]] == ["b"]
    known = await get(driven, "telemetry", limit=1, signals="odd,rare")
    assert known["items"]


async def test_csv_is_streamed_whole(driven: Running) -> None:
    answer = await driven.api.get("/api/v1/vehicles/a/telemetry", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 10
    assert rows[9]["speed"] == "90.0"
    assert rows[9]["ignition"] == "true"
    assert rows[9]["soc"] == ""
    assert json.loads(rows[9]["extra"]) == {"throttle": 9, "odd": {"x": 9}, "dtc": ["P0420"]}
    answer = await driven.api.get(
        "/api/v1/telemetry", params={"format": "csv", "signals": "speed,throttle", "limit": 12}
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["vehicle"] for row in rows] == ["a"] * 10 + ["b"] * 2
    rest = await driven.api.get(
        "/api/v1/telemetry",
        params={"format": "csv", "signals": "speed", "cursor": answer.headers["next-cursor"]},
    )
    assert len(list(csv.DictReader(io.StringIO(rest.text)))) == 1
    assert "next-cursor" not in rest.headers
    buckets = await driven.api.get(
        "/api/v1/vehicles/a/telemetry",
        params={"format": "csv", "bucket": "5s", "signals": "speed", "agg": "min,max"},
    )
    assert buckets.text.splitlines() == [
        "time,count,speed_min,speed_max",
        "2026-11-20T09:00:00Z,5,0.0,40.0",
        "2026-11-20T09:00:05Z,5,50.0,90.0",
    ]


async def test_other_formats(driven: Running) -> None:
    lines = (await driven.api.get("/api/v1/telemetry", params={"format": "ndjson"})).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [*range(1, 11), 1, 2, 3]
    await driven.fleet.read("b", [{"time": START + timedelta(minutes=1), "speed": 1.0}], first_seq=4)
    geo = (
        await driven.api.get("/api/v1/vehicles/b/telemetry", params={"format": "geojson", "signals": "speed"})
    ).json()
    assert [feature["geometry"]["coordinates"] for feature in geo["features"]] == [
        [24.94, 60.17],
        [24.94, 60.171],
        [24.94, 60.172],
    ]
    assert geo["without_position"] == 1
    gpx = ET.fromstring((await driven.api.get("/api/v1/telemetry", params={"format": "gpx"})).text)
    space = {"g": "http://www.topografix.com/GPX/1/1"}
    assert [name.text for name in gpx.findall("g:trk/g:name", space)] == ["a", "b"]
    assert len(gpx.findall("g:trk/g:trkseg/g:trkpt", space)) == 13


async def test_every_kind_of_database_answers_alike(any_database: Database, tmp_path: Path) -> None:
    async with connected(any_database.owner) as connection:
        fleet = Fleet(connection)
        async with serving(settings_of(any_database, tmp_path), any_database, fleet) as running:
            await fleet.add("a", "b")
            for name in ("a", "b"):
                await fleet.read(
                    name,
                    [
                        {"time": START + timedelta(days=day), "speed": 10.0 * day, "extra": {"odd": day}}
                        for day in range(4)  # over several chunks of a hypertable
                    ],
                )
            raw = await get(running, "vehicles/a/telemetry", signals="speed", since="2026-11-21T00:00:00Z")
            assert isinstance(raw["items"], list)
            assert [item["signals"]["speed"] for item in raw["items"]] == [10, 20, 30]
            buckets = await get(running, "telemetry", bucket="2d", signals="speed", agg="avg,last", limit=3)
            assert buckets["items"] == [
                {
                    "time": f"2026-11-{day}T00:00:00Z",
                    "vehicle": name,
                    "count": count,
                    "signals": {"speed": speed},
                }
                for name, day, count, speed in (
                    ("a", 20, 2, {"avg": 5, "last": 10}),
                    ("a", 22, 2, {"avg": 25, "last": 30}),
                    ("b", 20, 2, {"avg": 5, "last": 10}),
                )
            ]
            assert buckets["next_cursor"]
            stream = await running.api.get("/api/v1/telemetry", params={"format": "csv"})
            assert len(stream.text.splitlines()) == 9


WRONG = [
    ("vehicles/a/telemetry?signals=speeed,soc", 422, "unknown signal 'speeed'"),
    ("telemetry?signals=nothing", 422, "no vehicle has sent it"),
    ("vehicles/b/telemetry?signals=rare", 422, "and b has never sent it"),
    ("vehicles/a/telemetry?signal=speed", 422, "'signal': no such query parameter; it has agg, bucket"),
    ("vehicles/a/telemetry?since=yesterday", 422, "write RFC 3339"),
    ("vehicles/a/telemetry?since=2026-11-20T09:00:00", 422, "no offset from UTC"),
    ("vehicles/a/telemetry?since=1m&until=2m", 422, "must be after since"),
    ("vehicles/a/telemetry?bucket=5", 422, "not a duration"),
    ("vehicles/a/telemetry?agg=max", 422, "works with bucket only"),
    ("vehicles/a/telemetry?bucket=1m&agg=median", 422, "unknown aggregate 'median'"),
    ("vehicles/a/telemetry?limit=0", 422, "greater than or equal to 1"),
    ("vehicles/a/telemetry?cursor=nonsense", 422, "not one that this list gave out"),
    ("vehicles/a/telemetry?bucket=1m&format=gpx", 422, "is for readings"),
    ("vehicles/zzz/telemetry", 404, "there is no vehicle 'zzz'"),
    ("vehicles/a/telemetry?signals=speed%22;drop", 422, "unknown signal"),
    ("vehicles?state=gone", 422, "unknown state 'gone'"),
    ("vehicles?bbox=1,2,3", 422, "west,south,east,north"),
    ("vehicles?region=a/b", 422, "use 1 to 64 of the characters"),
    ("nothing/here", 404, "there is nothing at /api/v1/nothing/here"),
]


async def test_what_is_wrong_is_said(driven: Running) -> None:
    for path, status, said in WRONG:
        answer = await driven.api.get(f"/api/v1/{path}")
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        assert problem["title"]
        assert said in problem["detail"], path
