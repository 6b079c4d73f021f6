"""The live feed over its transports: real sockets, a real database, a real broker where one is needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from fleetcell.contract import messages, topics
from fleetcell.contract.messages import Position, Positions
from fleetcell.mqtt import MqttBridge
from tests.dashboard.conftest import NO_BROKER, Running, serving, settings_of
from tests.dashboard.fleet import Fleet
from tests.mosquitto_server import Mosquitto
from tests.postgres_servers import Database, connected

PATIENCE_S = 60.0


@asynccontextmanager
async def live(running: Running, **query: Any) -> AsyncIterator[ClientConnection]:
    url = f"{running.ws_url}/api/v1/live?{urlencode(query)}"
    async with connect(url, additional_headers=running.authorization, proxy=None) as socket:
        yield socket


async def frame(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of a kind; `time` frames in between are passed over, others are not expected."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            got: dict[str, Any] = json.loads(await socket.recv())
            if got["type"] == kind:
                return got
            assert got["type"] == "time", got


async def test_snapshot_then_changes(running: Running) -> None:
    await running.fleet.add("a", "b")
    first = await running.fleet.presence("a")
    await running.dashboard.feed.catch_up()
    async with live(running) as socket:
        snapshot = await frame(socket, "snapshot")
        (vehicle,) = snapshot["vehicles"]
        assert vehicle["id"] == "a"
        assert vehicle["registration"]["state"] == "online"
        assert vehicle["registration"]["cursor"] == first
        await running.fleet.presence("a", "suspect", "lost")
        got = await frame(socket, "presence")
        (change,) = got["changes"]
        assert (change["vehicle"], change["state"], change["reason"]) == ("a", "suspect", "lost")
        assert change["since"].endswith("Z")
        assert {
            "evidence",
            "deadline",
            "epoch",
            "n",
            "region",
            "cell",
            "address",
            "seen_address",
        } <= change.keys()


async def test_a_time_frame_comes_soon_and_says_the_lag(running: Running) -> None:
    async with live(running) as socket:
        await frame(socket, "snapshot")
        got = await frame(socket, "time")
        server_time = datetime.fromisoformat(got["server_time"])
        assert abs(server_time - datetime.now(UTC)) < timedelta(seconds=5)
        assert 0 <= got["lag_s"] < 5


async def test_resumes_from_the_cursor_and_misses_no_change(running: Running) -> None:
    await running.fleet.add("a", "b")
    async with live(running) as socket:
        cursor = (await frame(socket, "snapshot"))["cursor"]
    missed = [
        await running.fleet.presence("a"),
        await running.fleet.presence("a", "suspect", "lost"),
        await running.fleet.presence("b"),
    ]
    async with live(running, cursor=cursor) as socket:
        got: list[int] = []
        while len(got) < len(missed):
            got += [change["cursor"] for change in (await frame(socket, "presence"))["changes"]]
        assert got == missed


async def test_a_restarted_dashboard_continues_from_the_cursor(
    plain_database: Database, fleet: Fleet, tmp_path: Path
) -> None:
    settings = settings_of(plain_database, tmp_path)
    await fleet.add("a")
    async with serving(settings, plain_database, fleet) as running, live(running) as socket:
        cursor = (await frame(socket, "snapshot"))["cursor"]
    missed = [await fleet.presence("a"), await fleet.presence("a", "offline", "shutdown")]
    async with serving(settings, plain_database, fleet) as running, live(running, cursor=cursor) as socket:
        got = await frame(socket, "presence")
        assert [change["cursor"] for change in got["changes"]] == missed  # from the table: the hub is new


async def test_another_generation_gets_a_snapshot(running: Running) -> None:
    async with live(running) as socket:
        cursor = (await frame(socket, "snapshot"))["cursor"]
        await running.fleet.connection.execute("UPDATE fleet.feed SET generation = gen_random_uuid()")
        assert (await frame(socket, "snapshot"))["cursor"] != cursor  # while it is connected
    async with live(running, cursor=cursor) as socket:
        await frame(socket, "snapshot")


async def test_a_silent_gateway_is_shown_and_undone(
    plain_database: Database, fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.add("a")
    await fleet.presence("a")
    await fleet.connection.execute("UPDATE fleet.presence_event SET learned_at = now() - interval '1 minute'")
    await fleet.heartbeat(age_s=9)  # silent in a second
    settings = settings_of(plain_database, tmp_path)
    async with serving(settings, plain_database, fleet) as running, live(running) as socket:
        shown = (await frame(socket, "snapshot"))["vehicles"][0]["registration"]
        if shown["state"] == "online":
            (shown,) = (await frame(socket, "presence"))["changes"]
        assert (shown["state"], shown["reason"], shown["deadline"]) == ("unknown", "gateway", None)
        assert shown["evidence"]["registered"]["state"] == "online"
        await fleet.heartbeat()
        (shown,) = (await frame(socket, "presence"))["changes"]
        assert (shown["state"], shown["reason"]) == ("online", "attach")


async def test_filters_narrow_the_feed(running: Running) -> None:
    await running.fleet.add("a", "b")
    await running.fleet.presence("a", region="espoo")
    await running.fleet.presence("b", region="helsinki")
    await running.dashboard.feed.catch_up()
    async with live(running, region="espoo") as socket, live(running, vehicles="b") as other:
        await frame(socket, "snapshot")
        await frame(other, "snapshot")
        last = await running.fleet.presence("b", "offline", "shutdown", region="helsinki")
        handed_over = await running.fleet.presence("a", region="helsinki")
        seen: list[int] = []
        while handed_over not in seen:
            seen += [c["cursor"] for c in (await frame(socket, "presence"))["changes"]]
        assert last not in seen
        got: list[int] = []
        while last not in got:
            got += [c["cursor"] for c in (await frame(other, "presence"))["changes"]]
        assert handed_over not in got


async def test_positions_come_from_the_broker(
    plain_database: Database, fleet: Fleet, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    await fleet.add("a")
    settings = settings_of(plain_database, tmp_path, broker_url=mosquitto.mqtt_url)
    gateway = MqttBridge(mosquitto.mqtt_url, client_id="ingest")
    running_gateway = asyncio.create_task(gateway.run())
    try:
        async with serving(settings, plain_database, fleet) as running, live(running) as socket:
            await frame(socket, "snapshot")
            (bridge,) = running.dashboard.feed.bridges
            async with asyncio.timeout(PATIENCE_S):
                await bridge.wait_connected()
                await gateway.wait_connected()
            now_ms = int(datetime.now(UTC).timestamp() * 1000)

            async def publish(*positions: Position) -> None:
                payload = messages.encode(Positions(datetime.now(UTC), list(positions)))
                await gateway.publish(topics.positions_topic("helsinki"), payload)

            await publish(Position("a", now_ms, 60.1, 24.9, 90.0, 36.5))
            (moved,) = (await frame(socket, "positions"))["changes"]
            assert (moved["vehicle"], moved["lat"], moved["heading"], moved["speed"]) == ("a", 60.1, 90, 36.5)
            await gateway.publish(topics.positions_topic("helsinki"), b"{not json")
            await publish(Position("a", now_ms - 1000, 1.0, 1.0))  # older: never shown
            await publish(Position("a", now_ms + 1000, 60.2, 24.9))
            (moved,) = (await frame(socket, "positions"))["changes"]
            assert moved["lat"] == 60.2
            assert running.dashboard.feed.rejected == 1
    finally:
        gateway.close()
        await running_gateway


async def test_a_region_whose_broker_is_away_is_named_by_its_address(
    plain_database: Database, fleet: Fleet, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    await fleet.add("a")
    urls = {"broker_url": mosquitto.mqtt_url, "more_broker_urls": [NO_BROKER, mosquitto.ws_url]}
    settings = settings_of(plain_database, tmp_path, **urls)
    async with serving(settings, plain_database, fleet) as running:
        first, away, second = running.dashboard.feed.bridges
        async with asyncio.timeout(PATIENCE_S):
            await first.wait_connected()
            await second.wait_connected()
        reasons = (await running.api.get("/readyz")).json()["reasons"]
        (told,) = [reason for reason in reasons if reason.startswith("broker: ")]
        assert told.startswith(f"broker: not connected to {away.address}")


async def test_positions_come_from_the_database_without_a_broker(running: Running) -> None:
    await running.fleet.add("a")
    async with live(running) as socket:
        await frame(socket, "snapshot")
        await running.fleet.latest("a", datetime.now(UTC), 60.1, 24.9)
        (moved,) = (await frame(socket, "positions"))["changes"]
        assert moved["lat"] == 60.1


async def test_server_sent_events_give_the_same_frames(running: Running) -> None:
    await running.fleet.add("a")

    async def events(headers: dict[str, str], count: int) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        async with (
            asyncio.timeout(PATIENCE_S),
            running.api.stream("GET", "/api/v1/live/sse", headers=headers) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    if event.get("event") not in (None, "time"):
                        found.append(event)
                    event = {}
                if len(found) == count:
                    break
        return found

    (snapshot,) = await events({}, 1)
    assert snapshot["event"] == "snapshot"
    assert json.loads(snapshot["data"])["cursor"] == snapshot["id"]
    cursor = await running.fleet.presence("a")
    (presence,) = await events({"Last-Event-ID": snapshot["id"]}, 1)
    assert presence["event"] == "presence"
    assert [change["cursor"] for change in json.loads(presence["data"])["changes"]] == [cursor]


async def test_poll_and_long_poll_give_the_same_frames(running: Running) -> None:
    await running.fleet.add("a")

    async def poll(**query: Any) -> dict[str, Any]:
        answer = await running.api.get("/api/v1/live/poll", params=query, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    first = await poll()
    assert [found["type"] for found in first["frames"]] == ["snapshot", "time"]
    again = await poll(cursor=first["cursor"])
    assert [found["type"] for found in again["frames"]] == ["time"]
    waiting = asyncio.create_task(poll(cursor=again["cursor"], wait=9))
    while not running.dashboard.feed.hub.clients:
        await asyncio.sleep(0)
    cursor = await running.fleet.presence("a")
    news = await waiting
    assert [found["type"] for found in news["frames"]] == ["presence", "time"]
    assert news["frames"][0]["changes"][0]["cursor"] == cursor
    quiet = await poll(cursor=news["cursor"], wait=0.05)
    assert [found["type"] for found in quiet["frames"]] == ["time"]
    assert not running.dashboard.feed.hub.clients


async def test_who_may_not_listen_is_refused(running: Running) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(f"{running.ws_url}/api/v1/live", proxy=None):
            pass
    assert refused.value.response.status_code == 401
    with pytest.raises(websockets.InvalidStatus) as wrong:
        async with live(running, cursor="nonsense"):
            pass
    assert wrong.value.response.status_code == 422
    assert b"start with a snapshot" in (wrong.value.response.body or b"")
    with pytest.raises(websockets.InvalidStatus) as misspelt:
        async with live(running, regions="espoo"):
            pass
    assert b"'regions': no such query parameter" in (misspelt.value.response.body or b"")


async def test_a_client_that_does_not_read_is_let_go(running: Running) -> None:
    await running.fleet.add("a")
    hub = running.dashboard.feed.hub
    hub._queue_limit = 4
    big = {
        "kind": "attach",
        "padding": "x" * 1_000_000,
    }  # more than the sockets' buffers take in a few frames
    url = f"{running.ws_url}/api/v1/live"
    async with connect(
        url, additional_headers=running.authorization, proxy=None, max_queue=1, close_timeout=0
    ) as socket:
        async with asyncio.timeout(PATIENCE_S):
            while not hub.clients:
                await asyncio.sleep(0)
            (client,) = hub.clients
            while client.closed is None:
                await running.fleet.presence("a", evidence=big)
                await running.dashboard.feed.catch_up()
            while hub.clients:  # forgotten, though a frame is still on its way to it
                await asyncio.sleep(0)
        assert hub.closed_slow == 1
        socket.transport.abort()


async def test_a_client_is_told_when_the_server_stops(
    plain_database: Database, fleet: Fleet, tmp_path: Path
) -> None:
    async with serving(settings_of(plain_database, tmp_path), plain_database, fleet) as running:
        socket = await connect(
            f"{running.ws_url}/api/v1/live", additional_headers=running.authorization, proxy=None
        )
        await frame(socket, "snapshot")
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    assert socket.close_code in (1012, 1013)
    async with connected(plain_database.superuser) as connection:
        left = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'fleetcell dashboard'"
        )
    assert left == 0


async def test_a_database_that_goes_and_comes_back(running: Running) -> None:
    await running.fleet.add("a")
    async with live(running) as socket, connected(running.database.superuser) as administrator:
        await frame(socket, "snapshot")
        await administrator.execute("ALTER ROLE fleetcell_dashboard CONNECTION LIMIT 0")
        try:
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'fleetcell_dashboard' AND datname = current_database()"
            )
            async with asyncio.timeout(PATIENCE_S):
                while not (await ready(running))[0].startswith("database: "):
                    await asyncio.sleep(0.05)
            answer = await running.api.get("/api/v1/fleet")
            assert answer.status_code == 503
            assert "Try again" in answer.json()["detail"]
            cursor = await running.fleet.presence("a")
        finally:
            await administrator.execute("ALTER ROLE fleetcell_dashboard CONNECTION LIMIT -1")
        (change,) = (await frame(socket, "presence"))["changes"]
        assert change["cursor"] == cursor
        assert not [reason for reason in await ready(running) if reason.startswith("database: ")]


async def ready(running: Running) -> list[str]:
    """What /readyz says is wrong."""
    reasons: list[str] = (await running.api.get("/readyz", timeout=PATIENCE_S)).json()["reasons"]
    return reasons
