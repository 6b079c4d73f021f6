"""Several ingest workers of a region, as processes: one is killed, the registrar is killed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fleetcell.contract.messages import ClaimKind, PresenceState
from fleetcell.contract.topics import Channel
from tests.ingest.platform import Platform
from tests.ingest.units import new_boot, sample, telemetry
from tests.ingest.workers import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from fleetcell.contract.messages import Ack
    from ingest.database import Connection
    from tests.ingest.platform import Unit
    from tests.mosquitto_server import Mosquitto

    Fleet = tuple[Platform, list[Worker]]

READINGS = 120
STORED_BY = "SELECT count(*) FROM fleet.telemetry"


@pytest_asyncio.fixture(params=["embedded", "mosquitto"])
async def fleet(request: pytest.FixtureRequest, plain_dsn: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    """A broker and three workers."""
    other: Mosquitto | None = request.getfixturevalue("mosquitto") if request.param == "mosquitto" else None
    platform = Platform(plain_dsn, tmp_path, other.ws_url if other else None)
    await platform.start(service=False)
    workers = [Worker(platform.settings(), f"w{number}", tmp_path) for number in (1, 2, 3)]
    all_three = tuple(workers)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            await worker.says(r"mqtt.connected .*client=ingest-helsinki-")
        yield platform, workers
    finally:
        for worker in all_three:
            worker.kill()
        await platform.stop()


def registrar(workers: list[Worker]) -> Worker:
    (found,) = [worker for worker in workers if worker.said(r"\bhearing\b")]
    return found


class Upload:
    """One boot's readings, sent one by one, and again until they are acknowledged, as a unit does."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._boot = new_boot()
        self._settled = 0

    async def run(self) -> None:
        for seq in range(1, READINGS + 1):
            await self._send([seq])
            await asyncio.sleep(0.01)  # the pace of a vehicle: some are under way when a worker dies
        async with asyncio.timeout(60):
            while not await self._acknowledged():
                await self._send(range(self._settled + 1, READINGS + 1))

    async def _acknowledged(self) -> bool:
        try:
            async with asyncio.timeout(0.5):
                while self._settled < READINGS:
                    found = await self._unit.ack(self._is_newer)
                    self._settled = found.seq
        except TimeoutError:
            return False
        return True

    def _is_newer(self, ack: Ack) -> bool:
        return ack.boot == self._boot and ack.seq > self._settled

    async def _send(self, numbers: Iterable[int]) -> None:
        payload = telemetry(self._boot, [sample(seq) for seq in numbers])
        await self._unit.send(Channel.TELEMETRY, payload)


async def test_a_worker_is_killed_and_then_the_registrar(fleet: Fleet, connection: Connection) -> None:
    platform, workers = fleet
    await nothing_is_lost_or_stored_twice(platform, workers, connection)
    await another_registrar_takes_over(platform, workers)
    offline = "SELECT count(*) FROM fleet.presence_event WHERE state = 'offline'"
    assert await connection.fetchval(offline) == 0, "a take-over makes nobody offline"


async def nothing_is_lost_or_stored_twice(
    platform: Platform, workers: list[Worker], connection: Connection
) -> None:
    for worker in workers:
        await worker.says("shared=True")
    units = [await platform.unit(f"car{number}") for number in range(4)]
    uploads = [asyncio.create_task(Upload(unit).run()) for unit in units]
    await platform.becomes(connection, f"SELECT ({STORED_BY}) > {READINGS}")
    victim = next(worker for worker in workers if not worker.said(r"\bhearing\b"))
    victim.kill()
    workers.remove(victim)
    await asyncio.gather(*uploads)
    stored = await connection.fetchrow(
        "SELECT count(*), count(DISTINCT (vehicle_id, boot, seq)) AS different FROM fleet.telemetry"
    )
    assert stored is not None
    assert tuple(stored) == (len(units) * READINGS, len(units) * READINGS)
    assert await connection.fetchval("SELECT bool_and(isempty(pending)) FROM api.delivery")


async def another_registrar_takes_over(platform: Platform, workers: list[Worker]) -> None:
    """Within two seconds, on a machine that has time: test_office.py says why."""
    unit = await platform.unit("car")
    await unit.attach()
    first = registrar(workers)
    unit.forget()
    first.kill()
    workers.remove(first)
    async with asyncio.timeout(60):
        while not unit.heard(Channel.STATE):
            await unit.claim(ClaimKind.UPDATE)
            await asyncio.sleep(0.05)
        while not any(worker.said(r"\bhearing\b") for worker in workers):
            await asyncio.sleep(0.02)
    await unit.gateway(lambda status: status.storing)
    assert (await unit.attach()).state is PresenceState.ONLINE
