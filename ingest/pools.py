"""The service's connections: made when first needed, and anew after the database was away."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from ingest.database import connect, connect_pool
from ingest.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest.database import Connection, Pool


class Database:
    """A pool that outlives the server it talks to: a broken connection is replaced at the next use.

    A network may swallow packets without a word, so no statement is waited for without end: after its time it
    is cancelled, and where that is not confirmed either, asyncpg drops the connection.

    Args:
        dsn: of the database.
        application: shown in `pg_stat_activity`.
        size: connections at most.
        timeout_s: how long one statement may take, seconds.
    """

    def __init__(self, dsn: str, *, application: str, size: int = 4, timeout_s: float = 30) -> None:
        self._dsn = dsn
        self._application = application
        self._size = size
        self._timeout_s = timeout_s
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for a short use.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: there is none to be had.
        """
        pool = await self._opened()
        connection = await pool.acquire(timeout=10)
        try:
            yield connection  # type: ignore[misc] # the proxy of the pool has the connection's methods
        except (asyncio.CancelledError, TimeoutError):
            # To release it would be to wait for its server once more. Where asyncpg has dropped it already it
            # says so by an error, which would hide this one.
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
            raise
        finally:
            with contextlib.suppress(*FAILURES):
                await pool.release(connection, timeout=5)

    async def dedicated(self, timeout_s: float | None = None, *, least_s: float = 0) -> Connection:
        """A connection of the caller's own, to hold a lock or to listen; he closes it.

        Args:
            timeout_s: how long one statement may take, seconds; None: as for the others.
            least_s: but so long at least.
        """
        allowed_s = max(timeout_s or self._timeout_s, least_s)
        return await connect(self._dsn, application=self._application, timeout_s=allowed_s)

    async def close(self) -> None:
        """Close the pool; at once where that takes long."""
        if self._pool is not None:
            try:
                async with asyncio.timeout(2):
                    await self._pool.close()
            except FAILURES:
                self.terminate()
            self._pool = None

    def terminate(self) -> None:
        """Drop the connections, whatever they are doing."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _opened(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await connect_pool(
                    self._dsn,
                    application=self._application,
                    min_size=0,  # while the server is away nobody has to try again and again
                    max_size=self._size,
                    timeout_s=self._timeout_s,
                )
            return self._pool
