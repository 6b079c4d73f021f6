"""Answers have what is stored, not only what was derived in time: compared with a full recompute."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from dashboard import freshness
from ingest.derive.segments import Kind
from ingest.derive.worker import Deriver
from ingest.metrics import Metrics
from ingest.pools import Database
from tests.dashboard.conftest import Running
from tests.dashboard.test_derived_api import get
from tests.ingest.derive.drives import RULES, at_once, drive, journeys
from tests.ingest.derive.test_derived_tables import DAY, put, samples
from tests.ingest.units import arrival, new_boot, provision, telemetry

NEVER_S = 3600.0  # the worker looks at nothing by itself in the time of a test
LIMIT_S = 60.0


@pytest.fixture
async def worker(running: Running) -> AsyncIterator[None]:
    """A worker that derives only what somebody asks for."""
    database = Database(running.database.owner, application="test of freshness")
    working = asyncio.create_task(Deriver(database, RULES, Metrics().derivation, delay_s=NEVER_S).run())
    async with asyncio.timeout(LIMIT_S):
        while not await running.fleet.connection.fetchval("SELECT count(*) FROM fleet.derived_by"):
            await asyncio.sleep(0.01)
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await database.close()


async def test_every_answer_is_complete_while_readings_come_late_and_shuffled(
    running: Running, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "PATIENCE_S", LIMIT_S)
    connection = running.fleet.connection
    ids = await provision(connection, "car")
    readings, boot, rng = drive(*DAY), new_boot(), random.Random(7)
    found = samples(readings)
    order = list(range(0, len(found), 40))
    rng.shuffle(order)
    here: list[int] = []
    for number, start in enumerate(order):
        part = found[start : start + 40]
        await put(connection, ids, arrival("car", telemetry(boot, part)))
        here += range(start, start + len(part))
        if number % 4 and number < len(order) - 1:
            continue
        stored_at = await connection.fetchval("SELECT clock_timestamp()")
        wanted = at_once([readings[i] for i in sorted(here)])
        summary = await get(running, "vehicles/car/summary")
        assert sum(one["count"] for one in summary["items"]) == len(here)
        assert sum(one["distance_m"] for one in summary["items"]) == pytest.approx(
            sum(rollup.distance_m for rollup, _, _ in wanted.rollups.values())
        )
        assert datetime.fromisoformat(summary["complete_until"]) >= stored_at
        trips = await get(running, "vehicles/car/trips")
        assert [one["distance_m"] for one in reversed(trips["items"])] == pytest.approx(
            [one.distance_m for one in journeys(wanted) if one.kind is Kind.MOVING]
        )
    trips = await get(running, "vehicles/car/trips")
    assert len(trips["items"]) >= 2


async def test_without_a_worker_the_answer_says_until_when_it_is_complete(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "PATIENCE_S", 0.05)
    connection = running.fleet.connection
    ids = await provision(connection, "car")
    found = samples(drive(*DAY))
    await put(connection, ids, arrival("car", telemetry(new_boot(), found)))
    first = datetime.fromtimestamp(int(found[0].ts) / 1000, UTC)
    answer = await get(running, "vehicles/car/summary")
    until = datetime.fromisoformat(answer["complete_until"])
    assert answer["items"] == []
    assert first - timedelta(minutes=10) < until <= first
