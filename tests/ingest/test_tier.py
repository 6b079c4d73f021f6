"""Which tier a server is, what is done about it, and what becomes of data when it changes."""

from __future__ import annotations

from dataclasses import replace

import asyncpg
import pytest
from structlog.testing import capture_logs

from ingest.database import DatabaseError, detect_tier, migrate
from ingest.statements import statement
from ingest.tier import Facts, Tier
from tests.postgres_servers import Database, TimescaleServer, connected, timescale_root

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
        hypertables = (
            "SELECT count(*) FROM pg_trigger"
            " WHERE tgrelid = 'fleet.telemetry'::regclass AND tgname = 'ts_insert_blocker'"
        )
        assert await connection.fetchval(hypertables) == (any_database.tier is Tier.TIMESCALE_APACHE)


@pytest.mark.parametrize(
    "what",
    [
        statement("tier_timescale"),
        "CALL add_columnstore_policy('fleet.telemetry', after => interval '7 days', if_not_exists => true)",
    ],
)
async def test_only_the_licence_refuses_the_columnstore(timescale_database: Database, what: str) -> None:
    """No server of that licence is at hand: this one knows the names, and says that it may not."""
    async with connected(timescale_database.owner) as connection:
        with pytest.raises(asyncpg.FeatureNotSupportedError, match="license"):
            await connection.execute(what)


def test_the_policy_that_was_tried_is_the_one_in_use() -> None:
    assert (
        "add_columnstore_policy('fleet.telemetry', after => interval '7 days', if_not_exists => true)"
        in statement("tier_timescale")
    )


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
        assert await migrate(dsn) is Tier.TIMESCALE_APACHE
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 100
            assert await connection.fetchval("SELECT count(*) FROM show_chunks('fleet.telemetry')") >= 4

        server.stop_postgres()
        server.run_postgres(preload=False)
        with pytest.raises(DatabaseError, match="set shared_preload_libraries = 'timescaledb'"):
            await migrate(server.dsn("owner", "fleet"))
    finally:
        server.stop()
