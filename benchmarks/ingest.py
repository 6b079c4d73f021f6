"""Ingest from JSON to COMMIT, against the floor of the database and against a pipeline written by hand.

All put the same readings into the same table of the same server, with fsync, and without MQTT. Readings are
as units send them: a second apart, sent at once, with uptimes.

- ours: the writer of the service, from undecoded messages to acknowledgements, with ledger, latest values and
  dirty marks.
- floor: the same rows, already encoded, by COPY, one transaction a batch: one connection cannot do more.
- by hand: json.loads, then executemany of INSERT ... ON CONFLICT DO NOTHING, a message at a time.

They are measured in turns, a ratio is of one turn, and the median of the turns is told. "Two workers" are
processes (`benchmarks/_ingest_worker.py`) that share the messages as a shared subscription would, against
one such process. With `FLEETCELL_DSN` set, that database is used, for the tiers with TimescaleDB; what it
holds of telemetry is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec
import psutil

from benchmarks._child import Child
from fleetcell.contract.messages import Sample, Telemetry, encode
from fleetcell.contract.topics import Channel, VehicleTopic
from fleetcell.service import collect_less
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
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from ingest.database import Connection
    from ingest.store import Stored

ABOUT = (
    "ingest: rows/s from JSON to COMMIT with ledger, latest and dirty marks, against COPY and INSERT by hand"
)

VEHICLES = 500
BATCH_ROWS = 5000
TURNS = 3
PAST_MS = 3_600_000  # the first readings are so old
WAY_MS = 50  # from the unit to us
BOOT = "0123456789abcdef0123456789abcdef"
UNIQUE = "CREATE UNIQUE INDEX by_hand ON fleet.telemetry (vehicle_id, boot, seq, time)"  # hypertables: time
INSERT = """
    INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, lat, lon, speed, heading, soc, odo, ignition,
        rat, received_at)
    VALUES (to_timestamp($1::float8 / 1000), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, now())
    ON CONFLICT DO NOTHING
"""


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    share = seconds / 7 / TURNS
    turns: list[dict[str, float]] = []
    async with postgres() as dsn:
        connection = await connect(dsn)
        names = [f"car-{number:04}" for number in range(VEHICLES)]
        await connection.execute("SELECT api.provision($1, $2)", names, ["0" * 64] * VEHICLES)
        rows = await connection.fetch("SELECT id, name FROM fleet.vehicle")
        ids = {row["name"]: row["id"] for row in rows}
        for turn in range(TURNS):
            say(f"turn {turn + 1} of {TURNS}: ours")
            ours = await our_rate(connection, dsn, share, 10)
            floor = await floor_rate(connection, ids, share)
            single = await our_rate(connection, dsn, share, 1)
            faulty = await our_rate(connection, dsn, share, 10, faults=0.05)
            say(f"turn {turn + 1} of {TURNS}: by hand, and workers")
            by_hand, by_hand_single = [await by_hand_rate(connection, ids, share, count) for count in (10, 1)]
            one, two = [await workers_rate(connection, dsn, share, count) for count in (1, 2)]
            turns.append(
                {
                    "rows_per_s": ours.per_s,
                    "floor_rows_per_s": floor,
                    "floor_ratio": ours.per_s / floor,
                    "floor_ratio_1_sample": single.per_s / floor,
                    "floor_ratio_faults": faulty.per_s / floor,
                    "two_workers_ratio": two / one,
                    "vs_handwritten": ours.per_s / by_hand,
                    "vs_handwritten_1_sample": single.per_s / by_hand_single,
                    "rows_per_s_1_sample": single.per_s,
                    "cpu_s_per_million_rows": ours.cpu_us,
                    "cpu_s_per_million_rows_1_sample": single.cpu_us,
                    "database_cpu_s_per_million_rows": ours.database_cpu_us,
                    "memory_growth_bytes": ours.grown_bytes,
                }
            )
        await connection.close()
    found = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {
        **{name: round(value) if value > 1000 else round(value, 3) for name, value in found.items()},
        "floor_ratio_best": round(max(turn["floor_ratio"] for turn in turns), 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


@contextlib.asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """The embedded server in a folder of its own, with its settings as shipped; the owner's DSN."""
    if (named := os.environ.get("FLEETCELL_DSN")) is not None:
        await migrate(named)
        yield named
        return
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


