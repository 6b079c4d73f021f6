"""Trips, stops, rollups and dead letters over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from dashboard import freshness
from dashboard.auth import key_hash
from fleetcell.cli import app
from tests.dashboard.conftest import Running

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def journey(running: Running, kind: str, first: int, last: int, *, is_open: bool = False) -> None:
    """As ingest derives it, in minutes from START."""
    await running.fleet.connection.execute(
        """INSERT INTO fleet.journey (vehicle_id, kind, start_at, end_at, open, bucket, start_lat, start_lon,
            end_lat, end_lon, distance_m, moving_s, speed_max, soc_used, soc_charged, fuel_used, fuel_filled)
        SELECT id, $1, $2, $3, $4, $2, 60.1, 24.9, 60.2, 25.0, 10000, 600, 90, 2.5, 0.5, 0, 0
        FROM fleet.vehicle WHERE name = 'a'""",
        kind,
        START + first * MINUTE,
        START + last * MINUTE,
        is_open,
    )


@pytest.fixture
async def driven(running: Running) -> Running:
    """Vehicle a: a stop, three trips, the last of them under way; rollups of an hour."""
    await running.fleet.add("a", "b")
    await journey(running, "stop", 0, 30)
    for first, last in ((30, 50), (80, 100)):
        await journey(running, "trip", first, last)
    await journey(running, "trip", 120, 130, is_open=True)
    await running.fleet.connection.execute(
        """INSERT INTO fleet.rollup (vehicle_id, bucket, count, first_at, last_at, distance_m, moving_s,
            speed_count, speed_sum, speed_min, speed_max, soc_used, soc_charged, fuel_used, fuel_filled,
            segments, last, journey)
        SELECT id, at, 10, at, at + interval '9 minutes', 100 * n, 60, n, 30 * n, 20 + n, 40 + n, 1, 0, 0, 0,
            '[]', '[]', '[]'
        FROM fleet.vehicle, generate_series(0, 6) AS n, LATERAL
            (SELECT $1::timestamptz + n * interval '10 minutes' AS at) AS starts
        WHERE name = 'a'""",
        START,
    )
    return running


async def get(running: Running, path: str, **params: object) -> dict[str, Any]:
    answer = await running.api.get(f"/api/v1/{path}", params={k: str(v) for k, v in params.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_trips_page_from_the_newest_back(driven: Running) -> None:
    first = await get(driven, "vehicles/a/trips", limit=2)
    assert [trip["start"] for trip in first["items"]] == ["2026-11-20T11:00:00Z", "2026-11-20T10:20:00Z"]
    second = await get(driven, "vehicles/a/trips", limit=2, cursor=first["next_cursor"])
    (trip,) = second["items"]
    assert second["next_cursor"] is None
    assert trip == {
        "start": "2026-11-20T09:30:00Z",
        "end": "2026-11-20T09:50:00Z",
        "open": False,
        "duration_s": 1200.0,
        "moving_s": 600.0,
        "distance_m": 10000.0,
        "speed_avg": 60.0,
        "speed_max": 90.0,
        "soc_used": 2.5,
        "soc_charged": 0.5,
        "fuel_used": 0.0,
        "fuel_filled": 0.0,
        "start_lat": 60.1,
        "start_lon": 24.9,
        "end_lat": 60.2,
        "end_lon": 25.0,
    }


async def test_what_is_partly_in_the_time_counts(driven: Running) -> None:
    found = await get(driven, "vehicles/a/trips", since="2026-11-20T09:40:00Z", until="2026-11-20T10:21:00Z")
    assert [trip["start"] for trip in found["items"]] == ["2026-11-20T10:20:00Z", "2026-11-20T09:30:00Z"]
    (stop,) = (await get(driven, "vehicles/a/stops"))["items"]
    assert (stop["start"], stop["duration_s"], stop["lat"]) == ("2026-11-20T09:00:00Z", 1800.0, 60.1)


async def test_a_vehicle_that_vanished_does_not_drive_for_ever(driven: Running) -> None:
    (newest, *_) = (await get(driven, "vehicles/a/trips"))["items"]
    assert not newest["open"], "nothing was heard for longer than any gap"
    await driven.fleet.connection.execute("INSERT INTO fleet.derived_by (rules) VALUES ('{\"gap_s\": 1e9}')")
    (newest, *_) = (await get(driven, "vehicles/a/trips"))["items"]
    assert newest["open"]


async def test_answers_say_until_when_they_are_complete(
    driven: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "PATIENCE_S", 0.05)  # nobody derives here
    until = datetime.fromisoformat((await get(driven, "vehicles/a/trips"))["complete_until"])
    assert until > START
    await driven.fleet.connection.execute(
        "INSERT INTO fleet.dirty_bucket (vehicle_id, bucket)"
        " SELECT id, $1 FROM fleet.vehicle WHERE name = 'a'",
        START + 40 * MINUTE,
    )
    for path in ("trips", "stops", "summary"):
        assert (await get(driven, f"vehicles/a/{path}"))["complete_until"] == "2026-11-20T09:40:00Z"
    assert (await get(driven, "vehicles/b/trips"))["complete_until"] > "2026-11-20T09:40:00Z"


async def test_rollups_of_ten_minutes_and_wider(driven: Running) -> None:
    tens = (await get(driven, "vehicles/a/summary"))["items"]
    assert [one["distance_m"] for one in tens] == [100.0 * n for n in range(7)]
    assert (tens[0]["speed_avg"], tens[1]["speed_avg"]) == (None, 30.0)
    first = await get(driven, "vehicles/a/summary", bucket="1h", limit=1)
    (hour,) = first["items"]
    assert (hour["count"], hour["distance_m"], hour["moving_s"]) == (60, 1500.0, 360.0)
    assert (hour["speed_min"], hour["speed_avg"], hour["speed_max"]) == (20.0, 30.0, 45.0)
    assert (hour["time"], hour["last_at"]) == ("2026-11-20T09:00:00Z", "2026-11-20T09:59:00Z")
    rest = await get(driven, "vehicles/a/summary", bucket="1h", cursor=first["next_cursor"])
    assert [one["count"] for one in rest["items"]] == [10]
    (day,) = (await get(driven, "vehicles/a/summary", bucket="1d"))["items"]
    assert (day["time"], day["count"]) == ("2026-11-20T00:00:00Z", 70)
    answer = await driven.api.get("/api/v1/vehicles/a/summary?bucket=15m")
    assert (answer.status_code, "multiple of ten minutes" in answer.text) == (422, True)


async def test_unknown_vehicles_are_named(driven: Running) -> None:
    for path in ("trips", "stops", "summary"):
        answer = await driven.api.get(f"/api/v1/vehicles/nobody/{path}")
        assert answer.status_code == 404
        assert "nobody" in answer.json()["detail"]


async def test_dead_letters_are_for_operators(running: Running) -> None:
    connection = running.fleet.connection
    raw = b"\xff{"
    for number, name in enumerate(("a", "b", "a")):
        await connection.execute(
            """INSERT INTO fleet.dead_letter (topic, sha256, payload, size, reason, boot, last_at)
            VALUES ($1, $2, $3, 9, 'why', $4, $5)""",
            f"fleet/v1/helsinki/{name}/telemetry",
            hashlib.sha256(bytes([number])).digest(),
            raw,
            UUID(int=7) if number else None,
            START + number * MINUTE,
        )
    first = await get(running, "dead-letters", limit=2)
    assert [letter["vehicle"] for letter in first["items"]] == ["a", "b"]
    newest = first["items"][0]
    assert base64.b64decode(newest["payload"]) == raw
    assert (newest["size"], newest["reason"], newest["boot"]) == (9, "why", UUID(int=7).hex)
    (oldest,) = (await get(running, "dead-letters", limit=2, cursor=first["next_cursor"]))["items"]
    assert oldest["boot"] is None
    assert len((await get(running, "dead-letters", vehicle="a"))["items"]) == 2
    assert len((await get(running, "dead-letters", since="2026-11-20T09:01:00Z"))["items"]) == 2
    await connection.execute("SELECT api.key_put('eyes', 'viewer', $1)", key_hash("k" * 32))
    answer = await running.api.get("/api/v1/dead-letters", headers={"Authorization": f"Bearer {'k' * 32}"})
    assert (answer.status_code, "operator" in json.dumps(answer.json())) == (403, True)


async def fleetcell(running: Running, *arguments: str) -> tuple[int, str, str]:
    """`fleetcell query ...` against this dashboard: status, standard output, standard error."""
    environment = {"FLEETCELL_API_URL": running.url, "FLEETCELL_API_KEY": running.admin_key}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["query", *arguments], env=environment)
    return result.exit_code, result.stdout, result.stderr


async def test_the_same_on_the_command_line(driven: Running) -> None:
    await driven.fleet.ledger("a", received="{[1,4),[6,9)}", evicted="{[4,5)}", claimed=8)
    await driven.fleet.connection.execute(
        """INSERT INTO fleet.dead_letter (topic, sha256, payload, size, reason)
        VALUES ('fleet/v1/helsinki/a/telemetry', $1, '{"seq": [bold]', 14, 'not JSON')""",
        hashlib.sha256(b"").digest(),
    )
    asked = {
        ("trips", "a"): "10.00 km",
        ("stops", "a"): "0:30:00",
        ("summary", "a", "--bucket", "1d"): "2.10 km",
        ("dead-letters", "--vehicle", "a"): '{"seq": [bold]',
        ("gaps", "a"): "evicted",
    }
    for arguments, shown in asked.items():
        status, out, err = await fleetcell(driven, *arguments)
        assert (status, shown in out) == (0, True), (arguments, out, err)
    _, out, _ = await fleetcell(driven, "trips", "a", "--since", "2026-11-20T10:30:00Z", "--json")
    assert [trip["start"] for trip in json.loads(out)] == ["2026-11-20T11:00:00Z", "2026-11-20T10:20:00Z"]
    assert "no stops" in (await fleetcell(driven, "stops", "b"))[2]
