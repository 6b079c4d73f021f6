"""Keeps what is derived from the readings up to date: one worker a database, a bounded part at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.flag import set_within
from ingest.database import statement
from ingest.derive import rows
from ingest.derive.messages import Backlog, Progress
from ingest.derive.recompute import BEGIN, derive_asked, derive_some
from ingest.failures import FAILURES, reason
from ingest.geofences.adopt import backfill
from ingest.geofences.rows import FenceReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.database import Connection
    from ingest.derive.rules import Rules
    from ingest.pools import Database

log = structlog.get_logger()

LIMIT: Final = 128  # buckets in a transaction: their readings are in memory
CHANNEL: Final = "fleetcell_derive"  # somebody waits for what is derived of a vehicle
RELAXED_S: Final = 5.0  # while no mark is older, it works half of the time: storing needs the CPU too
LEAST_PAUSE_S: Final = 0.1  # when all that was due is derived
FAULT_S: Final = 30.0  # after a fault of our own
STATEMENT_S: Final = 600.0  # a bound for one that never ends: marking everything anew may take minutes
RETRY_S: Final = 2.0  # until the lock is asked for again, and after a failure


class Deriver:
    """Derives dirty buckets while this process holds the lock; others of the database stand by.

    Args:
        database: connections.
        rules: by which trips and stops are found.
        tell: called with what was derived, and each second with the backlog.
        delay_s: how long a bucket stays dirty before it is looked at, so that several batches cost one look.
    """

    def __init__(
        self, database: Database, rules: Rules, tell: Callable[[Progress], None], *, delay_s: float
    ) -> None:
        self._database = database
        self._rules = rules
        self._tell = tell
        self._delay_s = delay_s
        self._oldest_s = 0.0  # of the marks, when it was looked at last

    async def run(self) -> None:
        """Derive until cancelled."""
        while True:
            try:
                connection = await self._database.dedicated(STATEMENT_S)
                try:
                    await self._serve(connection)
                finally:
                    connection.terminate()
            except FAILURES as error:
                log.warning("rollups, trips and stops wait for the database", reason=reason(error))
                await asyncio.sleep(RETRY_S)
            except Exception:  # another bucket may be fine, and a new process would do no better
                log.exception("rollups, trips and stops are not derived")
                await asyncio.sleep(FAULT_S)

    async def _serve(self, connection: Connection) -> None:
        self._tell(Progress(backlog=Backlog()))  # until this process has the lock, it is another's
        while not await connection.fetchval(statement("try_lock_derive")):  # noqa: ASYNC110 - of the database
            await asyncio.sleep(RETRY_S)
        if await rows.adopt_rules(connection, self._rules):
            log.info("the rules of trips changed: everything is derived anew")
        await connection.execute(statement("derive_session"))
        asked = asyncio.Event()
        await connection.add_listener(CHANNEL, lambda *_: asked.set())
        after, looked, fences = BEGIN, 0.0, FenceReader()
        while True:
            if time.monotonic() - looked >= 1:
                await self._look(connection)
                looked = time.monotonic()
            asked.clear()
            began = time.monotonic()
            urgent = await derive_asked(connection, self._rules, limit=LIMIT, fences=fences)
            done = await derive_some(
                connection, self._rules, after=after, delay_s=self._delay_s, limit=LIMIT, fences=fences
            )
            if urgent or done:
                self._tell(Progress(derived=urgent + len(done)))
            if len(done) < LIMIT:
                after, pause_s = BEGIN, min(max(self._delay_s, LEAST_PAUSE_S), 1.0)
                if await backfill(connection, fences):
                    continue
            else:
                after = done[-1][:2]
                pause_s = 0.0 if self._oldest_s > RELAXED_S else time.monotonic() - began
            await set_within(asked, pause_s)

    async def _look(self, connection: Connection) -> None:
        row = await connection.fetchrow(statement("dirty_backlog"))
        assert row is not None
        self._oldest_s = row["oldest_s"]
        self._tell(Progress(backlog=Backlog(row["buckets"], row["oldest_s"])))
