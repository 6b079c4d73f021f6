"""The schema on both kinds of server: made once, by one of many, all of it or nothing."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fleetcell.contract.errors import ConfigError
from fleetcell.contract.signals import CATALOGUE, Datatype
from ingest import database, schema
from ingest.database import DatabaseError, UnreachableError
from ingest.statements import SQL
from tests.postgres_servers import Database, Server, connected, fresh_database

TABLES = {
    "alert",
    "api_key",
    "app_user",
    "command",
    "command_step",
    "dead_letter",
    "derive_request",
    "derived_by",
    "dirty_bucket",
    "erasure",
    "event",
    "feed",
    "gateway",
    "gateway_silence",
    "geofence",
    "geofence_bucket",
    "geofence_crossing",
    "geofence_vehicle",
    "hazard",
    "journey",
    "ledger",
    "presence_event",
    "region",
    "registration",
    "rollup",
    "telemetry",
    "vehicle",
    "vehicle_latest",
}
COLUMN_TYPES = {
    Datatype.DOUBLE: "double precision",
    Datatype.INT: "integer",
    Datatype.BOOL: "boolean",
    Datatype.TEXT: "text",
}
MIGRATE = "import asyncio, sys; from ingest.database import migrate; print(asyncio.run(migrate(sys.argv[1])))"


@pytest.fixture
def empty_database(any_server: Server) -> Iterator[Database]:
    """A database without the schema, on each server."""
    with fresh_database(any_server, empty=True) as empty:
        yield empty


async def ask(dsn: str, question: str) -> object:
    async with connected(dsn) as connection:
        return await connection.fetchval(question)


async def test_makes_every_table(empty_database: Database) -> None:
    assert await database.migrate(empty_database.owner) is empty_database.tier
    found = await ask(
        empty_database.owner,
        "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'fleet'",
    )
    assert isinstance(found, list)
    assert set(found) == TABLES


async def test_second_run_changes_nothing(any_database: Database) -> None:
    before = await ask(any_database.owner, "SELECT oid FROM pg_namespace WHERE nspname = 'api'")
    with capture_logs() as logs:
        await database.migrate(any_database.owner)
    assert logs == []
    assert await ask(any_database.owner, "SELECT oid FROM pg_namespace WHERE nspname = 'api'") == before


async def test_two_processes_at_once(empty_database: Database) -> None:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            MIGRATE,
            empty_database.owner,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    ended = [await process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    said = b"".join(out + err for out, err in ended)
    assert said.count(b"migrating the database") == 1, "one works, the other finds nothing to do"
    assert await ask(empty_database.owner, "SELECT count(*) FROM fleet.feed") == 1


async def test_signals_with_a_column_have_one_of_their_type(any_database: Database) -> None:
    async with connected(any_database.owner) as connection:
        rows = await connection.fetch(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'api' AND table_name = 'telemetry'"
        )
    columns = {row["column_name"]: row["data_type"] for row in rows}
    wanted = {s.column: COLUMN_TYPES[s.datatype] for s in CATALOGUE.values() if s.column is not None}
    assert {name: columns.get(name) for name in wanted} == wanted


async def test_views_and_functions_are_made_anew_when_their_text_changed(any_database: Database) -> None:
    async with connected(any_database.owner) as connection:
        await connection.execute(
            "DROP VIEW api.gateways; COMMENT ON SCHEMA api IS 'made by fleetcell before'"
        )
        await database.migrate(any_database.owner)
        assert await connection.fetchval("SELECT count(*) FROM api.gateways") == 0


async def test_a_failure_leaves_nothing_behind(empty_database: Database) -> None:
    async with connected(empty_database.owner) as connection:
        await connection.execute("CREATE SCHEMA fleet")
        with pytest.raises(DatabaseError, match=r'0001_fleet: schema "fleet" already exists'):
            await database.migrate(empty_database.owner)
        left = "SELECT to_regclass('public._pogo_migration') IS NULL AND to_regnamespace('api') IS NULL"
        assert await connection.fetchval(left)
        await connection.execute("DROP SCHEMA fleet")
        assert await database.migrate(empty_database.owner) is empty_database.tier


async def test_a_schema_of_somebody_else_is_left_alone(empty_database: Database) -> None:
    async with connected(empty_database.owner) as connection:
        await connection.execute("CREATE SCHEMA api; CREATE TABLE api.theirs (id integer)")
        with pytest.raises(DatabaseError, match="schema `api` of somebody else"):
            await database.migrate(empty_database.owner)
        assert await connection.fetchval("SELECT to_regclass('api.theirs') IS NOT NULL")


async def test_a_newer_schema_is_refused(plain_database: Database) -> None:
    async with connected(plain_database.owner) as connection:
        await connection.execute(
            "INSERT INTO public._pogo_migration (migration_hash, migration_id, schema_name, applied)"
            " VALUES ('x', '9999_future', 'public', now())"
        )
    with pytest.raises(DatabaseError, match=r"newer fleetcell \(9999_future\)"):
        await database.migrate(plain_database.owner)


async def test_describe(plain_database: Database, plain_server: Server) -> None:
    newest = max(schema._known())
    assert re.fullmatch(
        rf"PostgreSQL 18\.\d+, no TimescaleDB \(tier plain\); schema {newest}, up to date",
        await database.describe(plain_database.owner),
    )
    with fresh_database(plain_server, empty=True) as empty:
        assert "no schema yet: fleetcell db migrate" in await database.describe(empty.owner)


async def test_wrong_dsn_and_server_away_are_one_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^FLEETCELL_DSN: "):
        await database.migrate("mysql://fleetcell:hunter2@localhost/fleet")
    with pytest.raises(UnreachableError) as away:
        await database.migrate(f"postgresql://fleetcell:hunter2@/fleet?host={tmp_path}")
    assert "does not answer" in str(away.value)
    assert "hunter2" not in str(away.value)
    assert isinstance(away.value, OSError), "who tries again on OSError need not know our class"


async def test_refused_password_is_not_taken_for_a_server_that_is_away(plain_database: Database) -> None:
    with pytest.raises(DatabaseError, match="refuses: password authentication failed") as refused:
        await database.migrate(database.with_user(plain_database.owner, "fleetcell", "wrong"))
    assert not isinstance(refused.value, UnreachableError)


def test_sql_that_pogo_reads_is_ascii() -> None:
    """It opens files in the encoding of the locale."""
    for path in schema.MIGRATIONS.glob("*.sql"):
        assert path.read_bytes().isascii(), path


def test_each_statement_is_there() -> None:
    used = {
        name
        for module in Path(schema.__file__).parent.glob("*.py")
        for name in re.findall(r'statement\("(\w+)"\)', module.read_text(encoding="utf-8"))
    }
    assert used
    assert {name for name in used if not (SQL / f"{name}.sql").exists()} == set()
