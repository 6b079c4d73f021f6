"""What ingest does when a part it needs is gone, and when it is gone itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest_asyncio

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState, State, decode
from fleetcell.contract.topics import Channel
from ingest.claims import Heard
from ingest.database import connect
from ingest.register import Register
from tests.ingest.platform import Platform, Unit, secret
from tests.ingest.units import NOW_US, REGION, new_boot, provision, sample, telemetry
from tests.postgres_servers import PlainServer, fresh_database
from tests.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ingest.app import Service
    from ingest.database import Connection

IN_OFFICE = """
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint = hashtext('fleetcell registrar')::bigint & 4294967295
"""


@pytest_asyncio.fixture
async def stoppable(plain_server: PlainServer, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform whose database server the test stops and starts; it is up again at the end."""
    with fresh_database(plain_server) as database:
        platform = Platform(database.owner, tmp_path)
        await platform.start()
        yield platform
        await platform.stop()


async def test_without_a_database_nothing_is_acknowledged_and_all_is_stored_after(
    stoppable: Platform, plain_server: PlainServer
) -> None:
    platform, boot = stoppable, new_boot()
    unit, other = await platform.unit("car"), await platform.unit("bus")
    await unit.attach()
    await other.attach()
    await asyncio.to_thread(plain_server.stop)
    try:
        await unit.gateway(lambda status: not status.storing)
        unit.forget()
        await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1), sample(2)], epoch=unit.epoch))
        for _ in range(3):
            claim = await unit.claim(ClaimKind.UPDATE, update_interval=60.0)
        await other.vanish()
        await platform.until(lambda: _service(platform).metrics.failures._value.get() > 0)
        assert not unit.heard(Channel.ACK)
        assert not unit.heard(Channel.STATE)
    finally:
        away_until = datetime.now(UTC)
        plain_server.start()  # not in a thread: the server ends with the thread that started it
    assert (await unit.ack(lambda ack: ack.boot == boot)).seq == 2
    await unit.gateway(lambda status: status.storing)
    state = await unit.state(lambda state: state.n == claim.n)
    assert state.state is PresenceState.ONLINE
    await platform.history("bus", ["online (attach)", "suspect (lost)", "offline (lost)"])
    await platform.history("car", ["online (attach)"])
    connection = await connect(platform.dsn)
    lost = await connection.fetchrow(
        "SELECT at, learned_at FROM fleet.presence_event WHERE state = 'suspect'"
    )
    connection.terminate()
    assert lost is not None
    assert lost["at"] < away_until < lost["learned_at"], "dated by when it was heard"


async def test_a_dead_broker_makes_nobody_offline(platform: Platform, connection: Connection) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await unit.vanish()  # what the end of a broker looks like from here: a will, and then silence
    await platform.stop_broker()
    await connection.execute("UPDATE fleet.registration SET deadline = now()")
    await platform.becomes(
        connection, "SELECT (state, reason) = ('unknown', 'gateway') FROM fleet.registration"
    )
    await platform.start_broker()
    await asyncio.wait_for(_service(platform).registrar.wait_hearing(), 60)
    assert await connection.fetchval("SELECT deadline > now() + interval '70 s' FROM fleet.registration")
    unit.forget()
    await unit.connect()
    first = await unit.state(lambda _: True)
    assert (first.state, first.reason) == (PresenceState.UNKNOWN, "gateway"), "the new broker was told"
    assert (await unit.attach()).state is PresenceState.ONLINE


async def test_a_registrar_that_starts_pages_and_believes_only_what_it_hears(platform: Platform) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await platform.kill_service()
    unit.forget()
    await platform.start_service()
    await unit.raw(Channel.PAGE)
    await unit.claim(ClaimKind.UPDATE)
    await platform.history("car", ["online (attach)", "unknown (gateway)", "online (update)"])


