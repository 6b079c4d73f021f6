"""How batches are cut: at once while storing keeps up, larger while one waits, never beyond rows and age."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest

from fleetcell.mqtt import Backoff
from ingest.database import connect
from ingest.inbox import Inbox
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.vehicles import Vehicles
from ingest.writer import LANES, Health, Writer
from tests.ingest.units import arrival, new_boot, provision, sample, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.store import Stored

LIMIT_S = 60.0
NEVER_S = 3600.0
APPLICATION = "test of the writer"
WAITS = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE application_name = $1 AND datname = current_database() AND wait_event_type = 'Lock'
"""


class Healthy:
    """Hears that batches are stored, and keeps nothing of it."""

    def stored(self) -> None:
        """One was."""

    def failed(self, why: str) -> None:
        raise AssertionError(why)


class Unwell:
    """Hears of failures, and keeps nothing of it."""

    def stored(self) -> None:
        """One was stored."""

    def failed(self, why: str) -> None:
        """One was not."""


class Storing:
    """A writer of its own, and what it has stored: the readings of each batch."""

    def __init__(
        self,
        dsn: str,
        *,
        linger_s: float = NEVER_S,
        batch_rows: int = 1000,
        database: Database | None = None,
        health: Health | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.batches: list[int] = []
        self._boot = new_boot()
        self._seq = 0
        self._database = database or Database(dsn, application=APPLICATION)
        self.writer = Writer(
            self.inbox,
            self._database,
            Vehicles(),
            batch_rows=batch_rows,
            linger_s=linger_s,
            gather_s=0.0,
            heard=lambda _: None,
            answer=self._answer,
            health=health or Healthy(),
            metrics=Metrics(),
            backoff=backoff,
        )

    def put(self, vehicle: str = "car") -> None:
        self._seq += 1
        self.inbox.put(arrival(vehicle, telemetry(self._boot, [sample(self._seq)])))

    async def until(self, *, waiting: int, left: int = 0) -> None:
        """All but `left` was taken; `waiting` rows are in the open batch and in the one being committed."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.inbox) != left or self.writer.waiting != waiting:
                await asyncio.sleep(0.001)

    async def stored(self, readings: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while sum(self.batches) < readings:
                await asyncio.sleep(0.001)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.writer.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._database.close()

    def _answer(self, stored: Stored) -> None:
        self.batches.append(stored.readings)


@contextlib.asynccontextmanager
async def held_up(dsn: str, storing: Storing) -> AsyncIterator[None]:
    """Nothing can be committed meanwhile; from the beginning on a first batch is being committed."""
    holder, watcher = await connect(dsn), await connect(dsn)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE fleet.ledger IN ACCESS EXCLUSIVE MODE")
            storing.put()
            async with asyncio.timeout(LIMIT_S):
                while not await watcher.fetchval(WAITS, APPLICATION):
                    await asyncio.sleep(0.001)
            yield
    finally:
        holder.terminate()
        watcher.terminate()


@pytest.fixture
async def dsn(plain_dsn: str) -> str:
    connection = await connect(plain_dsn)
    await provision(connection, "car")
    connection.terminate()
    return plain_dsn


async def test_while_storing_keeps_up_nothing_waits_for_more(dsn: str) -> None:
    storing = Storing(dsn)
    async with storing.running():
        for number in range(1, 4):
            storing.put()
            await storing.stored(number)
    assert storing.batches == [1, 1, 1]


async def test_what_comes_while_a_batch_is_stored_is_stored_together(dsn: str) -> None:
    storing = Storing(dsn)
    async with storing.running():
        async with held_up(dsn, storing):
            for waiting in range(2, 7):
                storing.put()
                await storing.until(waiting=waiting)
        await storing.stored(6)
    assert storing.batches == [1, 5]


async def test_a_batch_that_waits_is_closed_at_its_age_and_its_rows(dsn: str) -> None:
    storing = Storing(dsn, batch_rows=2)
    async with storing.running():
        async with held_up(dsn, storing):
            for _ in range(5):
                storing.put()
            await storing.until(waiting=3, left=1)  # two in the queue, two that have no place there
        await storing.stored(6)
    assert storing.batches == [1, 2, 2, 1]
    old = Storing(dsn, linger_s=0.0)
    async with old.running():
        async with held_up(dsn, old):
            for waiting in (1, 2):  # the third is closed at once too, and has no place to go
                old.put()
                await old.until(waiting=waiting)
            old.put()
        await old.stored(4)
    assert old.batches == [1, 1, 1, 1]


class Away(Database):
    """Refuses connections until it is back; `asked`: how often it did."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, application=APPLICATION)
        self.asked = 0
        self.back = False

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if not self.back:
            self.asked += 1
            raise ConnectionRefusedError
        async with super().connection() as connection:
            yield connection


@dataclass(frozen=True)
class Pauses(Backoff):
    """Of two lanes that fail, the first pauses for ever, the other hardly."""

    pauses: Iterator[float] = field(default_factory=lambda: chain([NEVER_S], repeat(0.001)))

    def delay(self, attempt: int, rng: random.Random) -> float:
        del attempt, rng
        return next(self.pauses)


async def test_a_lane_that_stores_again_after_an_outage_wakes_the_others(plain_dsn: str) -> None:
    """Units are told to send again with the first batch that is stored, and they send to all lanes."""
    names = [f"lane-{number}" for number in range(64)]
    lanes = [next(name for name in names if hash(name) % LANES == lane) for lane in range(LANES)]
    connection = await connect(plain_dsn)
    await provision(connection, *lanes)
    connection.terminate()
    database = Away(plain_dsn)
    storing = Storing(plain_dsn, linger_s=0.0, database=database, health=Unwell(), backoff=Pauses())
    async with storing.running():
        for name in lanes:
            storing.put(name)
        async with asyncio.timeout(LIMIT_S):
            while database.asked < 5:
                await asyncio.sleep(0.001)
        database.back = True
        await storing.stored(LANES)
