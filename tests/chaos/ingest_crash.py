"""Kill ingest at every await of storing a batch, and store the batch again as its unit would send it.

    python -m tests.chaos.ingest_crash DSN [--most N] [--seed S]

Each await is a point, and twice: when what it waits for has just been asked (a statement is on its way), and
when the answer is there. A forked process runs the real writer up to the point and ends by `os._exit`. Then
nothing that it acknowledged may be missing, and after the second try each reading is there once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges, from_multirange, from_numbers
from fleetcell.contract.messages import Ack, Event, Sample, decode, encode
from fleetcell.contract.topics import Channel
from fleetcell.service import configure_logging
from ingest.batch import Batch
from ingest.database import connect
from ingest.inbox import Inbox
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.vehicles import Vehicles
from ingest.writer import Writer
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from ingest.database import Connection
    from ingest.inbox import Arrival
    from ingest.store import Stored

T = TypeVar("T")

CARS = ("crash-1", "crash-2")
KILLED = 77  # exit status
READINGS = 6
EVENT = READINGS + 1  # the number of the event
HELD = 3  # readings that were stored before
DECLARED: Ranges = ((READINGS + 2, READINGS + 3),)  # numbers given up by the unit
STORED: Ranges = ((1, EVENT),)
WAIT_S = 60.0


class Moment(StrEnum):
    """When, at an await."""

    ASKED = "asked"
    ANSWERED = "answered"


class Point(msgspec.Struct, frozen=True):
    """The n-th await, from 1."""

    number: int
    moment: Moment


class Steps:
    """Runs a coroutine and counts its awaits that really wait; ends the process at one of them."""

    def __init__(self, work: Coroutine[Any, Any, None], die_at: Point | None = None) -> None:
        self._work = work
        self._die_at = die_at
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        inner = self._work.__await__()
        error: BaseException | None = None
        while True:
            try:
                waits_for = next(inner) if error is None else inner.throw(error)
            except StopIteration:
                return
            self.count += 1
            self._reach(Moment.ASKED)
            try:
                yield waits_for
                error = None
            except BaseException as raised:  # noqa: BLE001 - handed on to the coroutine
                error = raised
            self._reach(Moment.ANSWERED)

    def _reach(self, moment: Moment) -> None:
        if self._die_at == Point(self.count, moment):
            os._exit(KILLED)


class Health:
    """Nobody needs to know."""

    def stored(self) -> None:
        """A batch was committed."""

    def failed(self, why: str) -> None:
        """It was not."""
        raise AssertionError(why)


def arrivals(boots: list[str]) -> list[Arrival]:
    """What needs every statement of the transaction.

    New readings, known ones, another one under a known number, an event, numbers that the unit has given up,
    and a message that cannot be read.
    """
    made = []
    for car, boot in zip(CARS, boots, strict=True):
        readings = [sample(n) for n in range(1, READINGS + 1)]
        readings[0] = Sample(1, readings[0].ts, {"speed": 99.0})  # another reading under a number of before
        made.append(arrival(car, telemetry(boot, readings, evicted=[*DECLARED])))
        event = Event(boot, 1, EVENT, NOW_US // 1000, "harsh_brake", {"acceleration": -4.0})
        made.append(arrival(car, encode(event), Channel.EVENT))
    made.append(arrival(CARS[0], b"no JSON " + boots[0].encode()))
    return made


def before(boots: list[str]) -> list[Arrival]:
    """What is stored already."""
    return [
        arrival(car, telemetry(boot, [sample(n) for n in range(1, HELD + 1)]))
        for car, boot in zip(CARS, boots, strict=True)
    ]


async def put(dsn: str, messages: list[Arrival], say: Any, die_at: Point | None = None) -> int:
    """Store them as ingest does; `say` is told each acknowledgement. How many awaits there were."""
    database = Database(dsn, application="crash", size=1, timeout_s=WAIT_S)

    def answer(stored: Stored) -> None:
        for _, ack in stored.acks:
            say(ack)

    writer = Writer(
        Inbox(),
        database,
        Vehicles(),
        batch_rows=1000,
        linger_s=0.01,
        gather_s=0.01,
        heard=lambda _: None,
        answer=answer,
        health=Health(),
        metrics=Metrics(),
    )
    batch = Batch()
    for one in messages:
        batch.add(one)
    steps = Steps(writer._store(batch), die_at)
    await steps
    database.terminate()
    return steps.count


def crash(dsn: str, boots: list[str], point: Point) -> tuple[list[Ack], bool]:
    """Die at a point, in a process of its own: what was acknowledged, and whether the point was reached."""
    reader, out = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            asyncio.run(put(dsn, arrivals(boots), lambda ack: os.write(out, encode(ack) + b"\n"), point))
        except BaseException as error:  # noqa: BLE001 - it must not go on as its parent
            os.write(2, f"{point}: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(out)
    with os.fdopen(reader, "rb") as told:
        acks = [decode(Ack, line) for line in told.read().splitlines()]
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, KILLED):
        raise AssertionError(f"{point}: the process ended with {code}")
    return acks, code == KILLED


async def rows(connection: Connection, boot: str) -> list[int]:
    """The numbers that are stored of a boot, as often as they are."""
    found = await connection.fetch(
        "SELECT seq FROM fleet.telemetry WHERE boot = $1::uuid "
        "UNION ALL SELECT seq FROM fleet.event WHERE boot = $1::uuid ORDER BY seq",
        boot,
    )
    return [row["seq"] for row in found]


def settled(acks: list[Ack], boot: str) -> Ranges:
    """What a unit may forget by these acknowledgements."""
    found: Ranges = EMPTY
    for ack in acks:
        if ack.boot == boot:
            found = ledger.union(
                found, ledger.normalize([*((1, n) for n in (ack.seq,) if n), *(ack.also or [])])
            )
    return found


async def judge(dsn: str, boots: list[str], acked: list[Ack]) -> list[str]:
    """After the crash; then store again, and judge the end."""
    faults = []
    connection = await connect(dsn, timeout_s=WAIT_S)
    for boot in boots:
        there = ledger.union(from_numbers(await rows(connection, boot)), DECLARED)
        if missing := ledger.subtract(settled(acked, boot), there):
            faults.append(f"acknowledged and not stored: {missing}")
    again: list[Ack] = []
    await put(dsn, arrivals(boots), again.append)
    for boot in boots:
        if (found := await rows(connection, boot)) != list(range(1, EVENT + 1)):
            faults.append(f"stored: {found}")
        row = await connection.fetchrow(
            "SELECT received::text, evicted::text FROM fleet.ledger WHERE boot = $1::uuid", boot
        )
        assert row is not None
        held = from_multirange(row["received"]), from_multirange(row["evicted"])
        if held != (STORED, DECLARED):
            faults.append(f"the ledger says {held}")
        if settled(again, boot) != ((1, DECLARED[0][1]),):
            faults.append(f"acknowledged in the end: {settled(again, boot)}")
    letters = await connection.fetchval(
        "SELECT count(*) FROM fleet.dead_letter WHERE payload = $1", b"no JSON " + boots[0].encode()
    )
    if letters != 1:
        faults.append(f"{letters} dead letters of one message")
    connection.terminate()
    return faults


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.ingest_crash")
    parser.add_argument("dsn", help="of a migrated database that nothing else uses")
    parser.add_argument("--most", type=int, help="that many of the points, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    configure_logging("error")
    asyncio.run(prepare(options.dsn))
    boots = fresh(options.dsn)
    total = asyncio.run(put(options.dsn, arrivals(boots), lambda _: None))
    points = [Point(number, moment) for number in range(1, total + 1) for moment in Moment]
    if options.most is not None and options.most < len(points):
        points = random.Random(options.seed).sample(points, options.most)
    faults, reached = [], 0
    for point in points:
        boots = fresh(options.dsn)
        acked, died = crash(options.dsn, boots, point)
        reached += died
        faults += [
            f"{point.number} {point.moment}: {why}" for why in asyncio.run(judge(options.dsn, boots, acked))
        ]
    found = {"awaits": total, "points": len(points), "reached": reached, "faults": faults}
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if faults else 0


async def prepare(dsn: str) -> None:
    """Make the vehicles."""
    connection = await connect(dsn)
    await provision(connection, *CARS)
    connection.terminate()


def fresh(dsn: str) -> list[str]:
    """New boots that have stored something already."""
    boots = [new_boot() for _ in CARS]
    asyncio.run(put(dsn, before(boots), lambda _: None))
    return boots


if __name__ == "__main__":
    sys.exit(main())
