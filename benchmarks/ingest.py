"""Ingest from JSON to COMMIT, against the floor of the database and against a pipeline written by hand.

All three put the same readings into the same table of the same server, with fsync, and without MQTT.

- ours: the writer of the service, from undecoded messages to acknowledgements, with ledger, latest values and
  dirty marks.
- floor: the same rows, already encoded, by COPY, one transaction a batch: one connection cannot do more.
- by hand: json.loads, then executemany of INSERT ... ON CONFLICT DO NOTHING, a message at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import math
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from fleetcell.contract.messages import Sample, Telemetry, encode
from fleetcell.contract.topics import Channel, VehicleTopic
from ingest.batch import Batch
from ingest.database import connect, migrate
from ingest.embedded import EmbeddedPostgres
from ingest.inbox import Arrival, Inbox
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.readings import COPY_COLUMNS, gather
from ingest.settle import LedgerRow, settle
from ingest.vehicles import Vehicles
from ingest.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ingest.database import Connection
    from ingest.store import Stored

ABOUT = (
    "ingest: rows/s from JSON to COMMIT with ledger, latest and dirty marks, against COPY and INSERT by hand"
)

VEHICLES = 500
BATCH_ROWS = 5000
BOOT = "0123456789abcdef0123456789abcdef"
UNIQUE = "CREATE UNIQUE INDEX by_hand ON fleet.telemetry (vehicle_id, boot, seq)"
INSERT = """
    INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, lat, lon, speed, heading, soc, odo, ignition,
        rat, received_at)
    VALUES (to_timestamp($1::float8 / 1000), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now())
    ON CONFLICT DO NOTHING
"""


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    share = seconds / 5
    async with postgres() as dsn:
        connection = await connect(dsn)
        names = [f"car-{number:04}" for number in range(VEHICLES)]
        await connection.execute("SELECT api.provision($1, $2)", names, ["0" * 64] * VEHICLES)
        rows = await connection.fetch("SELECT id, name FROM fleet.vehicle")
        ids = {row["name"]: row["id"] for row in rows}
        say("ours, 10 samples a message")
        ours, cpu = await our_rate(connection, dsn, share, 10)
        say("ours, 1 sample a message")
        single, _ = await our_rate(connection, dsn, share, 1)
        say("the floor: COPY of encoded rows")
        floor = await floor_rate(connection, ids, share)
        say("by hand, 10 samples a message")
        by_hand = await by_hand_rate(connection, ids, share, 10)
        await connection.close()
    return {
        "rows_per_s": round(ours),
        "floor_rows_per_s": round(floor),
        "floor_ratio": round(ours / floor, 3),
        "vs_handwritten": round(ours / by_hand, 2),
        "rows_per_s_1_sample": round(single),
        "floor_ratio_1_sample": round(single / floor, 3),
        "cpu_s_per_million_rows": round(cpu * 1e6, 2),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """The embedded server in a folder of its own, with its settings as shipped; the owner's DSN."""
    with tempfile.TemporaryDirectory(prefix="fleetcell-") as name:
        os.chmod(name, 0o755)  # noqa: S103, PTH101 - the server may run as another user
        server = EmbeddedPostgres(Path(name) / "postgres")
        server.prepare()
        options = {"stderr": subprocess.DEVNULL, "env": server.environment(), **server.popen_options()}
        process = subprocess.Popen(server.argv(), **options)  # noqa: ASYNC220 - before anything is measured
        try:
            await server.wait_ready()
            await migrate(server.dsn("owner"))
            yield server.dsn("owner")
        finally:
            process.send_signal(server.stop_signal)
            process.wait()


def messages(samples: int) -> Iterator[Arrival]:
    """Each vehicle in turn sends so many readings of one second each, for ever."""
    now_ms = time.time_ns() // 1_000_000
    for turn in itertools.count():
        for number in range(VEHICLES):
            seqs = range(turn * samples + 1, (turn + 1) * samples + 1)
            readings = [Sample(seq, now_ms - 1_000_000 + seq, signals(number, seq)) for seq in seqs]
            topic = VehicleTopic("helsinki", f"car-{number:04}", Channel.TELEMETRY)
            yield Arrival(topic, encode(Telemetry(BOOT, 1, readings)), now_ms * 1000)


