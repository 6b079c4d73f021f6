"""Provisioning over real HTTP: secrets are shown once, kept only as a MAC, and the rules of names hold."""

from __future__ import annotations

from fleetcell.contract import credentials
from tests.dashboard.conftest import Running


async def mac_of(running: Running, name: str) -> str:
    mac: str = await running.fleet.connection.fetchval("SELECT mac FROM fleet.vehicle WHERE name = $1", name)
    return mac


async def test_a_secret_is_shown_once_and_only_its_mac_is_kept(running: Running) -> None:
    answer = await running.api.post("/api/v1/vehicles", json={"ids": ["a", "b"]})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    items = answer.json()["items"]
    assert [item["id"] for item in items] == ["a", "b"]
    assert all(item["created"] and not item["rotated"] for item in items)
    key = credentials.check_key(running.dashboard.settings.credentials_key_file.read_bytes())
    for item in items:
        assert credentials.verify(key, item["secret"], await mac_of(running, item["id"]))
    again = (await running.api.post("/api/v1/vehicles", json={"id": "a"})).json()["items"]
    assert again == [{"id": "a", "secret": None, "created": False, "rotated": False, "revoked": False}]
    rotated = (await running.api.post("/api/v1/vehicles", json={"ids": ["a"], "rotate": True})).json()[
        "items"
    ]
    assert rotated[0]["rotated"]
    assert rotated[0]["secret"] not in (None, items[0]["secret"])
    assert credentials.verify(key, rotated[0]["secret"], await mac_of(running, "a"))


async def test_revoke(running: Running) -> None:
    await running.api.post("/api/v1/vehicles", json={"ids": ["a", "b"]})
    assert (await running.api.post("/api/v1/vehicles/a/revoke")).status_code == 204
    listed = (await running.api.get("/api/v1/vehicles")).json()["items"]
    assert [vehicle["id"] for vehicle in listed] == ["b"]
    revoked = (await running.api.get("/api/v1/vehicles", params={"revoked": "true"})).json()["items"]
    assert [vehicle["id"] for vehicle in revoked] == ["a"]
    assert revoked[0]["revoked_at"]
    assert (await running.api.post("/api/v1/vehicles/zzz/revoke")).status_code == 404


async def test_wrong_wishes_are_refused_with_the_reason(running: Running) -> None:
    for body, said in (
        ({"id": "a/b"}, "use 1 to 64 of the characters"),
        ({"ids": ["ok", "gateway"]}, "reserved word"),
        ({"ids": ["a", "a"]}, "given twice"),
        ({}, 'give {"id": "..."}'),
        ({"id": "a", "ids": ["b"]}, 'give {"id": "..."}'),
        ({"id": "a", "secret": "mine"}, "secret: Extra inputs are not permitted"),
    ):
        answer = await running.api.post("/api/v1/vehicles", json=body)
        assert answer.status_code == 422, body
        assert said in answer.json()["detail"], body
    assert (await running.api.get("/api/v1/vehicles")).json()["items"] == []


async def test_erase(running: Running) -> None:
    await running.api.post("/api/v1/vehicles", json={"ids": ["a", "b"]})
    await running.fleet.presence("a")
    count = await running.api.get("/api/v1/vehicles/a/erasure")
    assert count.json()["rows"]["registration"] == 1
    erased = await running.api.delete("/api/v1/vehicles/a")
    assert erased.status_code == 202
    erasure = erased.json()
    assert (erasure["vehicle"], erasure["asked_by"]) == ("a", "key admin.key")
    assert erasure["regions"] == ["helsinki"]
    assert erasure["removed"]["registration"] == 1
    assert (await running.api.delete("/api/v1/vehicles/a")).json() == erasure, "asked again"
    assert (await running.api.get("/api/v1/vehicles/a")).status_code == 404
    again = await running.api.post("/api/v1/vehicles", json={"id": "a"})
    assert (again.status_code, "is being erased" in again.json()["detail"]) == (409, True)
    assert (await running.api.delete("/api/v1/vehicles/zzz")).status_code == 404
    assert (await running.api.get("/api/v1/vehicles/zzz/erasure")).status_code == 404
    await running.api.delete("/api/v1/vehicles/b")
    first = (await running.api.get("/api/v1/erasures", params={"limit": 1})).json()
    assert [item["vehicle"] for item in first["items"]] == ["b"]
    rest = await running.api.get("/api/v1/erasures", params={"cursor": first["next_cursor"]})
    assert rest.json() == {"items": [erasure], "next_cursor": None}
    alone = await running.api.get("/api/v1/erasures", params={"vehicle": "a"})
    assert alone.json()["items"] == [erasure]


async def test_retention_of_a_vehicle(running: Running) -> None:
    await running.api.post("/api/v1/vehicles", json={"id": "a"})
    path = "/api/v1/vehicles/a/retention"
    kept = "SELECT retention_days FROM fleet.vehicle"
    assert (await running.api.put(path, json={"days": 7})).status_code == 204
    assert await running.fleet.connection.fetchval(kept) == 7
    assert (await running.api.put(path, json={"days": None})).status_code == 204
    assert await running.fleet.connection.fetchval(kept) is None
    for wrong in ({}, {"days": 0}, {"days": "long"}):
        assert (await running.api.put(path, json=wrong)).status_code == 422
    assert (await running.api.put("/api/v1/vehicles/zzz/retention", json={"days": 7})).status_code == 404
