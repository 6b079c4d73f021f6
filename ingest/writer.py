"""From the inbox to the database and back: batches by size and time, one transaction each, then the answers.

The vehicles are shared among lanes, each with a transaction of its own: while the database works for one, the
other is decoded or prepared, and no two wait for the same rows. Nothing is answered before COMMIT; what is
lost here, units send again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from fleetcell.flag import Flag, set_within
from fleetcell.mqtt import Backoff
from ingest.batch import Batch
from ingest.dead_letters import event_json, sample_json
from ingest.errors import ErasedError
from ingest.failures import FAILURES, reason, refuses_data
from ingest.ledgers import Opened
from ingest.shapes import Shapes
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
_AT_A_TIME = 30  # messages decoded before others have a turn, such as the batches that are being committed
LANES: Final = 2


class Health(Protocol):
    """Who is told whether batches can be stored."""

    def stored(self) -> None:
        """A batch was committed."""

    def failed(self, why: str) -> None:
        """A batch could not be committed; it will be tried again."""


@dataclass(slots=True)
class _Lane:
    """The batches of some of the vehicles, in the order of their transactions."""

    open: Batch = field(default_factory=Batch)  # being filled
    opened: float = 0.0  # when it got its first arrival, on the monotonic clock
    ready: asyncio.Queue[tuple[Batch, Prepared | None]] = field(default_factory=lambda: asyncio.Queue(1))
    current: Batch = field(default_factory=Batch)  # being committed

    @property
    def storing(self) -> bool:
        """Whether a batch is being committed, or waits for it."""
        return bool(self.current.rows) or not self.ready.empty()


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
        self._backoff = backoff or Backoff(first=0.1, cap=2.0)
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._lanes = [_Lane() for _ in range(LANES)]
        self._opened = Opened()
        self._shapes = Shapes()
        self._recovered = Flag()  # a lane stores again

    @property
    def waiting(self) -> int:
        """Rows in the batches that are being filled and in those that are being committed."""
        return sum(lane.open.rows + lane.current.rows for lane in self._lanes)

    async def run(self) -> None:
        """Store until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._assemble())
            for lane in self._lanes:
                tasks.create_task(self._commit(lane))

    async def flush(self, timeout_s: float) -> None:
        """After `run` was cancelled: store what is waiting, once, as far as that is quick."""
        try:
            async with asyncio.timeout(timeout_s):
                for lane in self._lanes:
                    await self._store(lane.current)
                    while not lane.ready.empty():
                        await self._store(*lane.ready.get_nowait())
                while True:
                    for lane in self._lanes:
                        await self._store(lane.open)
                        lane.open = Batch()
                    if not len(self._inbox):
                        break
                    self._take(None)
        except FAILURES as error:
            log.info("not stored at the stop; the units will send it again", reason=reason(error))

    async def _assemble(self) -> None:
        while True:
            self._take(_AT_A_TIME)
            for lane in self._lanes:
                if self._due(lane):
                    await self._close(lane)
            if any(lane.open.rows for lane in self._lanes):
                await asyncio.sleep(0 if len(self._inbox) else _PAUSE_S)
            else:
                await self._inbox.wait()

    def _due(self, lane: _Lane) -> bool:
        """Whether the lane's open batch has to be closed."""
        if not lane.open.rows:
            return False
        age_s = time.monotonic() - lane.opened
        return (
            lane.open.rows >= self._batch_rows
            or age_s >= self._linger_s
            or (age_s >= self._gather_s and not lane.storing)
        )

    async def _close(self, lane: _Lane) -> None:
        """Hand the lane's open batch over to be committed."""
        await asyncio.sleep(0)
        ids = self._vehicles.known(lane.open.names)
        await lane.ready.put((lane.open, None if ids is None else await _prepare(lane.open, ids)))
        lane.open = Batch()

    def _take(self, most: int | None) -> None:
        """Decode what is waiting, until a batch is full and up to so many messages."""
        for _ in itertools.count() if most is None else range(most):
            if (arrival := self._inbox.take()) is None:
                break
            lane = self._lanes[hash(arrival.topic.vehicle) % LANES]
            if not lane.open.rows:
                lane.opened = time.monotonic()
            upload = lane.open.add(arrival, self._shapes)
            if upload is not None:
                self._heard(upload)
            if lane.open.rows >= self._batch_rows:
                break

    async def _commit(self, lane: _Lane) -> None:
        while True:
            batch, prepared = await lane.ready.get()
            lane.current = batch
            attempt = 0
            while True:
                try:
                    await self._store(batch, prepared)
                except FAILURES as error:
                    if attempt >= _QUICK_RETRIES:
                        self._health.failed(reason(error))
                    self._metrics.failures.inc()
                    log.warning("batch not stored, will try again", rows=batch.rows, reason=reason(error))
                    self._recovered.clear()
                    await set_within(self._recovered, self._backoff.delay(attempt, self._rng))
                    attempt += 1
                else:
                    self._health.stored()
                    if attempt:  # units send again from now on, and to all lanes: none sleeps on
                        self._recovered.set()
                    lane.current = Batch()
                    break

    async def _store(self, batch: Batch, prepared: Prepared | None = None) -> None:
        if not batch.rows:
            return
        async with self._database.connection() as connection:
            while True:
                ids = await self._vehicles.resolve(connection, batch.names)
                if len(ids) < len(batch.names):
                    known, prepared = batch.only(set(ids)), None
                    self._metrics.refused.inc(batch.rows - known.rows)
                    batch = known
                try:
                    await self._store_parts(connection, batch, ids, prepared)
                except ErasedError:  # it was remembered as one that may send
                    self._vehicles.forget()
                    self._opened.forget()
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
            stored = await store(connection, prepared or prepare(batch, ids), self._opened)
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
        log.warning("the database refuses a sample", reason=reason(error), vehicles=sorted(batch.names))
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
