"""The process in which a service derives: is started again when it dies, and dies with the service."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import msgspec
import psutil

from fleetcell.mqtt import Backoff
from ingest.database import connect
from ingest.derive.messages import Backlog, Orders, Progress
from ingest.derive.process import DeriveProcess
from ingest.derive.rules import Rules
from ingest.metrics import Metrics
from tests.ingest.derive.drives import Phase, drive
from tests.ingest.derive.test_derived_tables import put, samples
from tests.ingest.derive.test_deriver import becomes
from tests.ingest.units import arrival, new_boot, provision, telemetry

LIMIT_S = 30.0

# A service that says which process it has started, and then is only there.
SERVICE = """
import asyncio, msgspec, sys
from ingest.derive.messages import Orders
from ingest.derive.process import DeriveProcess

async def main():
    process = DeriveProcess(msgspec.json.decode(sys.argv[1], type=Orders), lambda _: None)
    running = asyncio.create_task(process.run())
    while process.pid is None:
        await asyncio.sleep(0.01)
    print(process.pid, flush=True)
    await running

asyncio.run(main())
"""


def orders(dsn: str) -> Orders:
    return Orders(dsn, "test of the process that derives", Rules(), delay_s=0, timeout_s=30)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_it_derives_and_when_it_is_killed_another_one_goes_on(plain_dsn: str) -> None:
    connection = await connect(plain_dsn)
    ids = await provision(connection, "car")
    metrics = Metrics()
    process = DeriveProcess(
        orders(plain_dsn),
        metrics.derivation,
        metrics.derive_restarts.inc,
        Backoff(first=0.01, cap=0.01),
    )
    running = asyncio.create_task(process.run())

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"fleetcell_ingest_{name}")

    async def told(name: str, least: float) -> None:
        async with asyncio.timeout(LIMIT_S):
            while (value(name) or 0) < least:
                await asyncio.sleep(0.01)

    try:
        boot, found = new_boot(), samples(drive(Phase(600, 60), Phase(600, 0, 0.0, 10), Phase(300, 60)))
        await put(connection, ids, arrival("car", telemetry(boot, found[:700])))
        await becomes(connection, "SELECT count(*) = 0 FROM fleet.dirty_bucket")
        await told("derived_buckets_total", 1)
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await told("derive_restarts_total", 1)
        await put(connection, ids, arrival("car", telemetry(boot, found[600:])))
        await becomes(connection, "SELECT count(*) = 0 FROM fleet.dirty_bucket")
        assert await connection.fetchval("SELECT count(*) FROM fleet.journey WHERE kind = 'trip'") == 2
        second = process.pid
        assert second is not None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        connection.terminate()
    assert not alive(second)


async def test_it_dies_with_a_service_that_is_killed() -> None:
    nowhere = msgspec.json.encode(orders("postgresql://nobody@127.0.0.1:1/nothing")).decode()
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, nowhere, stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout is not None
    pid = int(await asyncio.wait_for(service.stdout.readline(), LIMIT_S))
    assert alive(pid)
    service.kill()
    await service.wait()
    async with asyncio.timeout(LIMIT_S):
        while alive(pid):
            await asyncio.sleep(0.01)


def test_the_lag_grows_while_nobody_derives_and_is_another_workers_without_the_lock() -> None:
    metrics = Metrics()

    def lag() -> float:
        value = metrics.registry.get_sample_value("fleetcell_ingest_derive_lag_seconds")
        assert value is not None
        return value

    assert lag() == 0
    metrics.derivation(Progress(backlog=Backlog(3, 100.0)))
    first = lag()
    assert first >= 100
    time.sleep(0.001)
    assert lag() > first
    metrics.derivation(Progress(derived=2))
    assert lag() > first
    metrics.derivation(Progress(backlog=Backlog()))
    assert lag() == 0
