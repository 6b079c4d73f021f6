"""The dashboard's connections to the database, and the statements in dashboard/sql/."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
import msgspec
import structlog

from dashboard.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    Row = Mapping[str, Any]  # what a Record is used as

log = structlog.get_logger()

STATEMENT_TIMEOUT_S: Final = 20  # a question that takes longer is refused with what to narrow
ACQUIRE_TIMEOUT_S: Final = 5
RETRY_S: Final = 1.0
EXPORT_ROWS: Final = 2000  # fetched at a time for a streamed answer

UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's word for a connection that ended between two statements
)
_NO_SCHEMA: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
)
_SESSION: Final = {
    "application_name": "fleetcell dashboard",
    "timezone": "UTC",
    "jit": "off",  # short statements: compiling them costs more than it gives
    "plan_cache_mode": "force_custom_plan",  # filters that are null are planned away
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": "60s",
}


@cache
def sql(name: str) -> str:
    """The statement of dashboard/sql/{name}.sql."""
    return resources.files("dashboard").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


class Database:
    """A pool as the role `fleetcell_dashboard`; the server may be away at any time."""

    def __init__(self, dsn: str, *, size: int = 10) -> None:
        self._dsn = dsn
        self._size = size
        self._opened: Pool | None = None
        self._pool: Pool | None = None  # the same, once the schema is there
        self.last_error: str | None = None

    async def open(self) -> None:
        """Wait for the server and for the schema that ingest migrates; says once what it waits for."""
        waited_for = None
        while True:
            problem = await self._try_open()
            if problem is None:
                self.last_error = None
                if waited_for is not None:
                    log.info("the database is ready")
                return
            self.last_error = problem
            if problem != waited_for:
                log.warning("waiting for the database", reason=problem)
                waited_for = problem
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """Close the pool, running statements included."""
        pool, self._opened, self._pool = self._opened, None, None
        if pool is not None:
            pool.terminate()

    async def fetch(self, name: str, *arguments: Any) -> list[Row]:
        """All rows of a named statement.

        Raises:
            DatabaseUnavailableError: the server is away.
            asyncpg.QueryCanceledError: it took longer than the statement timeout.
        """
        return await self.fetch_text(sql(name), *arguments)

    async def fetch_row(self, name: str, *arguments: Any) -> Row | None:
        """The first row of a named statement; raises as `fetch`."""
        rows = await self.fetch(name, *arguments)
        return rows[0] if rows else None

    async def fetch_value(self, name: str, *arguments: Any) -> Any:
        """The first column of the first row; raises as `fetch`."""
        row = await self.fetch_row(name, *arguments)
        return None if row is None else next(iter(row.values()))

    async def fetch_text(self, statement: str, *arguments: Any) -> list[Row]:
        """The same for a statement that a builder completed (`telemetry.statements`)."""
        async with self.connection() as connection:
            return cast("list[Row]", await connection.fetch(statement, *arguments))

    @staticmethod
    async def on(connection: Connection, name: str, *arguments: Any) -> list[Row]:
        """A named statement on one connection, for several in one transaction."""
        return cast("list[Row]", await connection.fetch(sql(name), *arguments))

    async def stream(self, statement: str, *arguments: Any) -> AsyncGenerator[Sequence[Row]]:
        """Rows in portions, of one snapshot of the data; however many there are, memory stays small."""
        async with self.connection() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(statement, *arguments)
            while rows := await cursor.fetch(EXPORT_ROWS):
                yield cast("list[Row]", rows)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection of the pool.

        Raises:
            DatabaseUnavailableError: the server is away, or every connection stays busy.
        """
        if self._pool is None:
            raise DatabaseUnavailableError(self.last_error or "the database was not reached yet")
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection
        except UNREACHABLE as error:
            self.last_error = describe(error)
            raise DatabaseUnavailableError(f"the database does not answer: {self.last_error}") from error
        except _NO_SCHEMA as error:
            self.last_error = describe(error)
            raise DatabaseUnavailableError(
                f"the schema is not there, or of another version; ingest makes it: {self.last_error}"
            ) from error

    async def listen(self, channel: str, notified: Callable[[], None]) -> None:
        """Call back on each NOTIFY of a channel until the connection ends; a connection of its own.

        Raises:
            OSError, asyncpg.PostgresError: the connection could not be made.
        """
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self._dsn, timeout=ACQUIRE_TIMEOUT_S, server_settings=_SESSION
        )
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _connection: ended.set())
        try:
            await connection.add_listener(channel, lambda *_: notified())
            notified()  # what happened before the LISTEN
            await ended.wait()
        finally:
            connection.terminate()

    async def _try_open(self) -> str | None:
        """Open the pool, for others once the schema is there; a reason when that is not possible yet."""
        try:
            if self._opened is None:
                self._opened = await asyncpg.create_pool(
                    self._dsn,
                    min_size=1,
                    max_size=self._size,
                    timeout=ACQUIRE_TIMEOUT_S,
                    max_inactive_connection_lifetime=300,
                    server_settings=_SESSION,
                    init=_prepare,
                )
            async with self._opened.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                ready = await connection.fetchval(sql("schema_ready"))
        except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
            return describe(error)
        if not ready:
            return "the schema is not there yet: ingest makes it when it starts"
        self._pool = self._opened
        return None


def describe(error: BaseException) -> str:
    """An error in one line, never empty."""
    return str(error).splitlines()[0] if str(error).strip() else type(error).__name__


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
        format="text",
    )
