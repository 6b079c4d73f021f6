"""Alive, ready with reasons, figures; the basemap; HEAD; and a database that goes and comes back."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
from pathlib import Path

import httpx

from tests.dashboard.conftest import PATIENCE_S, Running, loaded, serving, settings_of
from tests.dashboard.fleet import Fleet
from tests.mosquitto_server import Mosquitto
from tests.postgres_servers import Database, PlainServer, fresh_database


async def test_readyz_says_what_is_missing(running: Running) -> None:
    answer = await running.api.get("/readyz")
    assert answer.status_code == 503
    reasons = answer.json()["reasons"]
    assert any(reason.startswith("broker: not connected") for reason in reasons)
    assert "ingest: no gateway has reported yet" in reasons
    begun = time.monotonic()
    await running.fleet.heartbeat("helsinki", age_s=30)
    await running.fleet.heartbeat("espoo", storing=False)
    reasons = (await running.api.get("/readyz")).json()["reasons"]
    lasted = time.monotonic() - begun
    (silent_s,) = re.findall(r"ingest in helsinki: silent for (\d+) s", "; ".join(reasons))
    assert 30 <= int(silent_s) <= round(30 + lasted)
    assert "ingest in espoo: is not storing" in reasons


async def test_ready_when_all_parts_are(
    plain_database: Database, fleet: Fleet, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    await fleet.heartbeat()
    settings = settings_of(plain_database, tmp_path, broker_url=mosquitto.ws_url)
    async with serving(settings, plain_database, fleet) as running:
        (bridge,) = running.dashboard.feed.bridges
        async with asyncio.timeout(PATIENCE_S):
            await bridge.wait_connected()
        answer = await running.api.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "reasons": []})


async def test_metrics(running: Running) -> None:
    await running.api.get("/api/v1/fleet")
    await running.api.get("/api/v1/vehicles/zzz")
    text = (await running.api.get("/metrics")).text
    assert re.search(
        r'fleetcell_dashboard_request_seconds_count\{method="GET",route="/fleet",status="200"\} 1\.0',
        text,
    )
    assert 'fleetcell_dashboard_refused_total{status="404"} 1.0' in text
    assert "fleetcell_live_clients 0.0" in text


async def test_head_answers_as_get_without_a_body(running: Running) -> None:
    answer = await running.api.head("/api/v1/fleet")
    assert answer.status_code == 200
    assert answer.content == b""
    async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_S, trust_env=False) as nobody:
        assert (await nobody.head("/api/v1/fleet")).status_code == 401
        assert (await nobody.head("/healthz")).status_code == 200


async def test_roads_are_sent_as_they_are_packed(
    plain_database: Database, fleet: Fleet, tmp_path: Path
) -> None:
    roads = {"type": "FeatureCollection", "features": []}
    packed = tmp_path / "roads.geojson.gz"
    packed.write_bytes(gzip.compress(json.dumps(roads).encode()))
    settings = settings_of(plain_database, tmp_path, roads_file=packed)
    async with serving(settings, plain_database, fleet) as running:
        answer = await running.api.get("/api/v1/map/roads")
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == packed.stat().st_size
        assert answer.headers["content-type"] == "application/geo+json"
        assert "OpenStreetMap" in answer.headers["map-attribution"]
        assert answer.json() == roads
        plain = await running.api.get("/api/v1/map/roads", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.json() == roads


async def test_without_roads_it_says_so(running: Running) -> None:
    answer = await running.api.get("/api/v1/map/roads")
    assert answer.status_code == 404
    assert "FLEETCELL_ROADS_FILE" in answer.json()["detail"]


async def test_it_waits_for_the_schema(plain_server: PlainServer, tmp_path: Path) -> None:
    from dashboard.app import Dashboard  # noqa: PLC0415 - the one test that needs it
    from ingest.database import migrate  # noqa: PLC0415

    with fresh_database(plain_server, empty=True) as database:
        dashboard = Dashboard(settings_of(database, tmp_path))
        async with (
            dashboard.running() as url,
            httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            assert (await client.get("/healthz")).status_code == 200
            waits, reasons = "database: the schema is not there yet: ingest makes it when it starts", [""]
            async with asyncio.timeout(PATIENCE_S):
                while reasons[0] != waits:
                    answer = await client.get("/readyz")
                    assert answer.status_code == 503
                    reasons = answer.json()["reasons"]
                    assert "does not exist" not in reasons[0], "nobody may ask before the schema is there"
            refused = await client.get("/api/v1/fleet", headers={"Authorization": "Bearer " + "x" * 43})
            assert refused.status_code == 503
            await migrate(database.owner)
            await loaded(dashboard)
            key = dashboard.settings.admin_key_file
            assert key is not None
            authorization = {"Authorization": f"Bearer {key.read_text().strip()}"}
            assert (await client.get("/api/v1/fleet", headers=authorization)).status_code == 200


async def test_the_openapi_document_is_whole(running: Running) -> None:
    document = (await running.api.get("/openapi.json")).json()
    text = json.dumps(document)
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named <= set(document["components"]["schemas"])
    fleet = document["paths"]["/api/v1/fleet"]["get"]["responses"]["200"]
    assert fleet["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Fleet"}
