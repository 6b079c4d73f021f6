"""The dashboard's role: the views and functions of `api`, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ingest.database import DatabaseError, connect_pool, dashboard_login
from tests.postgres_servers import Database, Server, connected, fresh_database

if TYPE_CHECKING:
    from tests.postgres_servers import Connection

MAC = "0" * 64


@pytest.fixture
async def dashboard(any_database: Database) -> AsyncIterator[Connection]:
    async with connected(any_database.dashboard) as connection:
        yield connection


async def names(connection: Connection, question: str) -> list[str]:
    found = [row[0] for row in await connection.fetch(question)]
    assert found
    return found


async def test_reads_every_view(dashboard: Connection) -> None:
    for view in await names(dashboard, "SELECT viewname FROM pg_views WHERE schemaname = 'api'"):
        await dashboard.fetch(f"SELECT * FROM api.{view} LIMIT 1")


async def test_reads_and_writes_no_table(dashboard: Connection) -> None:
    for table in await names(dashboard, "SELECT tablename FROM pg_tables WHERE schemaname = 'fleet'"):
        for statement in (
            f"SELECT FROM fleet.{table}",
            f"DELETE FROM fleet.{table}",
            f"TRUNCATE fleet.{table}",
            f"INSERT INTO fleet.{table} DEFAULT VALUES",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await dashboard.execute(statement)


async def test_writes_through_no_view(dashboard: Connection) -> None:
    """PostgreSQL lets simple views be written to, where that is granted."""
    simple = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'api'::regnamespace"
        " AND relkind = 'v' AND pg_relation_is_updatable(oid, false) <> 0"
    )
    for view in await names(dashboard, simple):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dashboard.execute(f"DELETE FROM api.{view}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await dashboard.execute("UPDATE api.api_keys SET role = 'admin'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await dashboard.execute("INSERT INTO api.api_keys (name, role, hash) VALUES ('x', 'admin', '\\x01')")


FORBIDDEN = (
    "SELECT fleet.append_presence_events('[]')",
    "SELECT fleet.drop_old(now())",
    "SELECT nextval('fleet.presence_cursor')",
    "CREATE TABLE api.mine ()",
    "CREATE TABLE fleet.mine ()",
    "CREATE TABLE public.mine ()",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "SET ROLE fleetcell",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "DROP VIEW api.vehicles",
    "ALTER FUNCTION api.revoke(text) SECURITY INVOKER",
)


async def test_may_do_nothing_else(dashboard: Connection) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dashboard.execute(statement)


async def test_nobody_else_may_use_the_schemas(any_database: Database) -> None:
    async with connected(any_database.owner) as owner:
        granted = await owner.fetchval(
            "SELECT count(*) FROM pg_namespace, aclexplode(nspacl)"
            " WHERE nspname IN ('api', 'fleet') AND grantee = 0"
        )
        assert granted == 0


async def test_functions_with_the_owners_rights_have_a_fixed_search_path(any_database: Database) -> None:
    async with connected(any_database.owner) as owner:
        rows = await owner.fetch(
            "SELECT oid::regprocedure::text AS name, prosecdef, proconfig FROM pg_proc"
            " WHERE pronamespace IN ('api'::regnamespace, 'fleet'::regnamespace)"
        )
        assert not await owner.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    settings = {row["name"]: row["proconfig"] for row in rows}
    assert len(settings) > 10
    assert {
        name for name, config in settings.items() if config != ["search_path=pg_catalog, pg_temp"]
    } == set()
    assert {row["name"] for row in rows if row["name"].startswith("api.") and not row["prosecdef"]} == set()


async def test_an_object_of_the_caller_does_not_stand_in_for_ours(
    any_database: Database, dashboard: Connection
) -> None:
    """Temporary functions and tables come first in the path of whoever makes them."""
    await dashboard.execute(
        "CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql"
        " AS $$ SELECT timestamptz '1999-01-01' $$"
    )
    await dashboard.execute("CREATE TEMP TABLE vehicle (name text)")
    await dashboard.execute("SET search_path = pg_temp, api")
    await dashboard.execute("SELECT provision('{car}', $1)", [MAC])
    await dashboard.execute("SELECT revoke('car')")
    async with connected(any_database.owner) as owner:
        assert await owner.fetchval("SELECT revoked_at > '2020-01-01' FROM fleet.vehicle WHERE name = 'car'")


async def test_dashboard_login(any_server: Server) -> None:
    """What `up --dsn` does; the owner of this server may not make roles, so an administrator lends a hand."""
    with fresh_database(any_server) as database:
        with pytest.raises(DatabaseError, match="give this user CREATEROLE"):
            await dashboard_login(database.owner, "new password")
        dsn = await dashboard_login(database.superuser, "it's / new@password")
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT current_user") == "fleetcell_dashboard"
        # The role is the whole server's: give the other tests their password back.
        old = database.dashboard.split(":")[2].split("@")[0]
        assert await dashboard_login(database.superuser, old) == database.dashboard


async def test_pool_has_the_settings_of_the_services(any_database: Database) -> None:
    async with await connect_pool(any_database.owner, application="fleetcell test") as pool:
        assert await pool.fetchval("SHOW application_name") == "fleetcell test"
        assert await pool.fetchval("SHOW timezone") == "UTC"
        assert await pool.fetchval("SHOW jit") == "off"
