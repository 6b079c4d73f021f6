"""The driving part of a run: units are started one after the other, and make readings at their rates."""

from __future__ import annotations

import asyncio
import time
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from vehicle_sim.faults.clocks import Clocks
from vehicle_sim.pace import Pace
from vehicle_sim.power import Power, PowerPolicy, Wish
from vehicle_sim.traffic_ahead import move_ahead

if TYPE_CHECKING:
    from vehicle_sim.fleet import Fleet
    from vehicle_sim.mobility import Drive
    from vehicle_sim.mobility.drive import Shown
    from vehicle_sim.session import VehicleUnit

_START_SPREAD_S: Final = 2.5  # over which the units of a run connect
_START_GAP_S: Final = 0.04
_START_SLACK_S: Final = 0.05
_START_LEAST_GAP_S: Final = 0.0025  # faster than this they come too late, and begin again
_AWAKE_S: Final = 60.0  # a run begins with the whole fleet online: nobody sleeps before
_PART: Final = 10  # readings that are made without interruption: one to two milliseconds
_LEAST_PAUSE_S: Final = 0.002  # a reading is of the moment when it was due, also when it is made this late


class _Vehicle:
    """One vehicle of the run, and when its next reading is due."""

    __slots__ = ("drive", "name", "pace", "passed_s", "power", "read_at")

    def __init__(self, name: str, drive: Drive, power: PowerPolicy, awake_s: float, passed_s: float) -> None:
        self.name = name
        self.drive = drive
        self.pace = Pace(_now())
        self.power = Power(power if drive.habit.sleeps else None, self.pace.due + awake_s)
        self.passed_s = passed_s  # from the reading before to the next one
        self.read_at = float("-inf")


class Simulation:
    """Every unit makes readings at its rate, spread within the period.

    One task drives all the vehicles that are awake: a task for each of thousands would cost as much as the
    driving. Who sleeps has a task that waits for its end.
    """

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
        self._vehicles: list[_Vehicle] = []  # that were started
        self._due: list[tuple[float, int]] = []  # heap: when, which
        self._pause: asyncio.Future[None] | None = None  # of the task that drives them
        self._pause_until = 0.0

    async def run(self) -> None:
        """Start the units one after the other and drive until cancelled."""
        gap = max(min(_START_GAP_S, _START_SPREAD_S / max(1, len(self._drives))), _START_LEAST_GAP_S)
        began = _now()
        async with asyncio.TaskGroup() as group:
            for traffic in {drive.traffic for drive in self._drives.values()}:
                group.create_task(move_ahead(traffic))
            group.create_task(self._drive_all(group))
            late = 0.0
            for index, (vehicle, drive) in enumerate(self._drives.items()):
                # A program that is held up does not make up for it: all at once, the units come too late.
                await asyncio.sleep(max(0.0, began + late + index * gap - _now()))
                late = max(late, _now() - began - index * gap - _START_SLACK_S)
                # Who starts late would stay behind the others, and drag along the trail of all that time.
                begins = drive.advance(index * gap + late // 1.0)  # on the time that all of them share
                unit = self._fleet.units[vehicle]
                unit.place(begins)  # the region there is where it begins
                self._fleet.start(vehicle)
                started = _Vehicle(vehicle, drive, self._power, self._awake_s, 1.0 / unit.rate_hz)
                self._vehicles.append(started)
                self._wait_for(started.pace.due, index)

    def coast(self) -> None:
        """Drive on, so that nobody stands in a hole of coverage, but make no more readings."""
        self._coasts = True

    # -- whose turn it is -------------------------------------------------------------------------

    async def _drive_all(self, group: asyncio.TaskGroup) -> None:
        steps = 0
        while True:
            while self._due and self._due[0][0] <= _now():
                _, index = heappop(self._due)
                vehicle = self._vehicles[index]
                if self._step(vehicle):
                    group.create_task(self._sleep(index, vehicle))
                else:
                    heappush(self._due, (vehicle.pace.due, index))
                steps += 1
                if steps % _PART == 0:
                    await asyncio.sleep(0)
            await self._pause_until_due()

    def _wait_for(self, when: float, index: int) -> None:
        """This vehicle is due then."""
        heappush(self._due, (when, index))
        if self._pause is not None and when < self._pause_until and not self._pause.done():
            self._pause.set_result(None)

    async def _pause_until_due(self) -> None:
        """As `asyncio.sleep`, and less when somebody comes to be due before."""
        loop, now = asyncio.get_running_loop(), _now()
        self._pause = loop.create_future()
        self._pause_until = max(self._due[0][0], now + _LEAST_PAUSE_S) if self._due else float("inf")
        timer = loop.call_later(self._pause_until - now, _end, self._pause) if self._due else None
        try:
            await self._pause
        finally:
            self._pause = None
            if timer is not None:
                timer.cancel()

    async def _sleep(self, index: int, vehicle: _Vehicle) -> None:
        """Wait until a vehicle whose unit sleeps is due, or the unit wakes before."""
        unit = self._fleet.units[vehicle.name]
        if await unit.awake_before(vehicle.pace.due):
            vehicle.passed_s = vehicle.pace.earlier(_now())
            vehicle.power.look(parked=vehicle.drive.parked, asleep=True, now=vehicle.pace.due)  # until now
        self._wait_for(vehicle.pace.due, index)

    # -- one vehicle ------------------------------------------------------------------------------

    def _step(self, vehicle: _Vehicle) -> bool:
        """Make the reading that is due, and say when the next one is (`pace`); whether the unit sleeps."""
        drive, pace = vehicle.drive, vehicle.pace
        unit = self._fleet.units[vehicle.name]  # another one after a power loss
        runs = self._fleet.runs(vehicle.name)
        signals = drive.advance(vehicle.passed_s)
        if runs and self._coasts:
            unit.place(signals)
        elif runs:
            self._follow(unit, vehicle.power.look(parked=drive.parked, asleep=unit.asleep, now=pace.due))
            if not unit.asleep or pace.due - vehicle.read_at >= self._power.reading_s:
                vehicle.read_at = pace.due
                self._read(unit, drive, signals, pace.due)
            self._report(unit, drive, pace.due)
        period_s = 1.0 / unit.rate_hz
        sleeps = runs and unit.asleep
        if sleeps:
            left_s = vehicle.read_at + self._power.reading_s - pace.due
            period_s = max(period_s, min(left_s, drive.stands_s))
        vehicle.passed_s = pace.next(period_s, _now())
        return sleeps

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


def _now() -> float:
    return time.monotonic()  # the clock of the event loop, which may stand still within a turn


def _end(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)
