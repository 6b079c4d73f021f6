"""A process of real vehicle units that does as it is told, and says what becomes of each reading.

    python -m benchmarks._chaos_units < orders > news

The first line of the orders is the `Crew`, each further line an `Order`; news are a line each, written
before the next step is taken: what this process said before it was killed is true. So a reading is announced
before it goes into the spool, and confirmed after; an acknowledgement is told before the spool acts on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from fleetcell.contract import ledger
from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.events import EventKind
from fleetcell.contract.ledger import EMPTY, Ranges
from fleetcell.mqtt import Backoff
from fleetcell.service import configure_logging
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.session import VehicleUnit
from vehicle_sim.spool import Spool, SpoolError
from vehicle_sim.tally import Tally
from vehicle_sim.unit import PresencePolicy

RATE_HZ: Final = 20.0
EVENT_EVERY: Final = 37  # readings
REPAIR_S: Final = 0.2  # until a unit that ended by itself, or could not start, is started again
DELIVERY: Final = DeliveryPolicy(window_s=0.1, batch_samples=20, retry_first_s=0.5, retry_cap_s=2.0)
_OUT: Final = 1
_HELSINKI: Final = (60.17, 24.94)


class Crew(msgspec.Struct, frozen=True):
    """The units of one process. `brokers`: URLs, taken in turns."""

    brokers: list[str]
    region: str
    folder: str
    interval_s: float
    keep_alive_s: int
    rate_hz: float = RATE_HZ
    delivery: DeliveryPolicy = DELIVERY


class Order(msgspec.Struct, frozen=True):
    """What to do: begin, coast, sleep, goodbye, vanish, power loss, clock, look or end.

    begin: units with these secrets start to drive. coast: nobody makes readings any more. vanish: a unit is
    off for good; power loss: it is off and on. clock: it jumps by `amount` seconds. look: answer with a
    report. end: all of them are off.
    """

    what: str
    unit: str = ""
    secrets: dict[str, str] = {}
    amount: float = 0.0
    seed: int = 0


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has just happened to a unit.

    what: making, made, acked, evicted, refused, crashed or report. making: a reading is about to go into the
    spool as number `seq`. made: it is there, dated `time_ms` (an event without), at `lat`. acked and evicted:
    `ranges` of a boot. refused: the spool did not take it. crashed: the unit ended by an error of its own.
    """

    what: str
    unit: str = ""
    boot: str = ""
    seq: int = 0
    time_ms: int | None = None
    lat: float = 0.0
    ranges: Ranges = EMPTY
    why: str = ""
    report: list[UnitReport] = []


class UnitReport(msgspec.Struct, frozen=True):
    """How a unit is now. `pending`: by boot, what waits in its spool; `undeclared`: evictions likewise."""

    unit: str
    running: bool
    registered: bool
    asleep: bool
    gone: bool
    epoch: int
    pending: dict[str, Ranges]
    undeclared: dict[str, Ranges]
    problem: str | None = None


def tell(news: News) -> None:
    """One line, at once, past every buffer of this process."""
    data = memoryview(msgspec.json.encode(news) + b"\n")
    while data:
        data = data[os.write(_OUT, data) :]


class TellingSpool(Spool):
    """A spool that tells of an acknowledgement before it acts on it."""

    unit = ""

    def settle(self, boot: str, ranges: Ranges) -> int:
        kept = self.get(boot)
        if kept is not None and (known := ledger.intersect(ranges, ((1, kept.last_seq or 1),))):
            tell(News("acked", self.unit, boot, ranges=known))
        return super().settle(boot, ranges)


