"""The worker in the service: what is stored is derived soon, by one worker of several."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from ingest.database import connect
from ingest.derive.rules import Rules
from ingest.derive.worker import Deriver
from ingest.metrics import Metrics
from ingest.pools import Database
from tests.ingest.derive.drives import START_US, Phase, drive
from tests.ingest.derive.test_derived_tables import put, samples
from tests.ingest.units import arrival, new_boot, provision, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection

LIMIT_S = 60.0


class Worker:
    """A worker with connections of its own."""

    def __init__(self, dsn: str, rules: Rules | None = None) -> None:
        self.metrics = Metrics()
        self._database = Database(dsn, application="test of derived data")
        deriver = Deriver(self._database, rules or Rules(), self.metrics.derivation, delay_s=0)
        self._running = asyncio.create_task(deriver.run())

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._database.close()

    @property
    def serving(self) -> bool:
        return not self._running.done()

    async def has_derived(self) -> None:
        """Wait until its metrics say that it derived something, and that nothing is dirty."""
        async with asyncio.timeout(LIMIT_S):
            while not self.value("derived_buckets_total") or self.value("dirty_buckets") != 0:
                await asyncio.sleep(0.01)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"fleetcell_ingest_{name}")


async def becomes(connection: Connection, query: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await connection.fetchval(query):
            await asyncio.sleep(0.01)


async def test_one_of_two_workers_derives_and_the_other_takes_over(plain_dsn: str) -> None:
    connection = await connect(plain_dsn)
    ids = await provision(connection, "car")
    first = Worker(plain_dsn)
    await becomes(connection, "SELECT count(*) = 1 FROM fleet.derived_by")
    second = Worker(plain_dsn)
    try:
        boot, found = new_boot(), samples(drive(Phase(600, 60), Phase(600, 0, 0.0, 10), Phase(300, 60)))
        await put(connection, ids, arrival("car", telemetry(boot, found[:700])))
        await becomes(connection, "SELECT count(*) = 0 FROM fleet.dirty_bucket")
        assert await connection.fetchval("SELECT count(*) FROM fleet.journey WHERE kind = 'trip'") == 1
        await first.has_derived()
        assert second.value("derived_buckets_total") == 0
        await first.stop()
        await put(connection, ids, arrival("car", telemetry(boot, found[600:])))
        await becomes(connection, "SELECT count(*) = 0 FROM fleet.dirty_bucket")
        assert await connection.fetchval("SELECT count(*) FROM fleet.journey WHERE kind = 'trip'") == 2
        await second.has_derived()
    finally:
        await second.stop()
        connection.terminate()


async def test_the_worker_outlives_its_connection(plain_dsn: str) -> None:
    connection = await connect(plain_dsn)
    ids = await provision(connection, "car")
    worker = Worker(plain_dsn)
    try:
        await becomes(connection, "SELECT count(*) = 1 FROM fleet.derived_by")
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'test of derived data' AND datname = current_database()"
        )
        reading = samples(drive(Phase(20, 60), start_us=START_US))
        await put(connection, ids, arrival("car", telemetry(new_boot(), reading)))
        await becomes(connection, "SELECT count(*) = 1 FROM fleet.rollup")
    finally:
        await worker.stop()
        connection.terminate()


async def test_a_fault_in_what_is_derived_does_not_end_the_service(plain_dsn: str) -> None:
    connection = await connect(plain_dsn)
    ids = await provision(connection, "car")
    boot, found = new_boot(), samples(drive(Phase(40, 60)))
    await put(connection, ids, arrival("car", telemetry(boot, found[:20])))
    with capture_logs() as logs:
        worker = Worker(plain_dsn)
        try:
            await becomes(connection, "SELECT count(*) = 0 FROM fleet.dirty_bucket")
            await connection.execute("UPDATE fleet.rollup SET journey = '\"spoilt\"'")
            await put(connection, ids, arrival("car", telemetry(boot, found[20:])))
            async with asyncio.timeout(LIMIT_S):
                while not any(entry["log_level"] == "error" for entry in logs):
                    await asyncio.sleep(0.01)
            assert worker.serving
        finally:
            await worker.stop()
            connection.terminate()
