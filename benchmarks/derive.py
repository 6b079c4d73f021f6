"""How far derived data is behind, while readings go in at the rate of a fleet.

3,000 vehicles whose live buckets are half full; 2,000 readings a second are stored, each marks its bucket,
and a process derives as in the service. Looked at four times a second: how old the oldest mark is. Then,
with nothing going in, buckets a second of the worker against the floor: only reading the same readings.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.ingest import postgres
from fleetcell.contract.messages import Sample, Telemetry, encode
from fleetcell.contract.topics import Channel, VehicleTopic
from ingest.batch import Batch
from ingest.database import connect, statement
from ingest.derive.messages import Orders
from ingest.derive.process import DeriveProcess
from ingest.derive.recompute import BEGIN, derive_some
from ingest.derive.rules import Rules
from ingest.derive.worker import LIMIT
from ingest.inbox import Arrival
from ingest.store import prepare, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.database import Connection
    from ingest.derive.messages import Progress

ABOUT = "derive: age of the oldest dirty bucket at 2,000 readings/s, and buckets/s against only reading them"

VEHICLES: Final = 3000
READINGS_PER_S: Final = 2000
BATCH: Final = 500
HALF: Final = 300  # readings in a bucket before it begins
DELAY_S: Final = 3.0  # as the setting's default
BOOT: Final = "0123456789abcdef0123456789abcdef"
FILL: Final = """
    INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, lat, lon, acc, speed, heading, ignition, soc,
        odo, rat, extra, received_at)
    SELECT 'epoch'::timestamptz + $1::integer * interval '10 minutes' + s * interval '1 second', v,
        '00000000-0000-0000-0000-000000000001', s, 60 + s / 1e5, 24 + s / 1e5, 3, 50, 7, true, 80, 1000,
        'LTE', '{"throttle": 10}', now()
    FROM generate_series(1, $2::integer) AS s, fleet.vehicle, LATERAL (SELECT id AS v) AS given
"""
MARK: Final = """
    INSERT INTO fleet.dirty_bucket (vehicle_id, bucket)
    SELECT id, 'epoch'::timestamptz + $1::integer * interval '10 minutes' FROM fleet.vehicle
    ON CONFLICT DO NOTHING
"""


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    bucket = int(time.time()) // 600
    async with postgres() as dsn:
        connection = await connect(dsn)
        names = [f"car-{number:04}" for number in range(VEHICLES)]
        await connection.execute("SELECT api.provision($1, $2)", names, ["0" * 64] * VEHICLES)
        ids = {row["name"]: row["id"] for row in await connection.fetch("SELECT id, name FROM fleet.vehicle")}
        say(f"{VEHICLES} buckets of {HALF} readings")
        await connection.execute(FILL, bucket, HALF)
        await connection.execute("VACUUM ANALYZE fleet.telemetry")
        say(f"{READINGS_PER_S} readings/s, the process that derives beside")
        derived = 0

        def count(progress: Progress) -> None:
            nonlocal derived
            derived += progress.derived

        orders = Orders(dsn, "benchmark", Rules(), DELAY_S, timeout_s=30)
        process = DeriveProcess(orders, count)
        working = asyncio.create_task(process.run())
        rate, ages = await feed(connection, ids, bucket, seconds)
        assert process.pid is not None
        times = psutil.Process(process.pid).cpu_times()
        cpu_us = (times.user + times.system) / max(1, derived) * 1e6
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        say("all buckets, nothing going in")
        alone, floor = await buckets_per_s(connection, list(ids.values()), bucket)
        await connection.close()
    return {
        "vehicles": VEHICLES,
        "readings_per_s": round(rate),
        "oldest_mark_max_s": round(max(ages), 1),
        "oldest_mark_mean_s": round(statistics.mean(ages), 1),
        "python_cpu_us_per_bucket": round(cpu_us),
        "buckets_per_s": round(alone),
        "floor_buckets_per_s": round(floor),
        "floor_ratio": round(alone / floor, 3),
    }


async def feed(
    connection: Connection, ids: dict[str, int], bucket: int, seconds: float
) -> tuple[float, list[float]]:
    """Store at the rate; readings a second as it came out, and how old the oldest mark was."""
    names = list(ids)
    sent, ages = 0, [0.0]
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        batch, now_us = Batch(), time.time_ns() // 1000
        for number in range(sent, sent + BATCH):
            seq = number // VEHICLES + 1
            moment = bucket * 600_000 + HALF * 1000 + seq % HALF * 1000
            sample = Sample(seq, moment, {"lat": 60.1, "lon": 24.9, "speed": 50.0})
            topic = VehicleTopic("helsinki", names[number % VEHICLES], Channel.TELEMETRY)
            batch.add(Arrival(topic, encode(Telemetry(BOOT, 1, [sample])), now_us))
        await store(connection, prepare(batch, ids))
        sent += BATCH
        row = await connection.fetchrow(statement("dirty_backlog"))
        assert row is not None
        ages.append(row["oldest_s"])
        await asyncio.sleep(max(0.0, sent / READINGS_PER_S - passed))
    return sent / (time.monotonic() - began), ages


async def buckets_per_s(connection: Connection, vehicles: list[int], bucket: int) -> tuple[float, float]:
    """Of the worker's transactions, and of only reading the readings."""
    await connection.execute(MARK, bucket)
    began, after, count = time.perf_counter(), BEGIN, 0
    while done := await derive_some(connection, Rules(), after=after, delay_s=0, limit=LIMIT):
        count += len(done)
        after = done[-1][:2]
    alone = count / (time.perf_counter() - began)
    began = time.perf_counter()
    for start in range(0, len(vehicles), LIMIT):
        part = vehicles[start : start + LIMIT]
        await connection.fetch(statement("bucket_tracks"), part, [bucket] * len(part), bucket, bucket + 1)
    return alone, len(vehicles) / (time.perf_counter() - began)
