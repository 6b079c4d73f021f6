"""Once an hour: removes what is older than the retention, looks at the chunks. Bounds of dead letters."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ingest.chunks import adapt_interval
from ingest.database import drop_old, statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

FIRST_S: Final = 60.0  # after the start, when units have caught up
EVERY_S: Final = 3600.0
LETTERS_EVERY_S: Final = 30.0


class Retention:
    """Keeps telemetry, what is derived from it, events and dead letters for so many days."""

    def __init__(self, database: Database, days: int) -> None:
        self._database = database
        self._keep = timedelta(days=days)

    async def run(self) -> None:
        """Remove until cancelled."""
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                async with self._database.connection() as connection:
                    if removed := await drop_old(connection, self._keep):
                        log.info("removed what is past the retention", parts=removed, days=self._keep.days)
                    await adapt_interval(connection)
            except FAILURES as error:
                log.warning("retention not applied", reason=reason(error))
            await asyncio.sleep(EVERY_S)


class DeadLetterBounds:
    """Keeps dead letters for so many days, and within so many MiB: the oldest go first, and are counted."""

    def __init__(self, database: Database, metrics: Metrics, *, days: int, mebibytes: int) -> None:
        self._database = database
        self._metrics = metrics
        self._bounds = days, mebibytes * 1024 * 1024

    async def run(self) -> None:
        """Remove until cancelled."""
        while True:
            try:
                await self.apply()
            except FAILURES as error:
                log.warning("the bounds of dead letters are not applied", reason=reason(error))
            await asyncio.sleep(LETTERS_EVERY_S)

    async def apply(self) -> int:
        """Remove what is too much now; how many letters that were."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(statement("dead_letters_exceed"), *self._bounds):
                return 0
            dropped: int = await connection.fetchval(statement("bound_dead_letters"), *self._bounds)
        self._metrics.dead_letters_dropped.inc(dropped)
        log.warning("dead letters dropped", letters=dropped)
        return dropped
