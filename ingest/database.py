"""The database as the other modules use it: connections, migrations by DSN, retention, named statements."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import asyncpg

from fleetcell.contract.errors import ConfigError
from ingest.errors import DatabaseError, UnreachableError
from ingest.schema import describe_schema, upgrade
from ingest.statements import statement
from ingest.tier import Tier, detect_tier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    # Generic only for the type checker.
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

__all__ = [
    "DatabaseError",
    "Tier",
    "UnreachableError",
    "connect",
    "connect_pool",
    "connected",
    "dashboard_login",
    "describe",
    "detect_tier",
    "drop_old",
    "migrate",
    "statement",
    "with_user",
]

DASHBOARD_ROLE: Final = "fleetcell_dashboard"
CONNECT_TIMEOUT_S: Final = 10

# What every connection of a service starts with.
SESSION: Final = {
    "timezone": "UTC",
    "jit": "off",  # short statements: compiling them costs more than it gives
    "idle_in_transaction_session_timeout": "60s",  # a hung worker must not keep its row locks
    "tcp_keepalives_idle": "20",  # the server notices a vanished worker within 35 s
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "35s",  # so long also where it waits for the receipt of an answer
}

_DOWN: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)


async def connect(dsn: str, *, application: str = "fleetcell", timeout_s: float | None = None) -> Connection:
    """One connection with the session settings of the services.

    Args:
        dsn: of the database.
        application: shown in `pg_stat_activity`.
        timeout_s: how long one statement may take, seconds; None: without end, for a command that is watched.

    Raises:
        ConfigError: the DSN is not one.
        OSError, TimeoutError, asyncpg.PostgresError: the server does not answer, or refuses.
    """
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=timeout_s,
            server_settings=_session(application),
        )
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise ConfigError(f"FLEETCELL_DSN: {error}") from None


async def connect_pool(
    dsn: str, *, application: str = "fleetcell", min_size: int = 1, max_size: int = 4, timeout_s: float = 30
) -> Pool:
    """A pool of connections.

    Args:
        dsn: `postgresql://user:password@host:port/database`, or `...@/database?host=/socket/folder`.
        application: shown in `pg_stat_activity`.
        min_size: connections opened at once, so that a wrong DSN fails here.
        max_size: connections opened at most.
        timeout_s: how long one statement may take, seconds.

    Raises:
        ConfigError: the DSN is not one.
        OSError, TimeoutError, asyncpg.PostgresError: the server does not answer, or refuses.
    """
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=timeout_s,
            server_settings=_session(application),
        )
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise ConfigError(f"FLEETCELL_DSN: {error}") from None


@asynccontextmanager
async def connected(dsn: str, application: str) -> AsyncIterator[Connection]:
    """A connection for a command: its failures are one line that says what to do; never the password.

    Raises:
        ConfigError: the DSN is not one.
        UnreachableError: the server does not answer; trying again may help.
        DatabaseError: it refuses.
    """
    try:
        connection = await connect(dsn, application=application)
        try:
            yield connection
        finally:
            await connection.close()
    except DatabaseError:
        raise
    except _DOWN as error:
        reason = str(error) or f"no answer within {CONNECT_TIMEOUT_S} s"
        raise UnreachableError(f"the database at {_where(dsn)} does not answer: {reason}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"the database at {_where(dsn)} refuses: {error}") from error


async def migrate(dsn: str) -> Tier:
    """Bring the database to the schema of this release, and say which tier it is.

    Safe to run by any number of processes at once, and at every start.

    Raises:
        ConfigError: the DSN is not one.
        UnreachableError: the server does not answer; trying again may help.
        DatabaseError: it refuses, is too old, or has a newer schema; the message says what to do.
    """
    async with connected(dsn, "fleetcell migrate") as connection:
        return await upgrade(connection)


async def describe(dsn: str) -> str:
    """Server, tier and schema in one line. Changes nothing.

    Raises:
        ConfigError: the DSN is not one.
        DatabaseError: the server does not answer, or refuses.
    """
    async with connected(dsn, "fleetcell status") as connection:
        return await describe_schema(connection)


async def dashboard_login(dsn: str, password: str) -> str:
    """Let the dashboard's role sign in with this password; for a server that is not embedded.

    Args:
        dsn: of the owner, after `migrate`.
        password: the new one.

    Returns:
        The dashboard's DSN.

    Raises:
        DatabaseError: the owner may not do that; the message says what an administrator should run.
    """
    async with connected(dsn, "fleetcell") as connection:
        quoted = await connection.fetchval("SELECT quote_literal($1)", password)
        try:
            await connection.execute(f"ALTER ROLE {DASHBOARD_ROLE} LOGIN PASSWORD {quoted}")
        except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError) as error:
            raise DatabaseError(
                f"cannot set the password of the role {DASHBOARD_ROLE} ({error}). Let an administrator give "
                f"this user CREATEROLE, and ADMIN on that role where it exists"
            ) from None
    return with_user(dsn, DASHBOARD_ROLE, password)


async def drop_old(pool: Pool | Connection, keep: timedelta) -> int:
    """Remove telemetry, events and dead letters older than `keep`, a bounded part at a time.

    Returns:
        How much was removed: rows, or chunks of a hypertable.
    """
    cutoff = datetime.now(UTC) - keep
    total = 0
    while removed := await pool.fetchval(statement("drop_old"), cutoff):
        total += removed
    return total


def with_user(dsn: str, user: str, password: str) -> str:
    """The DSN with another user and password."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}").geturl()


def _session(application: str) -> dict[str, str]:
    return {"application_name": application, **SESSION}


def _where(dsn: str) -> str:
    return urlsplit(dsn).hostname or "its Unix socket"