async def test_a_crash_between_commit_and_publish_loses_no_state(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    first = await unit.attach()
    await platform.kill_service()
    ids = await provision(connection, "car")
    heard = Heard()
    heard.add("car", Claim(ClaimKind.SLEEP, 1, first.since, n=2, sleep_s=3600), 0)
    timers = platform.settings().timers()
    await Register(REGION, timers).take(
        connection, heard, ids, age_s=lambda _: 0, address=lambda _: None, blind_window=False
    )
    await platform.start_service()
    state = await unit.state(lambda state: state.n == 2)
    assert state.state is PresenceState.ASLEEP


async def test_a_reading_whose_commit_was_not_answered_is_answered_when_it_comes_again(
    platform: Platform, connection: Connection
) -> None:
    unit, boot = await platform.unit("car"), new_boot()
    message = telemetry(boot, [sample(1), sample(2)])
    await unit.send(Channel.TELEMETRY, message)
    await unit.ack(lambda ack: ack.seq == 2)
    await platform.kill_service()
    unit.forget()
    await platform.start_service()
    await unit.send(Channel.TELEMETRY, message)
    await unit.ack(lambda ack: ack.seq == 2)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 2


async def test_what_the_database_refuses_is_found_and_costs_only_itself(
    platform: Platform, connection: Connection
) -> None:
    await connection.execute("ALTER TABLE fleet.telemetry ADD CONSTRAINT lucky CHECK (speed <> 13)")
    unit, other = await platform.unit("car"), await platform.unit("bus")
    boot = new_boot()
    samples = [sample(n, NOW_US - 1000, speed=float(n)) for n in range(1, 31)]
    await unit.send(Channel.TELEMETRY, telemetry(boot, samples))
    await other.send(Channel.TELEMETRY, telemetry(boot, samples[:5]))
    assert (await unit.ack(lambda ack: ack.seq == 30)).also is None
    await other.ack(lambda ack: ack.seq == 5)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 29 + 5
    row = await connection.fetchrow("SELECT reason, payload FROM fleet.dead_letter")
    assert row is not None
    assert "lucky" in row["reason"]
    assert b'"seq":13' in row["payload"]


async def test_a_vehicle_that_was_revoked_or_erased_stores_nothing(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await connection.execute("UPDATE fleet.vehicle SET revoked_at = now()")
    _service(platform).vehicles.forget()
    await unit.send(Channel.TELEMETRY, telemetry(new_boot(), [sample(1)]))
    await platform.until(lambda: _service(platform).metrics.refused._value.get() == 1)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 0


async def test_of_two_registrars_one_works_and_the_other_takes_over(
    platform: Platform, connection: Connection
) -> None:
    service = _service(platform)
    lock = "SELECT pg_try_advisory_lock(hashtext('fleetcell registrar'), hashtext($1))"
    assert not await connection.fetchval(lock, REGION), "the first holds the lock"
    holder = await connect(platform.dsn)
    end_the_holder = """
        SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    """
    async with asyncio.timeout(60):
        while not await holder.fetchval(lock, REGION):
            await connection.execute(end_the_holder)
    await platform.until(lambda: not service.registrar.leading)
    holder.terminate()
    await platform.until(lambda: service.registrar.leading)
    unit = await platform.unit("car")
    await unit.attach()


async def test_a_statement_that_fails_costs_the_registrar_a_turn_and_not_its_office(
    platform: Platform, connection: Connection
) -> None:
    """Else two workers on a slow database take it from each other, and each begins with blindness."""
    unit = await platform.unit("car")
    await unit.attach()
    pid = await connection.fetchval(IN_OFFICE)
    for _ in range(3):
        async with _locked(platform, "fleet.registration"):
            claim = await unit.claim(ClaimKind.ATTACH)
            await _cancel(platform, connection, f"pid = {pid}")
        await unit.state(lambda state, n=claim.n: state.n == n)  # type: ignore[misc]
    assert await connection.fetchval(IN_OFFICE) == pid
    await platform.history("car", ["online (attach)"])


async def test_states_are_published_although_reading_them_failed(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    pid = await connection.fetchval(IN_OFFICE)
    unit.forget()
    async with _locked(platform, "fleet.presence_event"):
        _service(platform).publisher.everything()
        await _cancel(platform, connection, f"pid <> {pid} AND query LIKE '%presence_event%'")
    assert (await unit.state(lambda _: True)).n == 1
    assert await connection.fetchval(IN_OFFICE) == pid


@asynccontextmanager
async def _locked(platform: Platform, table: str) -> AsyncIterator[None]:
    """Nobody can read the table."""
    connection = await connect(platform.dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        connection.terminate()


async def _cancel(platform: Platform, connection: Connection, whose: str) -> None:
    """Wait until a statement waits for a lock, and cancel it."""
    stuck = f"""
        SELECT min(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND {whose}
    """
    await platform.becomes(connection, f"SELECT ({stuck}) IS NOT NULL")
    await connection.execute(f"SELECT pg_cancel_backend(({stuck}))")


async def test_a_clean_stop_stores_and_answers_what_is_waiting(plain_dsn: str, tmp_path: Path) -> None:
    platform = Platform(plain_dsn, tmp_path, batch_ms=10_000, batch_gather_ms=10_000)
    await platform.start()
    try:
        unit, boot = await platform.unit("car"), new_boot()
        await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1), sample(2)]))
        await platform.until(lambda: _service(platform).writer.waiting == 2)
        assert not unit.heard(Channel.ACK)
        await platform.stop_service()
        assert (await unit.ack(lambda ack: ack.boot == boot)).seq == 2
        await unit.gateway(lambda status: not status.storing)
    finally:
        await platform.stop()


