"""Removes what is older than the retention, once an hour."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ingest.database import drop_old
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from ingest.pools import Database

log = structlog.get_logger()

FIRST_S: Final = 60.0  # after the start, when units have caught up
EVERY_S: Final = 3600.0


class Retention:
    """Keeps telemetry, events and dead letters for so many days."""

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
            except FAILURES as error:
                log.warning("retention not applied", reason=reason(error))
            await asyncio.sleep(EVERY_S)
