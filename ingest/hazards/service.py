"""The hazards of a region: the registrar's worker hears the DENMs and stores what they tell.

It has an MQTT connection of its own for it, so that a flood of them holds up neither presence nor telemetry.
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.mqtt import Backoff
from ingest.failures import FAILURES, reason, refuses_data
from ingest.hazards.intake import Intake
from ingest.hazards.rules import WRITTEN, Change
from ingest.hazards.store import store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fleetcell.contract.hazards import Report
    from fleetcell.contract.registration import Registration
    from fleetcell.mqtt import Message, MqttBridge
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

PART: Final = 200  # reports in one transaction
GATHER_S: Final = 0.1  # that reports wait for others


class Hazards:
    """Takes the DENMs of one region.

    Args:
        region: of the topics.
        database: connections.
        metrics: counted there.
        connect: makes the MQTT connection that hears the region's DENMs.
        per_s: new reports a second that are taken, over a longer time.
        most_active: hazards at a time.
    """

    def __init__(
        self,
        region: str,
        database: Database,
        metrics: Metrics,
        connect: Callable[[Callable[[Message], None]], MqttBridge],
        *,
        per_s: float,
        most_active: int,
    ) -> None:
        self._region = region
        self._database = database
        self._metrics = metrics
        self._connect = connect
        self._most_active = most_active
        self._intake = Intake(per_s, self._refused, time.monotonic())
        self._wake = asyncio.Event()

    def receive(self, message: Message) -> None:
        """A message of a DENM topic."""
        if self._intake.take(message.topic, message.payload, time.monotonic(), time.time_ns() // 1_000_000):
            self._wake.set()

    def registered(self, now: Mapping[str, Registration]) -> None:
        """Nothing to do: whether a vehicle is there does not matter here."""

    async def run(self, bridge: MqttBridge) -> None:
        """Hear and store until cancelled."""
        del bridge  # of presence
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connect(self.receive).run())
            tasks.create_task(self._store_what_comes())

    async def _store_what_comes(self) -> None:
        backoff, attempt, rng = Backoff(first=0.1, cap=5.0), 0, random.Random()  # noqa: S311 - jitter
        waiting = self._intake.waiting
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(GATHER_S)
            while waiting:
                part = list(islice(waiting, PART))
                try:
                    await self._store(part)
                except FAILURES as error:
                    self._metrics.failures.inc()
                    if not refuses_data(error):
                        log.warning("hazards not stored, will try again", reason=reason(error))
                        await asyncio.sleep(backoff.delay(attempt, rng))
                        attempt += 1
                        continue
                    log.error("the database refuses hazards", reason=reason(error), reports=len(part))  # noqa: TRY400 - no fault here
                attempt = 0
                for _ in part:
                    waiting.popleft()

    async def _store(self, part: list[Report]) -> None:
        async with self._database.connection() as connection:
            changes = await store(connection, self._region, part, self._most_active)
        for report, change in zip(part, changes, strict=True):
            if change is Change.FULL:
                self._intake.forget(report)
            if change in WRITTEN:
                self._metrics.hazards.labels(change.value).inc()
            else:
                self._refused(change.value)

    def _refused(self, why: str) -> None:
        self._metrics.hazards_refused.labels(why).inc()
