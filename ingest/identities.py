"""Watches for two units that use one identity, for the metrics; the API names the boots of a vehicle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

EVERY_S: Final = 60.0


class IdentityWatch:
    """Counts the vehicles that look like two units, by what the ledger has of the last day."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._seen = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except FAILURES as error:
                log.warning("shared identities are not looked for", reason=reason(error))
            await asyncio.sleep(EVERY_S)

    async def look(self) -> int:
        """Count them now; more than before is a line in the log."""
        async with self._database.connection() as connection:
            seen: int = await connection.fetchval(statement("shared_identities"))
        self._metrics.shared_identities.set(seen)
        if seen > self._seen:
            log.warning("vehicles look like two units, or their spool began again", vehicles=seen)
        self._seen = seen
        return seen