def messages(samples: int, faults: float = 0.0) -> Iterator[Arrival]:
    """Each vehicle in turn sends so many readings, for ever; time passes as they tell.

    Args:
        samples: readings in a message.
        faults: the share of messages that come twice, and of those that are lost.
    """
    began_ms = time.time_ns() // 1_000_000 - PAST_MS
    rng = random.Random(1)
    for turn in itertools.count():
        for number in range(VEHICLES):
            seqs = range(turn * samples + 1, (turn + 1) * samples + 1)
            readings = [Sample(seq, began_ms + seq * 1000, signals(number, seq), seq * 1000) for seq in seqs]
            topic = VehicleTopic("helsinki", f"car-{number:04}", Channel.TELEMETRY)
            payload = encode(Telemetry(BOOT, 1, readings, sent=seqs[-1] * 1000))
            arrival = Arrival(topic, payload, (began_ms + seqs[-1] * 1000 + WAY_MS) * 1000)
            chance = rng.random() if faults else 1.0
            if chance >= faults:
                yield arrival
            if faults <= chance < 2 * faults:
                yield arrival


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


class Rate(NamedTuple):
    """Rows a second; CPU of this process and of the database a row; what this process grew meanwhile."""

    per_s: float
    cpu_us: float
    database_cpu_us: float
    grown_bytes: int


async def our_rate(
    connection: Connection, dsn: str, seconds: float, samples: int, faults: float = 0.0
) -> Rate:
    await empty(connection)
    run = Run(dsn, itertools.islice(messages(samples, faults), most_messages(seconds, samples)), samples)
    database = database_cpu_s()
    rate = await run.rate()
    database = database_cpu_s() - database
    await run.close()
    stored = await connection.fetchval("SELECT count(*) FROM fleet.telemetry")
    assert stored == run.answered, (run.answered, stored)
    return rate._replace(database_cpu_us=database / run.answered * 1e6)


def most_messages(seconds: float, samples: int) -> int:
    """How many are stored within about this time."""
    return max(10 * BATCH_ROWS, round(seconds * 100_000)) // samples


class Run:
    """The writer of the service with messages that were made before the clock runs."""

    def __init__(self, dsn: str, arrivals: Iterable[Arrival], samples: int) -> None:
        self._inbox = Inbox(max_messages=10**9, max_bytes=10**12)
        for arrival in arrivals:
            self._inbox.put(arrival)
        self._left = len(self._inbox) * samples
        self._database = Database(dsn, application="benchmark")
        self._done = asyncio.Event()
        self._process = psutil.Process()
        self._most_bytes = 0
        self.answered = 0
        self._writer = Writer(
            self._inbox,
            self._database,
            Vehicles(),
            batch_rows=BATCH_ROWS,
            linger_s=0.2,
            gather_s=0.2,
            heard=lambda _: None,
            answer=self._answer,
            health=Healthy(),
            metrics=Metrics(),
        )

    def _answer(self, stored: Stored) -> None:
        self.answered += stored.readings
        self._left -= stored.readings + stored.duplicates
        self._most_bytes = max(self._most_bytes, self._process.memory_info().rss)
        if not self._left:
            self._done.set()

    async def rate(self) -> Rate:
        """Store all of them."""
        collect_less()  # as the service does, and never through the messages made ahead
        before = self._process.memory_info().rss
        cpu, started = time.process_time(), time.perf_counter()
        writing = asyncio.create_task(self._writer.run())
        await self._done.wait()
        elapsed, used = time.perf_counter() - started, time.process_time() - cpu
        rate = Rate(
            self.answered / elapsed, used / self.answered * 1e6, 0.0, max(0, self._most_bytes - before)
        )
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        return rate

    async def close(self) -> None:
        await self._database.close()


def database_cpu_s() -> float:
    """Of the embedded server; 0 where it is another one."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "postgres":
                times = process.cpu_times()
                found += times.user + times.system + times.children_user + times.children_system
    return found


async def workers_rate(connection: Connection, dsn: str, seconds: float, count: int) -> float:
    """Rows a second of so many processes together."""
    await empty(connection)
    async with contextlib.AsyncExitStack() as stack:
        crew = [
            await stack.enter_async_context(
                Child.started("benchmarks._ingest_worker", dsn, str(number), str(count), str(seconds))
            )
            for number in range(count)
        ]
        await asyncio.gather(*(child.ask(Share) for child in crew))  # the messages are made
        shares = await asyncio.gather(*(child.ask(Share) for child in crew))
    return sum(share.per_s for share in shares)


class Share(msgspec.Struct):
    """What a worker has done."""

    per_s: float = 0.0


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
