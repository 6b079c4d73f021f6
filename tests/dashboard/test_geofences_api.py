"""Geofences, visits and alerts over HTTP and on the command line, derived by ingest's own worker code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner

from dashboard.auth import key_hash
from fleetcell.cli import app
from tests.ingest.geofences.depot import DEPOT, HISTORY, at, put, round_trip, settle
from tests.ingest.units import new_boot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dashboard.conftest import Running

GEOFENCES = "/api/v1/geofences"
WISH = {"name": "depot", "geometry": DEPOT, "radius_m": 250, "alerts": {"enter": True, "dwell_s": 600}}


async def drive(running: Running, *names: str) -> None:
    """There and back, a year ago."""
    ids = dict(zip(names, await running.fleet.add(*names), strict=True))
    for name in names:
        await put(running.fleet.connection, ids, name, round_trip(HISTORY), new_boot())


async def items(running: Running, path: str, **params: Any) -> list[dict[str, Any]]:
    """All pages of a list, of two items each."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await running.api.get(path, params={"limit": 2, **params})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        params["cursor"] = answer.json()["next_cursor"]


async def test_a_geofence_is_made_changed_and_removed(running: Running) -> None:
    await drive(running, "a")
    answer = await running.api.post(GEOFENCES, json=WISH)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["pending"]
    assert answer.headers["location"] == f"{GEOFENCES}/{made['id']}"
    assert {key: made[key] for key in ("name", "geometry", "radius_m", "margin_m", "vehicles", "alerts")} == {
        **WISH,
        "radius_m": 250.0,
        "margin_m": 25.0,
        "vehicles": None,
        "alerts": {"enter": True, "exit": False, "dwell_s": 600},
    }
    await settle(running.fleet.connection)
    changed = await running.api.put(
        f"{GEOFENCES}/{made['id']}", json={**WISH, "name": "yard", "vehicles": ["a"]}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["vehicles"], changed.json()["version"]) == (
        "yard",
        ["a"],
        2,
    )
    listed = await items(running, GEOFENCES, geometry=False)
    assert listed == [changed.json() | {"geometry": None}]
    assert (await running.api.delete(f"{GEOFENCES}/{made['id']}")).json() == changed.json()
    assert (await running.api.delete(f"{GEOFENCES}/{made['id']}")).status_code == 404
    assert await items(running, GEOFENCES) == []


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "other"}, 409, "already"),
    ({"name": " depot"}, 422, "name"),
    ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [0, 2]]]}}, 422, "radius_m"),
    ({"radius_m": None}, 422, "a Point needs one"),
    ({"radius_m": -1}, 422, "from 1 to 500000 m"),
    ({"margin_m": 1001}, 422, "margin_m"),
    ({"alerts": {"leave": True}}, 422, "leave"),
    ({"alerts": {"dwell_s": 0}}, 422, "dwell_s"),
    ({"vehicles": ["a", "nobody"]}, 422, "no vehicle 'nobody'"),
    ({"vehicles": []}, 422, "vehicles"),
    ({"colour": "red"}, 422, "colour"),
]


async def test_what_is_refused_says_why(running: Running) -> None:
    await running.fleet.add("a")
    assert (await running.api.post(GEOFENCES, json={**WISH, "name": "other"})).status_code == 201
    for change, status, reason in REFUSED:
        answer = await running.api.post(GEOFENCES, json={**WISH, **change})
        assert (answer.status_code, reason in answer.text) == (status, True), (change, answer.text)
    assert len(await items(running, GEOFENCES)) == 1


async def test_visits_are_paged_by_vehicle_and_by_geofence(running: Running) -> None:
    await drive(running, "a", "b")
    ids = [
        (await running.api.post(GEOFENCES, json={**WISH, "name": name, "radius_m": radius})).json()["id"]
        for name, radius in (("depot", 250), ("district", 550), ("street", 90))
    ]
    await settle(running.fleet.connection)
    of_vehicle = await items(running, "/api/v1/vehicles/a/visits")
    assert [one["geofence"] for one in of_vehicle] == ["street", "depot", "district"]
    assert of_vehicle[1] == {
        "vehicle": "a",
        "geofence_id": ids[0],
        "geofence": "depot",
        "entered_at": "2025-11-20T08:01:20Z",
        "outside_at": "2025-11-20T08:01:10Z",
        "left_at": "2025-11-20T08:23:00Z",
        "left_unseen": False,
        "last_at": "2025-11-20T08:22:50Z",
        "duration_s": 1300.0,
        "open": False,
        "gap": False,
    }
    assert [one["vehicle"] for one in await items(running, f"{GEOFENCES}/{ids[1]}/visits")] == ["b", "a"]
    assert [one["vehicle"] for one in await items(running, f"{GEOFENCES}/{ids[1]}/visits", vehicle="a")] == [
        "a"
    ]
    assert await items(running, "/api/v1/vehicles/a/visits", since="2025-11-20T08:23:20Z") == [of_vehicle[2]]
    assert await items(running, "/api/v1/vehicles/a/visits", until="2025-11-20T08:01:20Z") == [of_vehicle[2]]
    assert await items(running, "/api/v1/vehicles/a/visits", geofence=ids[0]) == [of_vehicle[1]]
    page = (await running.api.get("/api/v1/vehicles/a/visits")).json()
    assert not page["pending"]
    for path in (f"{GEOFENCES}/99/visits", "/api/v1/vehicles/c/visits", f"{GEOFENCES}/99"):
        assert (await running.api.get(path)).status_code == 404
    assert (await running.api.get(f"{GEOFENCES}/0")).status_code == 422


