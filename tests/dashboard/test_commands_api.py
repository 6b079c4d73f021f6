"""Commands over real HTTP and a real database; nobody sends them here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from dashboard.auth import key_hash
from tests.dashboard.conftest import Running


async def queue(running: Running, vehicle: str = "car", **body: Any) -> httpx.Response:
    return await running.api.post(f"/api/v1/vehicles/{vehicle}/commands", json={"name": "ping", **body})


async def test_queue_follow_and_call_off(running: Running) -> None:
    await running.fleet.add("car")
    before = datetime.now(UTC)
    answer = await queue(running, name="lock", require={"speed": 0}, ttl_s=60)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/commands/{made['id']}"
    assert (made["vehicle"], made["name"], made["require"], made["state"]) == (
        "car",
        "lock",
        {"speed": 0},
        "queued",
    )
    assert made["created_by"] == "key admin.key"
    not_after = datetime.fromisoformat(made["not_after"])
    assert timedelta(seconds=59) < not_after - before < timedelta(seconds=90)
    found = (await running.api.get(f"/api/v1/commands/{made['id']}")).json()
    assert found == made
    assert [step["event"] for step in found["steps"]] == ["queued"]
    gone = await running.api.delete(f"/api/v1/commands/{made['id']}")
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled")
    assert [step["event"] for step in gone.json()["steps"]] == ["queued", "cancel"]
    again = await running.api.delete(f"/api/v1/commands/{made['id']}")
    assert again.status_code == 200, "called off is called off"
    assert len(again.json()["steps"]) == 2


AFTERWARDS: dict[str, tuple[int, str | None]] = {
    "paged": (200, None),
    "sent": (409, "it is sent: the vehicle may have done it"),
    "delivered": (409, "it is delivered"),
    "succeeded": (409, "it has ended: succeeded"),
    "expired": (409, "it has ended: expired"),
}


async def test_what_was_sent_is_not_called_off(running: Running) -> None:
    await running.fleet.add("car")
    for state, (status, detail) in AFTERWARDS.items():
        made = (await queue(running)).json()["id"]
        await running.fleet.connection.execute(
            "UPDATE fleet.command SET state = $1 WHERE id = $2", state, made
        )
        answer = await running.api.delete(f"/api/v1/commands/{made}")
        assert answer.status_code == status, state
        if detail is not None:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"].startswith(detail)


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"name": "Ping"}, "a-z, 0-9 and _"),
    ({"name": "sleep"}, "missing required field `seconds`"),
    ({"args": []}, "args"),
    ({"require": {"speed": "fast"}}, "speed is never"),
    ({"ttl_s": 0}, "greater than 0"),
    ({"ttl_s": 32 * 86400}, "less than or equal"),
    ({"ttl_s": 5, "not_after": "2999-01-01T00:00:00Z"}, "not both"),
    ({"not_after": "2999-01-01T00:00:00"}, "timezone"),
    ({"not_after": "2999-01-01T00:00:00Z"}, "at most 31 days"),
    ({"not_after": "2020-01-01T00:00:00Z"}, "in the future"),
    ({"urgent": True}, "urgent"),
)


async def test_what_cannot_be_is_refused(running: Running) -> None:
    await running.fleet.add("car")
    for body, reason in REFUSED:
        answer = await queue(running, **body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert reason in answer.json()["detail"]
    assert (await running.api.get("/api/v1/commands")).json()["items"] == []


async def test_unknown_and_revoked_vehicles(running: Running) -> None:
    assert (await queue(running, "nobody")).status_code == 404
    await running.fleet.add("car")
    await running.api.post("/api/v1/vehicles/car/revoke")
    answer = await queue(running)
    assert answer.status_code == 409
    assert "revoked" in answer.json()["detail"]
    assert (await running.api.get(f"/api/v1/commands/{uuid4()}")).status_code == 404
    assert (await running.api.delete(f"/api/v1/commands/{uuid4()}")).status_code == 404
    assert (await running.api.get("/api/v1/commands/7")).status_code == 422


async def test_the_same_request_again_is_the_same_command(running: Running) -> None:
    await running.fleet.add("car", "bus")
    headers = {"Idempotency-Key": "order-7"}

    async def ask(vehicle: str, body: dict[str, Any]) -> httpx.Response:
        return await running.api.post(f"/api/v1/vehicles/{vehicle}/commands", json=body, headers=headers)

    first = await ask("car", {"name": "ping"})
    second = await ask("car", {"name": "ping"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    for vehicle, body in (("car", {"name": "wake"}), ("bus", {"name": "ping"})):
        answer = await ask(vehicle, body)
        assert answer.status_code == 422
        assert "Idempotency-Key" in answer.json()["detail"]
    assert len((await running.api.get("/api/v1/commands")).json()["items"]) == 1


async def test_no_vehicle_has_more_than_a_hundred_under_way(running: Running) -> None:
    await running.fleet.add("car")
    made = (await queue(running)).json()
    await running.fleet.connection.execute(
        "INSERT INTO fleet.command (vehicle_id, name, not_after, give_up_at)"
        " SELECT vehicle_id, name, not_after, give_up_at FROM fleet.command, generate_series(1, 99)"
    )
    answer = await queue(running)
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    await running.api.delete(f"/api/v1/commands/{made['id']}")
    assert (await queue(running)).status_code == 201


async def test_lists_have_filters_and_pages(running: Running) -> None:
    await running.fleet.add("car", "bus")
    made = [(await queue(running, vehicle)).json()["id"] for vehicle in ("car", "bus", "car", "car")]
    await running.api.delete(f"/api/v1/commands/{made[0]}")
    found: list[str] = []
    cursor = None
    while True:
        params = {"vehicle": "car", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await running.api.get("/api/v1/commands", params=params)).json()
        assert all("steps" not in item for item in page["items"])
        found += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == [made[3], made[2], made[0]]
    queued = (await running.api.get("/api/v1/commands", params={"state": "queued,paged"})).json()["items"]
    assert [item["id"] for item in queued] == [made[3], made[2], made[1]]
    assert (await running.api.get("/api/v1/commands", params={"state": "lost"})).status_code == 422


async def test_a_viewer_may_look_and_an_operator_may_command(running: Running) -> None:
    await running.fleet.add("car")
    status: dict[str, list[int]] = {}
    for role in ("viewer", "operator"):
        key = f"{role}-" + "k" * 40
        await running.fleet.connection.execute("SELECT api.key_put($1, $1, $2)", role, key_hash(key))
        headers = {"Authorization": f"Bearer {key}"}
        path = "/api/v1/vehicles/car/commands"
        posted = await running.api.post(path, json={"name": "ping"}, headers=headers)
        listed = await running.api.get("/api/v1/commands", headers=headers)
        known = (await queue(running)).json()["id"]
        deleted = await running.api.delete(f"/api/v1/commands/{known}", headers=headers)
        status[role] = [posted.status_code, listed.status_code, deleted.status_code]
    assert status == {"viewer": [403, 200, 403], "operator": [201, 200, 200]}


async def test_the_document_describes_it(running: Running) -> None:
    document = (await running.api.get("/openapi.json")).json()
    assert {"post"} <= document["paths"]["/api/v1/vehicles/{vehicle}/commands"].keys()
    assert {"get", "delete"} <= document["paths"]["/api/v1/commands/{command_id}"].keys()
    assert "paged" in document["components"]["schemas"]["CommandState"]["enum"]
