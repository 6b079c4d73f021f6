"""Readings around a depot, stored as a batch and derived as the worker does."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleetcell.contract.messages import Sample
from ingest.batch import Batch
from ingest.derive.recompute import BEGIN, derive_some
from ingest.derive.rules import Rules
from ingest.geofences.adopt import backfill
from ingest.geofences.rows import FenceReader
from ingest.store import prepare, store
from tests.ingest.units import arrival, telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.database import Connection

RULES = Rules()
DEPOT = {"type": "Point", "coordinates": [25.0, 60.0]}
A_DEGREE_M = 111_195.0
HISTORY = datetime(2025, 11, 20, 8, tzinfo=UTC)


def at(since: datetime, seconds: float, east_m: float, seq: int, **more: float) -> Sample:
    """A reading so many seconds later, so many metres east of the depot."""
    us = int(since.timestamp() * 1000) + round(seconds * 1000)
    return Sample(seq, us, {"lat": 60.0, "lon": 25.0 + east_m / A_DEGREE_M * 2, "acc": 5.0, **more})


def round_trip(since: datetime) -> list[Sample]:
    """There (from outside, 100 s on), twenty minutes of standing, and away."""
    metres = [*range(1000, -1, -100), *[0] * 20, *range(100, 1001, 100)]
    seconds = [*range(0, 110, 10), *range(160, 1360, 60), *range(1360, 1460, 10)]
    return [at(since, s, m, n) for n, (s, m) in enumerate(zip(seconds, metres, strict=True), start=1)]


async def settle(connection: Connection) -> None:
    """What the worker does until nothing is left."""
    reader = FenceReader()
    while True:
        done = await derive_some(connection, RULES, after=BEGIN, delay_s=0, limit=3, fences=reader)
        if not done and not await backfill(connection, reader):
            return


async def put(
    connection: Connection, ids: dict[str, int], name: str, samples: Iterable[Sample], boot: str
) -> None:
    batch = Batch()
    batch.add(arrival(name, telemetry(boot, list(samples)), received_us=time.time_ns() // 1000))
    await store(connection, prepare(batch, ids))