def signals(number: int, seq: int) -> dict[str, object]:
    angle = (number + seq) / 100
    return {
        "lat": round(60.17 + math.sin(angle) / 50, 6),
        "lon": round(24.94 + math.cos(angle) / 50, 6),
        "speed": round(40 + 30 * math.sin(angle * 7), 1),
        "heading": round(math.degrees(angle) % 360, 1),
        "soc": round(80 - seq / 1000 % 60, 2),
        "odo": round(1000 + number + seq / 100, 2),
        "ignition": True,
        "rat": "LTE",
    }


async def our_rate(connection: Connection, dsn: str, seconds: float, samples: int) -> tuple[float, float]:
    """Rows a second, and CPU seconds of this process a row."""
    await empty(connection)
    source = messages(samples)
    inbox = Inbox(max_messages=10**9, max_bytes=10**12)
    database = Database(dsn, application="benchmark")
    answered = 0
    done = asyncio.Event()

    def answer(stored: Stored) -> None:
        nonlocal answered
        answered += stored.readings
        if answered >= wanted:
            done.set()

    metrics = Metrics()
    writer = Writer(
        inbox,
        database,
        Vehicles(),
        batch_rows=BATCH_ROWS,
        linger_s=0.2,
        heard=lambda _: None,
        answer=answer,
        health=Healthy(),
        metrics=metrics,
    )
    wanted = 0
    for _ in range(
        int(seconds * 150_000 / samples) // VEHICLES * VEHICLES or VEHICLES
    ):  # made before the clock runs
        inbox.put(next(source))
        wanted += samples
    gc.freeze()  # the collector need not look at the messages made ahead again and again
    cpu, started = time.process_time(), time.perf_counter()
    writing = asyncio.create_task(writer.run())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
    elapsed, used = time.perf_counter() - started, time.process_time() - cpu
    rate = answered / elapsed, used / answered
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await database.close()
    stored = await connection.fetchval("SELECT count(*) FROM fleet.telemetry")
    assert answered <= stored <= answered + BATCH_ROWS, (answered, stored)
    return rate


class Healthy:
    """Takes no failure: a benchmark of failures is another one."""

    def stored(self) -> None:
        """As it should be."""

    def failed(self, why: str) -> None:
        """Raise."""
        raise RuntimeError(why)


async def floor_rate(connection: Connection, ids: dict[str, int], seconds: float) -> float:
    """Rows a second of COPY with nothing else."""
    await empty(connection)
    source = messages(10)
    encoded = [encoded_batch(source, ids) for _ in range(20)]
    rows = 0
    started = time.perf_counter()
    for data in itertools.cycle(encoded):
        async with connection.transaction():
            await connection.copy_to_table(
                "telemetry",
                schema_name="fleet",
                columns=COPY_COLUMNS,
                source=chunks(data),
                format="binary",
            )
        rows += BATCH_ROWS
        if time.perf_counter() - started > seconds:
            return rows / (time.perf_counter() - started)
    raise AssertionError


def encoded_batch(source: Iterator[Arrival], ids: dict[str, int]) -> bytes:
    batch = Batch()
    while batch.rows < BATCH_ROWS:
        batch.add(next(source))
    fresh = [
        (ids[vehicle], one)
        for (vehicle, _), uploads in batch.by_boot().items()
        for one in settle(LedgerRow(), uploads).fresh
    ]
    return gather(fresh).copy_bytes()


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 256 * 1024):
        yield data[start : start + 256 * 1024]


async def by_hand_rate(connection: Connection, ids: dict[str, int], seconds: float, samples: int) -> float:
    """Rows a second of the usual INSERT; the unique index is what it needs to store nothing twice."""
    await empty(connection)
    await connection.execute(UNIQUE)
    keys = ("lat", "lon", "speed", "heading", "soc", "odo", "ignition", "rat")
    rows = 0
    started = time.perf_counter()
    for arrival in messages(samples):
        message = json.loads(arrival.payload)
        vehicle_id, boot = ids[arrival.topic.vehicle], UUID(message["boot"])
        values = [
            (one["ts"], vehicle_id, boot, one["seq"], *(one["s"].get(key) for key in keys))
            for one in message["samples"]
        ]
        await connection.executemany(INSERT, values)
        rows += len(values)
        if time.perf_counter() - started > seconds:
            break
    rate = rows / (time.perf_counter() - started)
    await connection.execute("DROP INDEX fleet.by_hand")
    return rate


async def empty(connection: Connection) -> None:
    await connection.execute(
        "TRUNCATE fleet.telemetry, fleet.ledger, fleet.vehicle_latest, fleet.dirty_bucket"
    )