class Vehicle:
    """One vehicle: its unit, and what drives it."""

    def __init__(self, name: str, secret: str, broker: str, crew: Crew, rng: random.Random) -> None:
        self.name = name
        self.clock_s = 0.0  # how wrong its clock is
        self.coasts = False
        self._secret = secret
        self._crew = crew
        self._rng = rng
        self._options = LinkOptions(
            broker,
            crew.region,
            roams=False,  # what the directory names is not behind a proxy
            presence=PresencePolicy(
                update_interval_s=crew.interval_s,
                keep_alive_s=crew.keep_alive_s,
                claim_retry_first_s=0.3,
                claim_retry_cap_s=1.0,
                stop_wait_s=1.0,
                sleep_wait_s=1.0,
            ),
            delivery=crew.delivery,
            backoff=Backoff(0.05, 0.5),
        )
        self._unit: VehicleUnit | None = None
        self._life: asyncio.Task[None] | None = None
        self._evicted: dict[str, Ranges] = {}
        self._made = 0

    def power_on(self) -> None:
        """Live, until `power_off`."""
        self._life = asyncio.create_task(self._live())

    async def power_off(self) -> None:
        """Off at once: no goodbye, nothing is flushed."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
        self._life = self._unit = None

    def sleep(self) -> None:
        """Say that it sleeps, for longer than any schedule lasts."""
        if self._unit is not None:
            self._unit.rest(3600.0)

    def stop(self) -> None:
        """Say goodbye."""
        if self._unit is not None:
            self._unit.stop()

    async def _live(self) -> None:
        while True:
            try:
                await self._one_life()
            except SpoolError:  # the disk is full: it cannot start
                await asyncio.sleep(REPAIR_S)
            except (FleetcellError, OSError) as error:
                tell(News("crashed", self.name, why=f"{type(error).__name__}: {error}"))
                await asyncio.sleep(REPAIR_S)
            else:
                return  # it said goodbye

    async def _one_life(self) -> None:
        spool = TellingSpool(Path(self._crew.folder) / self.name)
        spool.unit = self.name
        spool.open()
        self._unit = unit = VehicleUnit(self.name, self._secret, spool, self._options, Tally(), self._rng)
        self._tell_evicted(spool)
        driving = asyncio.create_task(self._drive(unit))
        try:
            await unit.run()
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    async def _drive(self, unit: VehicleUnit) -> None:
        while not unit.gone:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) / self._crew.rate_hz)
            if not self.coasts and not unit.asleep:
                self._read(unit)

    def _read(self, unit: VehicleUnit) -> None:
        spool = unit.spool
        boot, seq = spool.current.boot, spool.current.last_seq + 1
        time_ms = int((time.time() + self.clock_s) * 1000)
        self._made += 1
        lat = _HELSINKI[0] + math.sin(self._made / 50) / 100
        is_event = self._made % EVENT_EVERY == 0
        tell(News("making", self.name, boot, seq))
        try:
            if is_event:
                unit.report(
                    time_ms, EventKind.HARSH_BRAKE, {"acceleration": -4.0, "speed": 50.0}, time.monotonic()
                )
            else:
                signals = {"lat": lat, "lon": _HELSINKI[1], "speed": 50.0, "ignition": True}
                unit.record(time_ms, signals, time.monotonic())
        except SpoolError as error:
            tell(News("refused", self.name, boot, seq, why=str(error)))
            return
        tell(News("made", self.name, boot, seq, None if is_event else time_ms, lat))
        self._tell_evicted(spool)

    def _tell_evicted(self, spool: Spool) -> None:
        for log in spool.boots:
            new = ledger.subtract(log.evicted, self._evicted.get(log.boot, EMPTY))
            if new:
                self._evicted[log.boot] = ledger.union(self._evicted.get(log.boot, EMPTY), new)
                tell(News("evicted", self.name, log.boot, ranges=new))

    def report(self) -> UnitReport:
        """How it is."""
        unit = self._unit
        if unit is None:
            return UnitReport(self.name, False, False, False, False, 0, {}, {})
        boots = list(unit.spool.boots)
        return UnitReport(
            self.name,
            running=self._life is not None and not self._life.done(),
            registered=unit.registered,
            asleep=unit.asleep,
            gone=unit.gone,
            epoch=unit.epoch,
            pending={log.boot: ledger.from_numbers(log.pending) for log in boots if log.pending_count},
            undeclared={log.boot: log.evicted for log in boots if log.evicted},
            problem=unit.connection_problem,
        )


class Fleet:
    """All vehicles of this process."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._vehicles: dict[str, Vehicle] = {}

    async def obey(self, order: Order) -> None:
        """Do it."""
        match order.what:
            case "begin":
                for index, (name, secret) in enumerate(sorted(order.secrets.items())):
                    broker = self._crew.brokers[index % len(self._crew.brokers)]
                    rng = random.Random(f"{order.seed}:{name}")
                    self._vehicles[name] = vehicle = Vehicle(name, secret, broker, self._crew, rng)
                    vehicle.clock_s = order.amount
                    vehicle.power_on()
            case "coast":
                for vehicle in self._vehicles.values():
                    vehicle.coasts = True
            case "end":
                await asyncio.gather(*(vehicle.power_off() for vehicle in self._vehicles.values()))
                self._vehicles.clear()
            case "look":
                tell(News("report", report=[vehicle.report() for vehicle in self._vehicles.values()]))
            case _:
                await self._hurt(self._vehicles[order.unit], order)

    async def _hurt(self, vehicle: Vehicle, order: Order) -> None:
        match order.what:
            case "sleep":
                vehicle.sleep()
            case "goodbye":
                vehicle.stop()
            case "vanish":
                await vehicle.power_off()
            case "power loss":
                await vehicle.power_off()
                vehicle.power_on()
            case "clock":
                vehicle.clock_s += order.amount
            case what:
                raise ValueError(what)


async def serve() -> None:
    """Obey until the orders end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    fleet = Fleet(msgspec.json.decode(await reader.readline(), type=Crew))
    while line := await reader.readline():
        await fleet.obey(msgspec.json.decode(line, type=Order))
    await fleet.obey(Order("end"))


if __name__ == "__main__":
    configure_logging("info")  # who loses its connection, and why
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())
