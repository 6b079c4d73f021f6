"""The whole service between the embedded broker and PostgreSQL, as a unit sees it."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import stat
from typing import TYPE_CHECKING

import httpx
import pytest

from fleetcell.contract.credentials import decode_file
from fleetcell.contract.messages import ClaimKind, Positions, PresenceState, Previous, Rejected, decode
from fleetcell.contract.topics import Channel
from ingest.app import run
from ingest.metrics import serve_metrics
from tests.ingest.platform import Platform
from tests.ingest.units import new_boot, sample, telemetry

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.database import Connection
    from tests.mosquitto_server import Mosquitto


async def test_a_unit_attaches_and_its_readings_are_acknowledged_after_commit(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    state = await unit.attach(boot=new_boot(), next_seq=1, cell="89283470c27ffff")
    assert (state.state, state.reason, state.region) == (PresenceState.ONLINE, "attach", "helsinki")
    assert state.seen_address == "127.0.0.1"
    await unit.gateway(lambda status: status.storing)
    boot = new_boot()
    await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1, lat=60.0, lon=25.0), sample(2)]))
    ack = await unit.ack(lambda ack: ack.boot == boot)
    assert ack.seq == 2
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 2


async def test_what_cannot_be_decoded_is_rejected_by_its_hash(platform: Platform) -> None:
    unit = await platform.unit("car")
    await unit.send(Channel.TELEMETRY, b"nonsense")
    answer = decode(Rejected, await unit.raw(Channel.ACK))
    assert answer.rejected == hashlib.sha256(b"nonsense").hexdigest()
    assert "valid" in answer.reason


async def test_a_lost_link_is_suspect_at_once_and_offline_after_the_linger(platform: Platform) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await unit.vanish()
    await platform.history("car", ["online (attach)", "suspect (lost)", "offline (lost)"])
    await unit.connect()
    assert (await unit.state(lambda state: state.state is PresenceState.OFFLINE)).epoch == 1
    assert (await unit.attach()).state is PresenceState.ONLINE


async def test_a_clean_goodbye_is_offline_at_once(platform: Platform) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await unit.claim(ClaimKind.DETACH, reason="shutdown")
    state = await unit.state(lambda state: state.n == 2)
    assert (state.state, state.reason) == (PresenceState.OFFLINE, "shutdown")


async def test_a_claim_of_an_older_epoch_changes_nothing_and_is_answered(platform: Platform) -> None:
    unit = await platform.unit("car")
    unit.epoch = 6
    await unit.disconnect()
    await unit.connect()
    await unit.attach()
    unit.forget()
    unit.epoch, unit.n = 3, 0
    await unit.claim(ClaimKind.ATTACH)
    answer = await unit.state(lambda _: True)
    assert (answer.epoch, answer.state) == (7, PresenceState.ONLINE)
    await platform.history("car", ["online (attach)"])


async def test_a_claim_that_changes_no_state_is_still_seen_in_it(platform: Platform) -> None:
    unit = await platform.unit("car")
    first = await unit.attach()
    await unit.claim(ClaimKind.UPDATE, update_interval=60.0)
    second = await unit.state(lambda state: state.n == 2)
    assert second.cursor == first.cursor
    assert first.deadline is not None
    assert second.deadline is not None
    assert second.deadline > first.deadline


async def test_claims_tell_of_readings_that_never_came(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    old, new = new_boot(), new_boot()
    await unit.attach(boot=new, next_seq=4, previous=Previous(old, 9))
    rows = await connection.fetch("SELECT boot, claimed, pending::text FROM api.delivery")
    found = {row["boot"].hex: (row["claimed"], row["pending"]) for row in rows}
    assert found == {old: (9, "{[1,10)}"), new: (3, "{[1,4)}")}


async def test_telemetry_brings_a_silent_vehicle_back(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach(update_interval=1)
    await connection.execute("UPDATE fleet.registration SET deadline = now()")
    await platform.history("car", ["online (attach)", "suspect (overdue)"])
    await unit.raw(Channel.PAGE)
    await unit.send(Channel.TELEMETRY, telemetry(new_boot(), [sample(1)], epoch=unit.epoch))
    await platform.history("car", ["online (attach)", "suspect (overdue)", "online (telemetry)"])


async def test_telemetry_defers_a_deadline_that_has_passed(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await unit.send(Channel.TELEMETRY, telemetry(boot := new_boot(), [sample(1)], epoch=unit.epoch))
    await unit.ack(lambda ack: ack.boot == boot)
    await connection.execute("UPDATE fleet.registration SET deadline = now()")
    deferred = "SELECT deadline > now() + interval '30 s' FROM fleet.registration"
    await platform.becomes(connection, deferred)
    await platform.history("car", ["online (attach)"])


async def test_credentials_follow_the_database(platform: Platform, connection: Connection) -> None:
    await platform.unit("car")
    file = platform.credentials_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = decode_file(file.read_bytes())
    assert set(content.units) == {"car"}
    assert set(content.services) == {"ingest-helsinki", "registrar-helsinki"}
    await connection.execute("SELECT api.revoke('car')")
    await platform.until(lambda: not decode_file(file.read_bytes()).units)


async def test_positions_go_to_the_dashboards_after_commit(platform: Platform) -> None:
    unit = await platform.unit("car")
    frames: asyncio.Queue[Positions] = asyncio.Queue()
    watcher = platform.watch(
        "fleet/v1/helsinki/live/positions", lambda payload: frames.put_nowait(decode(Positions, payload))
    )
    async with watcher:
        await unit.send(Channel.TELEMETRY, telemetry(new_boot(), [sample(1, lat=60.0, lon=25.0, speed=36.0)]))
        frame = await asyncio.wait_for(frames.get(), 60)
    (position,) = frame.positions
    assert (position.vehicle, position.lat, position.lon, position.speed) == ("car", 60.0, 25.0, 36.0)


async def test_another_broker_will_do(plain_dsn: str, tmp_path: Path, mosquitto: Mosquitto) -> None:
    class OnMosquitto(Platform):
        async def start_broker(self) -> None:
            self.url = f"mqtt://127.0.0.1:{mosquitto.mqtt_port}"  # it runs already

    platform = OnMosquitto(plain_dsn, tmp_path)
    await platform.start()
    try:
        unit, boot = await platform.unit("car"), new_boot()
        assert (await unit.attach()).seen_address is None, "Mosquitto does not tell"
        await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1)]))
        assert (await unit.ack(lambda ack: ack.boot == boot)).seq == 1
        await unit.vanish()
        await platform.history("car", ["online (attach)", "suspect (lost)", "offline (lost)"])
    finally:
        await platform.stop()


async def test_a_port_that_is_taken_is_one_clear_error(platform: Platform) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = platform.settings().model_copy(update={"metrics_port": taken.getsockname()[1]})
        await platform.stop_service()
        with pytest.raises(OSError, match="in use"):
            await asyncio.wait_for(run(settings), 60)


async def test_metrics_and_health(platform: Platform) -> None:
    service = platform.service
    assert service is not None
    unit = await platform.unit("car")
    boot = new_boot()
    await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1)]))
    await unit.ack(lambda ack: ack.boot == boot)
    server = await serve_metrics(service.metrics, service.healthy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(timeout=60, base_url=f"http://127.0.0.1:{port}") as client:
        text = (await client.get("/metrics")).text
        assert "fleetcell_ingest_readings_total 1.0" in text.splitlines()
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/else")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        service.gateway.failed("a test")
        response = await client.get("/healthz")
        assert (response.status_code, response.text) == (503, "the database cannot store\n")
