"""Removes the rows of erased vehicles, a bounded transaction at a time, however often it is interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.flag import set_within
from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

CHANNEL: Final = "fleetcell_erase"
EVERY_S: Final = 5.0  # where a notification was lost, or another worker that held the lock has ended
PAUSE_S: Final = 0.01  # between two parts: readings go first


class Eraser:
    """Finishes erasures. Of several workers one does; what is left when it is killed, the next one does.

    Args:
        database: connections.
        metrics: counted there.
    """

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A vehicle is to be erased."""
        self._wake.set()

    async def run(self) -> None:
        """Erase until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._finish_all()
            except FAILURES as error:
                log.warning("erasures wait for the database", reason=reason(error))
            await set_within(self._wake, EVERY_S)

    async def _finish_all(self) -> None:
        async with self._database.connection() as connection:
            if not await connection.fetch(statement("erasures_open")):
                return
        connection = await self._database.dedicated()  # of its own: the lock ends with it
        try:
            if await connection.fetchval(statement("try_lock_erase")):
                for row in await connection.fetch(statement("erasures_open")):
                    rows = await erase(connection, row["id"], self._metrics)
                    log.info("erased", erasure=row["id"], rows=rows)
        finally:
            connection.terminate()


async def erase(connection: Connection, erasure: int, metrics: Metrics | None = None) -> int:
    """Remove what is left of one erasure; how many rows that were.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: call again, it goes on.
    """
    total = 0
    while removed := await connection.fetchval(statement("erase_some"), erasure):
        total += removed
        if metrics is not None:
            metrics.erased.inc(removed)
        await asyncio.sleep(PAUSE_S)
    return total
