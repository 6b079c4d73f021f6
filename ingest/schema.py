"""Brings a database to the schema of this release.

Tables come from ingest/migrations/, applied once each, in order, by pogo-migrate. Views, functions and grants
hold no data: they are made anew whenever their text (ingest/sql/schema/), the tier or the roles change,
told by a fingerprint that is kept as the comment of the schema `api`.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from ingest.errors import DatabaseError
from ingest.statements import SQL, statement
from ingest.tier import Facts, Tier, ask

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

log = structlog.get_logger()

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LEAST_MAJOR: Final = 15  # tested on 17 and 18; before 15 everybody may write to the schema `public`
FINGERPRINT: Final = "made by fleetcell "  # the comment of the schema `api` begins so


async def upgrade(connection: Connection) -> Tier:
    """Apply what is missing, and say which tier the database is.

    An advisory lock lets one process work while others wait; where nothing changed, it only reads. All
    changes are one transaction: a failure leaves the database as it was, and readers never see half of it.

    Raises:
        DatabaseError: too old a server, a newer schema, a schema `api` of somebody else.
        asyncpg.PostgresError: a statement failed.
    """
    await connection.execute(statement("lock_migrations"))  # until the connection is closed
    found = await ask(connection)
    if found.major < LEAST_MAJOR:
        raise DatabaseError(f"PostgreSQL {found.server} is too old: {LEAST_MAJOR} or newer is needed")
    await _install_extension(connection, found)
    await _create_dashboard_role(connection)
    found = await ask(connection)
    async with connection.transaction():
        pending = await _pending(connection)
        fingerprint = await _fingerprint(connection, found)
        held = await connection.fetchval(statement("schema_fingerprint"))
        if held is not None and not held.startswith(FINGERPRINT):
            raise DatabaseError(
                "this database has a schema `api` of somebody else: give fleetcell a database of its own"
            )
        if pending or held != fingerprint:
            log.info("migrating the database", tier=found.tier.value, migrations=pending)
            await _rebuild(connection, found.tier, fingerprint)
    return found.tier


async def describe_schema(connection: Connection) -> str:
    """What the database is, and how far its schema is, in one line. Changes nothing."""
    found = await ask(connection)
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration') IS NULL"):
        return f"{found}; no schema yet: fleetcell db migrate"
    newest = await connection.fetchval(statement("newest_migration"))
    latest = max(_known())
    state = "up to date" if newest == latest else f"this release has {latest}: fleetcell db migrate"
    return f"{found}; schema {newest}, {state}"


async def _install_extension(connection: Connection, found: Facts) -> None:
    """CREATE EXTENSION where it is available, loaded and permitted; a warning with the remedy where not."""
    if found.installed is not None or found.available is None:
        return
    if not found.preloaded:
        log.warning(
            "TimescaleDB is installed on this server, but not loaded: plain PostgreSQL is used. To change "
            "that, set shared_preload_libraries = 'timescaledb' in postgresql.conf and restart PostgreSQL"
        )
        return
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except asyncpg.InsufficientPrivilegeError:
        log.warning(
            "this user may not create the extension timescaledb: plain PostgreSQL is used. To change that, "
            "let an administrator run CREATE EXTENSION timescaledb in this database"
        )


async def _create_dashboard_role(connection: Connection) -> None:
    """Roles belong to the whole server: another database's migration may make it at the same time."""
    if await connection.fetchval(statement("has_dashboard_role")):
        return
    try:
        await connection.execute("CREATE ROLE fleetcell_dashboard NOLOGIN")
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        pass
    except asyncpg.InsufficientPrivilegeError:
        log.warning(
            "this user may not create roles, so the dashboard has none of its own. To change that, let an "
            "administrator run CREATE ROLE fleetcell_dashboard LOGIN PASSWORD '...', then migrate again"
        )


def _known() -> set[str]:
    return {path.stem for path in MIGRATIONS.glob("*.sql")}


async def _pending(connection: Connection) -> list[str]:
    await pogo_sql.ensure_pogo_sync(connection)
    applied = await pogo_sql.get_applied_migrations(connection, schema_name="public")
    if newer := sorted(applied - _known()):
        raise DatabaseError(
            f"the database was migrated by a newer fleetcell ({newer[-1]}): install that release or later"
        )
    return sorted(_known() - applied)


async def _fingerprint(connection: Connection, found: Facts) -> str:
    digest = hashlib.sha256()
    for part in (found.tier, found.installed, await connection.fetchval(statement("has_dashboard_role"))):
        digest.update(f"{part}\n".encode())
    for path in (*_schema_files(), *sorted(SQL.glob("tier_*.sql")), SQL / "dashboard_grants.sql"):
        digest.update(path.read_bytes())
    return FINGERPRINT + digest.hexdigest()


def _schema_files() -> list[Path]:
    return sorted((SQL / "schema").glob("*.sql"))


async def _rebuild(connection: Connection, tier: Tier, fingerprint: str) -> None:
    quiet = logging.getLogger("fleetcell.migrations")
    quiet.setLevel(logging.ERROR)  # pogo warns of every migration that it applies; that was said already
    await connection.execute("DROP SCHEMA IF EXISTS api CASCADE")  # its views would hold on to columns
    try:
        await pogo.apply(connection, MIGRATIONS, schema_name="public", logger=quiet)
    except BadMigrationError as error:
        raise DatabaseError(f"{error}: {error.__cause__ or 'the file is not well formed'}") from error
    for name in tier.statements:
        await connection.execute(statement(name))
    for path in _schema_files():
        await connection.execute(path.read_text(encoding="utf-8"))
    if await connection.fetchval(statement("has_dashboard_role")):
        await connection.execute(statement("dashboard_grants"))
    await connection.execute(f"COMMENT ON SCHEMA api IS '{fingerprint}'")
