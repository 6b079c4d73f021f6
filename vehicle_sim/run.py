"""`sim run`: simulated vehicles that drive until they are told to stop."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import ConfigError
from vehicle_sim.commands import MAX_RATE_HZ
from vehicle_sim.faults.clocks import Clocks
from vehicle_sim.pace import Pace
from vehicle_sim.power import Power, PowerPolicy, Wish
from vehicle_sim.progress import RateMeter, Snapshot, shown
from vehicle_sim.tally import Score, score
from vehicle_sim.tasks import end, first_of
from vehicle_sim.traffic_ahead import move_ahead
from vehicle_sim.v2x.options import SILENT, V2xOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vehicle_sim.faults.runner import FaultRunner
    from vehicle_sim.fleet import Fleet
    from vehicle_sim.mobility import Drive
    from vehicle_sim.mobility.drive import Shown
    from vehicle_sim.session import VehicleUnit

_START_SPREAD_S: Final = 2.5  # over which the units of a run connect
_START_GAP_S: Final = 0.04
_START_SLACK_S: Final = 0.05
_START_LEAST_GAP_S: Final = 0.0025  # faster than this they come too late, and begin again
_AWAKE_S: Final = 60.0  # a run begins with the whole fleet online: nobody sleeps before
_DRAIN_S: Final = 10.0
_DRAIN_SCORED_S: Final = 60.0
_DRAIN_INTERRUPTED_S: Final = 1.0
_KINDS: Final = ("taxi", "car", "van", "car", "truck", "taxi", "car", "van")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `sim run` was asked for. None: as the running platform has it, or without end."""

    data_dir: Path
    vehicles: int = 25
    rate_hz: float = 1.0
    duration_s: float | None = None
    sleepers: float = 0.0  # share of the vehicles that park after each trip and whose units then sleep
    gnss_errors: bool = False
    clock_errors: bool = False
    seed: int | None = None
    link: str = "perfect"
    start_hour: float | None = None  # local time at the beginning; vehicles are used as their kinds are
    faults: Path | None = None  # what goes wrong, and when
    v2x: V2xOptions = SILENT  # what the vehicles say to each other
    region: str | None = None
    roads: Path | None = None
    api_url: str | None = None
    api_key: str | None = None
    broker_url: str | None = None
    broker_ca_file: Path | None = None
    progress: bool = False
    score: bool = False  # against what really happened
    drain_s: float | None = None  # for what is not acknowledged at the end of --duration

    def check(self) -> None:
        """Raises ConfigError, naming the flag, when a value makes no sense."""
        if self.vehicles < 1:
            raise ConfigError(f"--vehicles {self.vehicles}: at least 1")
        if not 0 < self.rate_hz <= MAX_RATE_HZ:
            raise ConfigError(f"--rate {self.rate_hz:g}: more than 0 and at most {MAX_RATE_HZ:g} Hz")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ConfigError(f"--duration {self.duration_s:g}: more than 0 seconds")
        if self.start_hour is not None and not 0 <= self.start_hour < 24:
            raise ConfigError(f"--start-hour {self.start_hour:g}: from 0 to below 24")
        if not 0 <= self.sleepers <= 1:
            raise ConfigError(f"--sleepers {self.sleepers:g}: a share from 0 to 1")
        if self.drain_s is not None and self.drain_s < 0:
            raise ConfigError(f"--drain {self.drain_s:g}: 0 seconds or more")

    @property
    def patience_s(self) -> float:
        """How long the last acknowledgements are waited for: a score should not find what is only late."""
        if self.drain_s is not None:
            return self.drain_s
        return _DRAIN_SCORED_S if self.score else _DRAIN_S


def vehicle_names() -> Iterator[str]:
    """The ids of simulated vehicles, always in the same order: taxi-0001, car-0002, van-0003, ..."""
    for number in itertools.count(1):
        yield f"{_KINDS[(number - 1) % len(_KINDS)]}-{number:04d}"


def sleepers(vehicles: Iterable[str], share: float) -> set[str]:
    """Which of these vehicles sleep: this share of them, evenly spread, always the same ones."""
    return {vehicle for n, vehicle in enumerate(vehicles) if int((n + 1) * share) > int(n * share)}


