"""Which tier a server is, what is done about it, and what becomes of data when it changes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from ingest.batch import Batch
from ingest.database import DatabaseError, detect_tier, drop_old, migrate
from ingest.erasure import erase
from ingest.statements import statement
from ingest.store import prepare, store
from ingest.tier import Facts, Tier
from tests.ingest.units import arrival, new_boot, provision, sample, telemetry
from tests.postgres_servers import Database, TimescaleServer, connected, timescale_root

if TYPE_CHECKING:
    from ingest.database import Connection

COLUMNSTORE_POLICY = (
    "CALL add_columnstore_policy('fleet.telemetry', after => interval '7 days', if_not_exists => true)"
)
FULL = Facts(
    server="17.6", major=17, installed="2.19.3", available="2.19.3", preloaded=True, license="timescale"
)


@pytest.mark.parametrize(
    ("facts", "tier"),
    [
        (FULL, Tier.TIMESCALE),
        (replace(FULL, license="apache"), Tier.TIMESCALE_APACHE),
        (replace(FULL, license=None), Tier.TIMESCALE_APACHE),
        (replace(FULL, installed=None), Tier.PLAIN),
        (replace(FULL, installed=None, preloaded=False), Tier.PLAIN),
        (replace(FULL, installed=None, available=None, preloaded=False, license=None), Tier.PLAIN),
    ],
)
def test_tier_follows_from_the_facts(facts: Facts, tier: Tier) -> None:
    assert facts.tier is tier
    assert f"(tier {tier})" in str(facts)


async def test_detected_on_each_server(any_database: Database) -> None:
    async with connected(any_database.owner) as connection:
        assert await detect_tier(connection) is any_database.tier
        hypertables = "SELECT hypertable_name FROM timescaledb_information.hypertables"
        if any_database.tier is Tier.PLAIN:
            assert await connection.fetchval("SELECT to_regnamespace('timescaledb_information') IS NULL")
        else:
            assert await connection.fetchval(hypertables) == "telemetry"


async def test_old_readings_turn_into_columns_where_the_licence_lets_them(
    timescale_database: Database,
) -> None:
    """The Apache build, which CI has, knows the statements, and refuses them for the licence alone."""
    async with connected(timescale_database.owner) as connection:
        if timescale_database.tier is Tier.TIMESCALE_APACHE:
            for what in (statement("tier_timescale"), COLUMNSTORE_POLICY):
                with pytest.raises(asyncpg.FeatureNotSupportedError, match="license"):
                    await connection.execute(what)
        else:
            await _columnstore(connection)


def test_the_policy_that_was_tried_is_the_one_in_use() -> None:
    assert COLUMNSTORE_POLICY.removeprefix("CALL ") in statement("tier_timescale")


async def _columnstore(connection: Connection) -> None:
    """Only in a folder with that licence: FLEETCELL_TIMESCALE_ROOT."""
    ids = await provision(connection, "car", "bus")
    await connection.execute(
        "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, speed, received_at)"
        " SELECT now() - n * interval '1 minute', v, md5(v::text)::uuid, n, n % 90, now()"
        " FROM unnest($1::integer[]) AS v, generate_series(1, 20000) AS n",
        list(ids.values()),
    )
    facts = "SELECT count(*), avg(speed), min(time), max(seq) FROM fleet.telemetry WHERE vehicle_id = $1"
    before = await connection.fetchrow(facts, ids["car"])
    assert before is not None
    job = await connection.fetchrow(
        "SELECT job_id, config->>'compress_after' FROM timescaledb_information.jobs"
        " WHERE hypertable_name = 'telemetry' AND proc_name LIKE 'policy_compression%'"
    )
    assert job is not None
    assert job[1] == "7 days"
    await connection.execute(f"CALL run_job({job[0]})")
    state = (
        "SELECT is_compressed, range_end < now() - interval '7 days' FROM timescaledb_information.chunks"
        " WHERE hypertable_name = 'telemetry'"
    )
    chunks = [tuple(row) for row in await connection.fetch(state)]
    assert set(chunks) == {(True, True), (False, False)}, "those behind the horizon, and no other"
    assert await connection.fetchrow(facts, ids["car"]) == before
    settings = await connection.fetchrow(
        "SELECT segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings"
    )
    assert settings is not None
    assert (settings[0], settings[1].replace(chr(34), "")) == ("vehicle_id", "time DESC")
    # Late readings into a chunk of columns, by the path of every reading.
    then_us = (time.time_ns() // 1_000_000_000 - 10 * 86400) * 1_000_000
    batch = Batch()
    late = telemetry(new_boot(), [sample(n, then_us + n * 1_000_000) for n in range(1, 51)])
    batch.add(arrival("car", late))
    assert (await store(connection, prepare(batch, ids))).readings == 50
    assert (await connection.fetchval(facts, ids["car"])) == before[0] + 50
    # Retention drops chunks of columns, and an erasure reaches into them.
    assert await drop_old(connection, timedelta(days=12)) > 0
    await erase(connection, await connection.fetchval("SELECT api.erase('car', 'test')"))
    assert (await connection.fetchval(facts, ids["car"])) == 0
    assert (await connection.fetchval(facts, ids["bus"])) > 12 * 1440


async def test_library_not_loaded_then_loaded_then_lost() -> None:
    """An administrator adds TimescaleDB to a server in use, and later forgets it in a new configuration."""
    try:
        timescale_root()
    except LookupError as missing:
        pytest.skip(str(missing))
    server = TimescaleServer()
    try:
        server.start(preload=False)
        async with connected(server.dsn("superuser", "postgres")) as connection:
            await connection.execute("CREATE DATABASE fleet OWNER fleetcell")
        dsn = server.dsn("owner", "fleet")

        with capture_logs() as logs:
            assert await migrate(dsn) is Tier.PLAIN
        assert [entry["event"] for entry in logs if "shared_preload_libraries" in entry["event"]]
        async with connected(dsn) as connection:
            await connection.execute(
                "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, received_at)"
                " SELECT now() - n * interval '1 hour', 1, gen_random_uuid(), n, now()"
                " FROM generate_series(1, 100) AS n"
            )

        server.stop_postgres()
        server.run_postgres()
        dsn = server.dsn("owner", "fleet")
        assert await migrate(dsn) is server.tier
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 100
            assert await connection.fetchval("SELECT count(*) FROM show_chunks('fleet.telemetry')") >= 4

        server.stop_postgres()
        server.run_postgres(preload=False)
        with pytest.raises(DatabaseError, match="set shared_preload_libraries = 'timescaledb'"):
            await migrate(server.dsn("owner", "fleet"))
    finally:
        server.stop()
