"""Events and hazards over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

if TYPE_CHECKING:
    from tests.dashboard.conftest import Running

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HELSINKI = "24.5,60.0,25.5,60.5"


async def test_events_are_paged_newest_first(running: Running) -> None:
    (number,) = await running.fleet.add("a")
    for seq in range(1, 6):
        await running.fleet.connection.execute(
            "INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind) VALUES ($1, $2, $3, $4, $5)",
            NOW,  # the same time: the rest of the key decides
            number,
            "00000000-0000-0000-0000-000000000001",
            seq,
            "dtc" if seq % 2 else "crash",
        )
    first = (await running.api.get("/api/v1/events", params={"limit": 3})).json()
    rest = (await running.api.get("/api/v1/events", params={"cursor": first["next_cursor"]})).json()
    assert [item["seq"] for item in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    crashes = (await running.api.get("/api/v1/events", params={"kind": "crash"})).json()
    assert [item["seq"] for item in crashes["items"]] == [4, 2]


async def add_event(running: Running, number: int, seq: int, kind: str, **data: Any) -> None:
    await running.fleet.connection.execute(
        "INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind, data) VALUES ($1, $2, $3, $4, $5, $6)",
        NOW + timedelta(seconds=seq),
        number,
        "00000000-0000-0000-0000-000000000001",
        seq,
        kind,
        msgspec.json.encode(data).decode(),
    )


async def test_events_are_chosen_by_vehicle_kind_time_and_place(running: Running) -> None:
    a, b = await running.fleet.add("a", "b")
    await add_event(running, a, 1, "dtc", code="P0300", active=True, lat=60.17, lon=24.94)
    await add_event(running, a, 2, "crash", delta_v=5.1, lat=-17.0, lon=179.9)
    await add_event(running, b, 3, "harsh_brake", lat=60.17)

    async def found(**params: str) -> list[int]:
        answer = await running.api.get("/api/v1/events", params=params)
        assert answer.status_code == 200, answer.text
        return [item["seq"] for item in answer.json()["items"]]

    assert await found() == [3, 2, 1]
    assert await found(vehicle="a") == [2, 1]
    assert await found(kind="dtc,harsh_brake") == [3, 1]
    assert await found(since="2026-11-20T12:00:02Z", until="2026-11-20T12:00:03Z") == [2]
    assert await found(bbox=HELSINKI) == [1]
    assert await found(bbox="179,-18,-179,-16") == [2]
    (first,) = (await running.api.get("/api/v1/events", params={"bbox": HELSINKI})).json()["items"]
    assert first == {
        "time": "2026-11-20T12:00:01Z",
        "vehicle": "a",
        "boot": "00000000000000000000000000000001",
        "seq": 1,
        "kind": "dtc",
        "data": {"code": "P0300", "active": True, "lat": 60.17, "lon": 24.94},
        "lat": 60.17,
        "lon": 24.94,
        "received_at": first["received_at"],
        "quality": 0,
    }


async def add_hazard(running: Running, sequence: int, *, left_s: float = 60, **fields: Any) -> None:
    now = datetime.now(UTC)
    row = {
        "region": "helsinki",
        "station_id": 0xA1B2C3D,
        "sequence": sequence,
        "cause": 94,
        "sub_cause": 2,
        "lat": 60.17,
        "lon": 24.94,
        "detected_at": now - timedelta(seconds=90),
        "reference_at": now - timedelta(seconds=90),
        "valid_until": now + timedelta(seconds=left_s),
        "first_at": now - timedelta(seconds=90),
        **fields,
    }
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await running.fleet.connection.execute(
        f"INSERT INTO fleet.hazard ({', '.join(row)}) VALUES ({places})", *row.values()
    )


async def test_hazards_are_shown_by_state_time_and_place_and_name_no_vehicle(running: Running) -> None:
    await add_hazard(running, 1)
    await add_hazard(running, 2, left_s=-30)
    ended = datetime.now(UTC) - timedelta(seconds=50)
    await add_hazard(running, 3, ended_at=ended, ended_by="cancelled", cause=99, sub_cause=1)
    await add_hazard(running, 4, region="tampere", lat=61.5, lon=23.8, cause=3)

    async def found(**params: Any) -> list[int]:
        answer = await running.api.get("/api/v1/hazards", params=params)
        assert answer.status_code == 200, answer.text
        return [item["sequence"] for item in answer.json()["items"]]

    assert await found() == [4, 3, 2, 1]
    assert await found(active=True) == [4, 1]
    assert await found(since="40s") == [4, 2, 1]
    assert await found(until="100s") == []
    assert await found(region="helsinki", active=True) == [1]
    assert await found(bbox=HELSINKI) == [3, 2, 1]
    answer = (await running.api.get("/api/v1/hazards")).json()
    shown = {item["sequence"]: (item["kind"], item["state"]) for item in answer["items"]}
    assert shown == {
        1: ("stationary_vehicle", "active"),
        2: ("stationary_vehicle", "expired"),
        3: ("hard_braking", "cancelled"),
        4: ("road_works", "active"),
    }
    assert {item["station"] for item in answer["items"]} == {"0a1b2c3d"}
    assert not any("vehicle" in key for key in answer["items"][0])
    first = (await running.api.get("/api/v1/hazards", params={"limit": 3})).json()
    rest = (await running.api.get("/api/v1/hazards", params={"cursor": first["next_cursor"]})).json()
    assert [item["sequence"] for item in first["items"] + rest["items"]] == [4, 3, 2, 1]


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/hazards"])
@pytest.mark.parametrize(
    "params",
    [{"bbox": "1,2,3"}, {"limit": 0}, {"cursor": "x"}, {"since": "1m", "until": "2m"}, {"kinds": "a"}],
)
async def test_what_makes_no_sense_is_refused(running: Running, path: str, params: dict[str, Any]) -> None:
    answer = await running.api.get(path, params=params)
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]