async def raise_some(running: Running) -> None:
    """Vehicles a and b come to the depot now."""
    ids = dict(zip("ab", await running.fleet.add("a", "b"), strict=True))
    assert (await running.api.post(GEOFENCES, json=WISH)).status_code == 201
    connection = running.fleet.connection
    await settle(connection)
    await connection.execute("UPDATE fleet.geofence SET alerts_from = alerts_from - interval '1 hour'")
    begin = await connection.fetchval("SELECT clock_timestamp()")
    for name in "ab":
        there = [at(begin, n * 10.0, metres, n + 1) for n, metres in enumerate((500, 300, 100))]
        await put(connection, ids, name, there, new_boot())
        await settle(connection)


async def test_an_alert_is_listed_and_acknowledged_once(running: Running) -> None:
    await raise_some(running)
    found = await items(running, "/api/v1/alerts")
    assert [(one["vehicle"], one["kind"], one["state"]) for one in found] == [
        ("b", "enter", "open"),
        ("a", "enter", "open"),
    ]
    assert await items(running, "/api/v1/alerts", vehicle="a", kind="enter,exit", since="1h") == found[1:]
    keys = {}
    for role in ("viewer", "operator"):
        await running.fleet.connection.execute(
            "INSERT INTO fleet.api_key (name, role, hash) VALUES ($1, $1, $2)", role, key_hash(role)
        )
        keys[role] = {"Authorization": f"Bearer {role}"}
    path = f"/api/v1/alerts/{found[0]['id']}/acknowledge"
    assert (await running.api.post(path, headers=keys["viewer"])).status_code == 403
    seen_to = await running.api.post(path, headers=keys["operator"])
    assert (seen_to.json()["state"], seen_to.json()["acknowledged_by"]) == ("acknowledged", "key operator")
    again = await running.api.post(path)
    assert again.json() == seen_to.json(), "who did so first stays"
    assert await items(running, "/api/v1/alerts", state="open") == found[1:]
    assert (await running.api.get(f"/api/v1/alerts/{found[0]['id']}")).json() == seen_to.json()
    assert (await running.api.post("/api/v1/alerts/99/acknowledge")).status_code == 404
    wrong = await running.api.get("/api/v1/alerts", params={"state": "closed"})
    assert (wrong.status_code, "none of open, acknowledged, corrected" in wrong.text) == (422, True)
    assert (await running.api.post(GEOFENCES, json=WISH, headers=keys["viewer"])).status_code == 403


async def run(running: Running, *arguments: str) -> tuple[int, str, str]:
    environment = {"FLEETCELL_API_URL": running.url, "FLEETCELL_API_KEY": running.admin_key}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    return result.exit_code, result.stdout, result.stderr + str(result.exception or "")


async def test_the_same_on_the_command_line(running: Running, tmp_path: Path) -> None:
    await raise_some(running)
    square = [[25.0, 61.0], [25.1, 61.0], [25.1, 61.1], [25.0, 61.1], [25.0, 61.0]]
    features = [
        {
            "type": "Feature",
            "properties": {"name": name, "colour": "red", "margin_m": 10},
            "geometry": {"type": "Polygon", "coordinates": [square]},
        }
        for name in ("north", "far north")
    ]
    file = tmp_path / "areas.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    code, _, said = await run(running, "geofences", "add", str(file), "--alert", "exit", "--vehicle", "a")
    assert (code, said.count("is geofence")) == (0, 2), said
    code, _, said = await run(running, "geofences", "add", str(file), "--replace")
    assert (code, said.count("is changed")) == (0, 2), said
    code, _, said = await run(running, "geofences", "add", str(file))
    assert (code, "already" in said) == (1, True), said
    code, shown, _ = await run(running, "geofences", "list")
    assert code == 0
    assert ["north" in shown, "enter, 600 s inside" in shown] == [True, True]
    code, _, said = await run(running, "geofences", "remove", "far north")
    assert code == 0, said
    code, shown, _ = await run(running, "geofences", "list", "--json")
    assert [one["name"] for one in json.loads(shown)] == ["depot", "north"]
    code, _, said = await run(running, "geofences", "remove", "nowhere")
    assert (code, "there is no geofence nowhere" in said) == (1, True)
    file.write_text(json.dumps({**features[0], "geometry": {"type": "Point", "coordinates": [25, 60]}}))
    code, _, said = await run(running, "geofences", "add", str(file))
    assert (code, "north: radius_m: a Point needs one" in said) == (1, True), said
    file.write_text("[]")
    code, _, said = await run(running, "geofences", "add", str(file))
    assert (code, "not a GeoJSON Feature" in said) == (1, True), said

    code, shown, _ = await run(running, "query", "visits", "a")
    assert (code, "depot" in shown, "goes on" in shown) == (0, True, True)
    code, shown, _ = await run(running, "query", "alerts", "--state", "open", "--vehicle", "b", "--json")
    assert [one["vehicle"] for one in json.loads(shown)] == ["b"]
    code, shown, _ = await run(running, "query", "alerts")
    assert (code, shown.count("enter")) == (0, 2)