class Simulation:
    """The driving part of a run: every unit makes readings at its rate, spread within the period."""

    def __init__(
        self,
        fleet: Fleet,
        drives: dict[str, Drive],
        power: PowerPolicy,
        clocks: Clocks | None = None,
        *,
        awake_s: float | None = None,
    ) -> None:
        """`awake_s`: how long no unit sleeps after its start; None: as long as usual."""
        self._fleet = fleet
        self._drives = drives
        self._power = power
        self._awake_s = _AWAKE_S if awake_s is None else awake_s
        self._clocks = Clocks() if clocks is None else clocks
        self._coasts = False

    async def run(self) -> None:
        """Start the units one after the other and drive until cancelled."""
        gap = max(min(_START_GAP_S, _START_SPREAD_S / max(1, len(self._drives))), _START_LEAST_GAP_S)
        began = _now()
        async with asyncio.TaskGroup() as group:
            for traffic in {drive.traffic for drive in self._drives.values()}:
                group.create_task(move_ahead(traffic))
            late = 0.0
            for index, (vehicle, drive) in enumerate(self._drives.items()):
                # A program that is held up does not make up for it: all at once, the units come too late.
                await _sleep_until(began + late + index * gap)
                late = max(late, _now() - began - index * gap - _START_SLACK_S)
                # Who starts late would stay behind the others, and drag along the trail of all that time.
                begins = drive.advance(index * gap + late // 1.0)  # on the time that all of them share
                self._fleet.units[vehicle].place(begins)  # the region there is where it begins
                self._fleet.start(vehicle)
                group.create_task(self._drive(vehicle, drive))

    def coast(self) -> None:
        """Drive on, so that nobody stands in a hole of coverage, but make no more readings."""
        self._coasts = True

    async def _drive(self, vehicle: str, drive: Drive) -> None:
        pace = Pace(_now())
        power = Power(self._power if drive.habit.sleeps else None, pace.due + self._awake_s)
        read_at = float("-inf")
        passed_s = 1.0 / self._fleet.units[vehicle].rate_hz
        while True:
            unit = self._fleet.units[vehicle]  # another one after a power loss
            signals = drive.advance(passed_s)
            if self._fleet.runs(vehicle) and self._coasts:
                unit.place(signals)
            elif self._fleet.runs(vehicle):
                self._follow(unit, power.look(parked=drive.parked, asleep=unit.asleep, now=pace.due))
                if not unit.asleep or pace.due - read_at >= self._power.reading_s:
                    read_at = pace.due
                    self._read(unit, drive, signals, pace.due)
                self._report(unit, drive, pace.due)
            period_s = 1.0 / unit.rate_hz
            if unit.asleep and self._fleet.runs(vehicle):
                left_s = read_at + self._power.reading_s - pace.due
                passed_s = pace.next(max(period_s, min(left_s, drive.stands_s)), _now())
                if await unit.awake_before(pace.due):
                    passed_s = pace.earlier(_now())
                    power.look(parked=drive.parked, asleep=True, now=pace.due)  # until just now
            else:
                passed_s = pace.next(period_s, _now())
                await _sleep_until(pace.due)

    def _read(self, unit: VehicleUnit, drive: Drive, signals: Shown, at: float) -> None:
        if self._fleet.truth is not None:
            lon, lat, _ = drive.road.at(drive.offset_m)
            self._fleet.truth.stands(unit.vehicle, lat, lon)
        if unit.modem is not None:
            signals |= unit.modem.signals()
        self._fleet.record(unit, self._dated(unit, drive, at), signals, at)

    def _report(self, unit: VehicleUnit, drive: Drive, at: float) -> None:
        for kind, data in drive.take_incidents():
            self._fleet.report(unit, self._dated(unit, drive, at), kind, data, at)

    def _dated(self, unit: VehicleUnit, drive: Drive, at: float) -> int:
        """How a unit dates what is of this moment of the monotonic clock, in ms since 1970."""
        true_ms = int((time.time() - (_now() - at)) * 1000)
        return self._clocks.dated(unit.vehicle, drive.dated(true_ms), true_ms)

    def _follow(self, unit: VehicleUnit, wish: Wish | None) -> None:
        match wish:
            case Wish.SLEEP:
                unit.rest(self._power.sleep_s)
            case Wish.WAKE:
                unit.wake()
            case None:
                pass


async def run(
    fleet: Fleet,
    drives: dict[str, Drive],
    options: RunOptions,
    stopped: asyncio.Event,
    seed: int,
    clocks: Clocks,
    faults: FaultRunner | None = None,
) -> Score:
    """Drive until the duration is over or `stopped` is set; then drain, detach and sum up.

    Args:
        fleet: provisioned.
        drives: of its units.
        options: of the run.
        stopped: to be set to end it early.
        seed: for the score.
        clocks: those of the units, which faults may set wrong.
        faults: what goes wrong meanwhile.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    simulation = Simulation(fleet, drives, PowerPolicy(), clocks)
    driving = asyncio.create_task(simulation.run())
    failing = asyncio.create_task(_for_ever(faults))
    stopping = asyncio.create_task(stopped.wait())
    try:
        async with shown("sim run", _looker(fleet, options.duration_s, began), enabled=options.progress):
            await first_of(driving, failing, stopping, fleet.failed, timeout_s=options.duration_s)
            await end(failing)
            simulation.coast()
            if stopping.done():
                await fleet.drain(_DRAIN_INTERRUPTED_S)
            else:
                drained = asyncio.create_task(fleet.drain(options.patience_s))
                await first_of(drained, stopping, fleet.failed)
                await end(drained)
            ended = loop.time()
    finally:
        await end(driving, failing, stopping)
        await fleet.stop()
    return score(
        fleet.tally,
        kind="run",
        vehicles=len(fleet.units),
        resent=fleet.resent,
        began=began,
        ended=ended,
        seed=seed,
    )


async def _for_ever(faults: FaultRunner | None) -> None:
    """Have the faults of the run, and return never: it goes on without them."""
    if faults is not None:
        await faults.run()
    await asyncio.Event().wait()


def _looker(fleet: Fleet, duration_s: float | None, began: float) -> Callable[[], Snapshot]:
    meter = RateMeter()
    loop = asyncio.get_running_loop()

    def look() -> Snapshot:
        now, tally = loop.time(), fleet.tally
        waits = duration_s is not None and now - began > duration_s and tally.pending
        status = (
            f"{fleet.registered}/{len(fleet.units)} online{_asleep(fleet)}  "
            f"{tally.made:,} made  {tally.acked:,} acked  {tally.pending:,} pending  "
            f"{meter.per_second(tally.acked, now):,.0f} readings/s" + fleet.link_note()
        )
        if waits:
            status = f"waiting for acknowledgements  {status}"
        return Snapshot(now - began, duration_s, status)

    return look


def _asleep(fleet: Fleet) -> str:
    return f"  {fleet.asleep} asleep" if fleet.asleep else ""


def _now() -> float:
    return time.monotonic()  # the clock of the event loop, which may stand still within a turn


async def _sleep_until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - _now()))
