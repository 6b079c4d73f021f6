"""From the inbox to the database and back: batches by size and time, one transaction each, then the answers.

While one batch is being committed the next is decoded, and where that takes long prepared. Nothing is
answered before COMMIT; what is lost here, units send again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from fleetcell.mqtt import Backoff
from ingest.batch import Batch
from ingest.dead_letters import event_json, sample_json
from ingest.errors import ErasedError
from ingest.failures import FAILURES, reason, refuses_data
from ingest.store import Prepared, Stored, prepare, preparing, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.database import Connection
    from ingest.decode import Upload
    from ingest.inbox import Inbox
    from ingest.metrics import Metrics
    from ingest.pools import Database
    from ingest.vehicles import Vehicles

log = structlog.get_logger()

# Failures that a second try may cure within the same storing state, such as a deadlock or one lost
# connection.
_QUICK_RETRIES = 1
_PAUSE_S = 0.005  # several arrivals at a time
_AT_A_TIME = 100  # messages decoded before others have a turn, such as the batch that is being committed


class Health(Protocol):
    """Who is told whether batches can be stored."""

    def stored(self) -> None:
        """A batch was committed."""

    def failed(self, why: str) -> None:
        """A batch could not be committed; it will be tried again."""


class Writer:
    """Takes arrivals from the inbox and stores them.

    Args:
        inbox: where arrivals wait.
        database: connections, made anew when they break.
        vehicles: who may send.
        batch_rows, linger_s: a batch is closed at this many rows, or this long after its first arrival.
        gather_s: so long after it already where no other batch is being stored. So a batch is as large as
            what came while the one before was stored: small ones, soon answered, while that keeps up.
        heard: called with each decoded upload, before it is stored: a sign of life.
        answer: called with what was committed.
        health: told of success and failure.
        metrics: counted there.
    """

    def __init__(
        self,
        inbox: Inbox,
        database: Database,
        vehicles: Vehicles,
        *,
        batch_rows: int,
        linger_s: float,
        gather_s: float,
        heard: Callable[[Upload], None],
        answer: Callable[[Stored], None],
        health: Health,
        metrics: Metrics,
        backoff: Backoff | None = None,
    ) -> None:
        self._inbox = inbox
        self._database = database
        self._vehicles = vehicles
        self._batch_rows = batch_rows
        self._linger_s = linger_s
        self._gather_s = gather_s
        self._heard = heard
        self._answer = answer
        self._health = health
        self._metrics = metrics
        self._backoff = backoff or Backoff(first=0.1, cap=5.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._batches: asyncio.Queue[tuple[Batch, Prepared | None]] = asyncio.Queue(1)
        self._open = Batch()  # being filled
        self._current = Batch()  # being committed

    @property
    def waiting(self) -> int:
        """Rows in the batch that is being filled and in the one that is being committed."""
        return self._open.rows + self._current.rows

    @property
    def _storing(self) -> bool:
        """Whether a batch is being committed, or waits for it."""
        return bool(self._current.rows) or not self._batches.empty()

    async def run(self) -> None:
        """Store until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._assemble())
            tasks.create_task(self._commit())

    async def flush(self, timeout_s: float) -> None:
        """After `run` was cancelled: store what is waiting, once, as far as that is quick."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._store(self._current)
                while not self._batches.empty():
                    await self._store(*self._batches.get_nowait())
                await self._store(self._open)
                while (batch := self._take(Batch())).rows:
                    await self._store(batch)
        except FAILURES as error:
            log.info("not stored at the stop; the units will send it again", reason=reason(error))

    async def _assemble(self) -> None:
        while True:
            await self._inbox.wait()
            self._open = batch = Batch()
            await self._fill(batch)
            await asyncio.sleep(0)
            ids = self._vehicles.known(batch.names())
            await self._batches.put((batch, None if ids is None else await _prepare(batch, ids)))
            self._open = Batch()

    async def _fill(self, batch: Batch) -> None:
        opened = time.monotonic()
        while True:
            self._take(batch, _AT_A_TIME)
            age_s = time.monotonic() - opened
            if batch.rows >= self._batch_rows or age_s >= self._linger_s:
                return
            if age_s >= self._gather_s and not self._storing:
                return
            await asyncio.sleep(0 if len(self._inbox) else _PAUSE_S)

    def _take(self, batch: Batch, most: int | None = None) -> Batch:
        """Decode what is waiting, up to the size of a batch and to so many messages."""
        for _ in itertools.count() if most is None else range(most):
            if batch.rows >= self._batch_rows or (arrival := self._inbox.take()) is None:
                break
            upload = batch.add(arrival)
            if upload is not None:
                self._heard(upload)
        return batch

    async def _commit(self) -> None:
        while True:
            batch, prepared = await self._batches.get()
            self._current = batch
            attempt = 0
            while True:
                try:
                    await self._store(batch, prepared)
                except FAILURES as error:
                    if attempt >= _QUICK_RETRIES:
                        self._health.failed(reason(error))
                    self._metrics.failures.inc()
                    log.warning("batch not stored, will try again", rows=batch.rows, reason=reason(error))
                    await asyncio.sleep(self._backoff.delay(attempt, self._rng))
                    attempt += 1
                else:
                    self._health.stored()
                    self._current = Batch()
                    break

    async def _store(self, batch: Batch, prepared: Prepared | None = None) -> None:
        if not batch.rows:
            return
        async with self._database.connection() as connection:
            while True:
                ids = await self._vehicles.resolve(connection, batch.names())
                if len(ids) < len(batch.names()):
                    known, prepared = batch.only(set(ids)), None
                    self._metrics.refused.inc(batch.rows - known.rows)
                    batch = known
                try:
                    await self._store_parts(connection, batch, ids, prepared)
                except ErasedError:  # it was remembered as one that may send
                    self._vehicles.forget()
                    prepared = None
                else:
                    break

    async def _store_parts(
        self, connection: Connection, batch: Batch, ids: dict[str, int], prepared: Prepared | None = None
    ) -> None:
        """Store it whole, or in ever smaller parts where the database refuses something in it."""
        if not batch.rows:
            return
        started = time.monotonic()
        try:
            stored = await store(connection, prepared or prepare(batch, ids))
        except FAILURES as error:
            if not refuses_data(error):
                raise
            await self._divide(connection, batch, ids, error)
            return
        self._metrics.count(stored, time.monotonic() - started)
        self._answer(stored)

    async def _divide(
        self, connection: Connection, batch: Batch, ids: dict[str, int], error: BaseException
    ) -> None:
        halves = batch.halves()
        if halves is not None:
            for half in halves:
                await self._store_parts(connection, half, ids)
            return
        log.warning("the database refuses a sample", reason=reason(error), vehicles=sorted(batch.names()))
        if batch.uploads and (batch.uploads[0].seqs or batch.uploads[0].events):
            await self._store_parts(connection, batch.condemned(reason(error), _json(batch.uploads[0])), ids)
        else:
            self._metrics.unstorable.inc()


async def _prepare(batch: Batch, ids: dict[str, int]) -> Prepared:
    """While the batch before is being committed: it has a turn after each step."""
    steps = preparing(batch, ids)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            prepared: Prepared = end.value
            return prepared
        await asyncio.sleep(0)


def _json(upload: Upload) -> bytes:
    """The one sample or event of the upload, for its dead letter."""
    return sample_json(upload, 0) if upload.seqs else event_json(upload.events[0])