async def test_the_process_stops_cleanly_on_sigterm(platform: Platform) -> None:
    unit = await platform.unit("car")
    await platform.stop_service()
    process = await _process(platform)
    unit.forget()
    await unit.gateway(lambda status: status.storing)
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert b"ingest stopped" in errors
    await unit.gateway(lambda status: not status.storing)


async def test_who_came_back_while_the_process_stood_still_is_not_offline(
    platform: Platform, connection: Connection
) -> None:
    """Its attach waits in the socket, and the linger is over by the time it can be read."""
    unit = await platform.unit("car")
    await platform.stop_service()
    process = await _process(platform, FLEETCELL_LINGER_S="3")
    try:
        await _is_lost(unit, platform)
        process.send_signal(signal.SIGSTOP)
        await unit.connect()
        await unit.claim(ClaimKind.ATTACH)  # the broker has it
        await platform.becomes(connection, "SELECT deadline < clock_timestamp() FROM fleet.registration")
        process.send_signal(signal.SIGCONT)
        await platform.history("car", ["online (attach)", "suspect (lost)", "online (attach)"])
    finally:
        process.kill()
        await process.communicate()


async def test_who_came_back_while_the_broker_was_silent_is_not_offline(
    platform: Platform, connection: Connection
) -> None:
    """Shorter than any keep-alive: the connection lasts, and says nothing."""
    unit = await platform.unit("car")
    await platform.stop_service()
    relay = Relay(("127.0.0.1", int(platform.url.rsplit(":", 1)[1])))
    await relay.start()
    url = f"mqtt://127.0.0.1:{relay.port}"
    process = await _process(platform, FLEETCELL_LINGER_S="3", FLEETCELL_BROKER_URL=url)
    try:
        await _is_lost(unit, platform)
        relay.swallow()
        await unit.connect()
        await unit.claim(ClaimKind.ATTACH)  # the broker has it
        overdue = "SELECT deadline + interval '2 s' < clock_timestamp() FROM fleet.registration"
        await platform.becomes(connection, overdue)  # a registrar that believed the clock would have acted
        relay.mend()
        await platform.history("car", ["online (attach)", "suspect (lost)", "online (attach)"])
    finally:
        process.kill()
        await process.communicate()
        await relay.stop()


async def _is_lost(unit: Unit, platform: Platform) -> None:
    """The vehicle attaches as soon as somebody hears it, and its link breaks."""
    unit.forget()
    async with asyncio.timeout(60):
        while not unit.heard(Channel.STATE):  # what it says before ingest hears is lost
            await unit.claim(ClaimKind.ATTACH)
            await asyncio.sleep(0.05)
    await unit.vanish()
    await platform.history("car", ["online (attach)", "suspect (lost)"])


async def _process(platform: Platform, **settings: str) -> asyncio.subprocess.Process:
    """Ingest as a process of its own; the caller ends it."""
    found = platform.settings()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fleetcell",
        "ingest",
        env={
            "PATH": os.defpath,
            "FLEETCELL_DSN": platform.dsn,
            "FLEETCELL_REGION": REGION,
            "FLEETCELL_BROKER_URL": platform.url,
            "FLEETCELL_BROKER_USER": f"ingest-{REGION}",
            "FLEETCELL_BROKER_PASSWORD": secret(f"ingest-{REGION}"),
            "FLEETCELL_REGISTRAR_USER": f"registrar-{REGION}",
            "FLEETCELL_REGISTRAR_PASSWORD": secret(f"registrar-{REGION}"),
            "FLEETCELL_CREDENTIALS_FILE": str(found.credentials_file),
            "FLEETCELL_SERVICE_CREDENTIALS_FILE": str(found.service_credentials_file),
            **settings,
        },
        stderr=asyncio.subprocess.PIPE,
    )


def _service(platform: Platform) -> Service:
    assert platform.service is not None
    return platform.service


async def test_a_unit_with_a_lost_counter_learns_its_epoch_also_from_a_region_that_did_not_serve_it(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await connection.execute("UPDATE fleet.registration SET epoch = 7, region = 'elsewhere'")
    unit.forget()
    await unit.claim(ClaimKind.ATTACH)

    def elsewhere(payload: bytes) -> bool:
        """Neither the empty one, of who is not served here, nor the one of before, which may come again."""
        return bool(payload) and decode(State, payload).region != REGION

    told = decode(State, await unit._next(Channel.STATE, bytes, elsewhere))
    assert (told.epoch, told.region) == (7, "elsewhere")
