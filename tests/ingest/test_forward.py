"""From the schema of each earlier release to this one: with data in it, killed half-way, and by two at once.

An earlier release is its migrations and rows as it wrote them; nothing of today's code makes them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from ingest import database
from ingest.schema import MIGRATIONS
from ingest.statements import statement
from ingest.tier import Tier
from tests.postgres_servers import Database, Server, connected, fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASED = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
MIGRATE = "import asyncio, sys; from ingest.database import migrate; print(asyncio.run(migrate(sys.argv[1])))"

# Written when the migration was the newest; a later one finds them there.
ROWS = {
    "0001_fleet": """
        INSERT INTO fleet.vehicle (name, mac) VALUES ('car', repeat('0', 64));
        INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, speed, received_at)
            SELECT '2026-01-01T12:00Z'::timestamptz + n * interval '1 second', 1,
                'b0070000-0000-0000-0000-000000000000', n, 50, now() FROM generate_series(1, 700) AS n;
        INSERT INTO fleet.ledger (vehicle_id, boot, received, claimed)
            VALUES (1, 'b0070000-0000-0000-0000-000000000000', '{[1,701)}', 700);
        INSERT INTO fleet.vehicle_latest (vehicle_id, time, speed) VALUES (1, '2026-01-01T12:11:40Z', 50);
        INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind, data)
            VALUES ('2026-01-01T12:00Z', 1, 'b0070000-0000-0000-0000-000000000000', 701, 'crash',
                '{"lat": 60.1, "lon": 24.9}');
        INSERT INTO fleet.dead_letter (topic, sha256, payload, size, reason)
            VALUES ('fleet/v1/helsinki/car/telemetry', sha256('x'), 'x', 1, 'not JSON');
        INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)
            VALUES (1, 'online', 'attach', '2026-01-01T12:00Z', 4, 'helsinki');
        INSERT INTO fleet.presence_event (cursor, vehicle_id, at, learned_at, state, reason, epoch, region)
            VALUES (nextval('fleet.presence_cursor'), 1, '2026-01-01T12:00Z', now(), 'online', 'attach', 4,
                'helsinki');
        INSERT INTO fleet.command (vehicle_id, name, not_after) VALUES (1, 'ping', '2026-01-01T12:00Z');
        INSERT INTO fleet.api_key (name, role, hash) VALUES ('ops', 'admin', 'h');
    """,
    "0002_commands": """
        INSERT INTO fleet.command_step (command_id, event, state)
            SELECT id, 'queued', 'queued' FROM fleet.command;
    """,
    "0003_presence": "UPDATE fleet.registration SET flaps = 3;",
    "0004_regions": """
        INSERT INTO fleet.region (name, url, cells) VALUES ('helsinki', 'wss://h', '{8508996ffffffff}');
    """,
    "0005_derived": """
        UPDATE fleet.dirty_bucket SET marks = 5;
        INSERT INTO fleet.derived_by (rules) VALUES ('{}');
    """,
    "0006_silence": """
        INSERT INTO fleet.gateway_silence VALUES ('helsinki', '2026-01-01T12:00Z', '2026-01-01T12:05Z');
    """,
    "0007_events": """
        INSERT INTO fleet.hazard (region, station_id, sequence, cause, sub_cause, lat, lon, detected_at,
            reference_at, valid_until) VALUES ('helsinki', 7, 1, 94, 0, 60, 25, now(), now(), now());
    """,
    "0008_time": """
        UPDATE fleet.ledger SET conflicts = 2;
        INSERT INTO fleet.derive_request (vehicle_id) VALUES (1);
    """,
    "0011_erase": "UPDATE fleet.vehicle SET retention_days = 400;",
    "0012_geofences": """
        INSERT INTO fleet.geofence (name, geometry, radius_m, margin_m, restricted, alert_enter, alert_exit,
            created_by, updated_by)
        VALUES ('yard', '{"type": "Point", "coordinates": [25, 60]}', 50, 25, false, true, false,
            'ops', 'ops');
    """,
    "0014_latest": "UPDATE fleet.vehicle_latest SET keys_hash = 7;",
}
# What the API's views say of them, whichever release wrote them.
FACTS = {
    "SELECT count(*) FROM api.telemetry WHERE vehicle = 'car'": 700,
    "SELECT received_count FROM api.delivery": 700,
    "SELECT pending_count FROM api.delivery": 0,
    "SELECT speed FROM api.vehicles": 50,
    "SELECT state FROM api.vehicles": "online",
    "SELECT count(*) FROM api.presence_events": 1,
    "SELECT lat FROM api.events": 60.1,
    "SELECT count(*) FROM api.dead_letters": 1,
    "SELECT state FROM api.commands": "queued",
    "SELECT role FROM api.api_keys": "admin",
    "SELECT count(*) FROM api.dirty_buckets": 2,
    "SELECT give_up_at = not_after FROM fleet.command": True,
}


def test_every_migration_is_here() -> None:
    assert list(ROWS) == RELEASED, "a new migration: say what rows its release writes"


@pytest.fixture
def empty_database(plain_server: Server) -> Iterator[Database]:
    with fresh_database(plain_server, empty=True) as empty:
        yield empty


async def release(dsn: str, newest: str, folder: Path, tier: Tier = Tier.PLAIN) -> None:
    """Make the database of the release whose newest migration this is, with its data."""
    quiet = logging.getLogger("fleetcell.tests")
    quiet.setLevel(logging.ERROR)
    async with connected(dsn) as connection:
        await pogo_sql.ensure_pogo_sync(connection)
        for name in RELEASED[: RELEASED.index(newest) + 1]:
            shutil.copy(MIGRATIONS / f"{name}.sql", folder)
            async with connection.transaction():
                await pogo.apply(connection, folder, schema_name="public", logger=quiet)
            if name == RELEASED[0] and tier is not Tier.PLAIN:
                await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
                for one in tier.statements:
                    await connection.execute(statement(one))
            await connection.execute(ROWS[name])


async def check(dsn: str) -> None:
    async with connected(dsn) as connection:
        assert {question: await connection.fetchval(question) for question in FACTS} == FACTS
        applied = await connection.fetch("SELECT migration_id FROM public._pogo_migration")
        assert sorted(row[0] for row in applied) == RELEASED


@pytest.mark.parametrize("newest", RELEASED)
async def test_the_data_of_each_release_is_there_after_it(
    empty_database: Database, newest: str, tmp_path: Path
) -> None:
    await release(empty_database.owner, newest, tmp_path)
    await database.migrate(empty_database.owner)
    await check(empty_database.owner)


@pytest.mark.parametrize("newest", ["0004_regions", "0008_time"])
async def test_a_hypertable_of_an_earlier_release_too(
    timescale_server: Server, newest: str, tmp_path: Path
) -> None:
    with fresh_database(timescale_server, empty=True) as empty:
        await release(empty.owner, newest, tmp_path, empty.tier)
        assert await database.migrate(empty.owner) is empty.tier
        await check(empty.owner)


async def start(dsn: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, dsn, stdout=pipe, stderr=pipe)


async def test_killed_in_the_middle_it_was_not_begun(empty_database: Database, tmp_path: Path) -> None:
    dsn = empty_database.owner
    await release(dsn, "0004_regions", tmp_path)
    async with connected(dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE fleet.ledger IN ACCESS SHARE MODE")  # 0008 has to wait for it
        process = await start(dsn)
        waiting = (
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'fleet.ledger'::regclass)"
        )
        async with asyncio.timeout(60):
            while not await connection.fetchval(waiting):
                assert process.returncode is None
                await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
        await transaction.rollback()
    # Its server process may not have noticed yet; the next one waits for its lock.
    again = await start(dsn)
    out, err = await asyncio.wait_for(again.communicate(), 60)
    assert again.returncode == 0, err
    assert b"0005_derived" in out + err, "all that the killed one had done is done again"
    await check(dsn)


async def test_two_workers_of_the_new_release_at_once(empty_database: Database, tmp_path: Path) -> None:
    dsn = empty_database.owner
    await release(dsn, "0003_presence", tmp_path)
    both = [await start(dsn) for _ in range(2)]
    said = [await asyncio.wait_for(one.communicate(), 60) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert b"".join(out + err for out, err in said).count(b"migrating the database") == 1
    await check(dsn)
