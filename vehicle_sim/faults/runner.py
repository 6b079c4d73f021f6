"""Carries a schedule out on a running fleet and its platform, and puts everything right in the end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from fleetcell.contract.errors import FleetcellError
from vehicle_sim.faults.schedule import (
    AT_ONCE,
    OF_BROKERS,
    OF_THE_DATABASE,
    Happened,
    What,
    hits,
    occurrences,
)
from vehicle_sim.faults.torn import tear
from vehicle_sim.links.noise import seed_of, uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from vehicle_sim.faults.clocks import Clocks
    from vehicle_sim.faults.schedule import Fault, Hit, Occurrence, Schedule
    from vehicle_sim.faults.services import Services
    from vehicle_sim.fleet import Fleet
    from vehicle_sim.session import VehicleUnit

log = structlog.get_logger()


class RunClock(Protocol):
    """What the faults of a run wait on."""

    def time(self) -> float:
        """Seconds; they do not run back."""

    async def sleep(self, seconds: float) -> None:
        """Wait so long; 0: let the others have their turn."""


class LoopClock:
    """The event loop's."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class FaultRunner:
    """The faults of one run.

    Args:
        schedule: what happens.
        seed: of the run.
        fleet: its units.
        clocks: what dates their readings.
        services: of the platform.
        on_fault: told of everything that was done.
        run_clock: when faults begin and end; what units, links and services do meanwhile has its own time.
    """

    def __init__(
        self,
        schedule: Schedule,
        seed: int,
        fleet: Fleet,
        clocks: Clocks,
        services: Services,
        *,
        on_fault: Callable[[Happened], None] = lambda _: None,
        run_clock: RunClock | None = None,
    ) -> None:
        self._schedule = schedule
        self._seed = seed
        self._fleet = fleet
        self._clocks = clocks
        self._services = services
        self._on_fault = on_fault
        self._run_clock = run_clock or LoopClock()
        self._suspended: dict[str, int] = {}  # how many faults keep a vehicle's SIM suspended
        self._off: set[str] = set()

    async def run(self) -> None:
        """Until the last fault is over, or cancelled; what still lasts then is put right at once.

        Raises:
            Exception: what a fault of the simulator itself raises.
        """
        began = self._run_clock.time()
        async with asyncio.TaskGroup() as group:
            for occurrence in occurrences(self._schedule, self._seed):
                await self._sleep_until(began + occurrence.at_s)
                for hit in hits(occurrence, self._regions(), self._services.brokers):
                    group.create_task(self._carry_out(hit, occurrence, began))

    async def _sleep_until(self, when: float) -> None:
        await self._run_clock.sleep(max(0.0, when - self._run_clock.time()))

    def _regions(self) -> dict[str, str | None]:
        """Where each unit is that was started, those that are off now among them."""
        return {
            vehicle: unit.region
            for vehicle, unit in self._fleet.units.items()
            if self._fleet.runs(vehicle) or vehicle in self._off
        }

    async def _carry_out(self, hit: Hit, occurrence: Occurrence, began: float) -> None:
        await self._sleep_until(began + hit.at_s)
        fault, subject = hit.fault, hit.subject
        try:
            if fault.what in OF_BROKERS | OF_THE_DATABASE:
                await self._hit_service(fault, subject)
            elif self._fleet.runs(subject):
                await self._hit_unit(fault, subject, occurrence)
            else:
                log.info("fault passed over: the unit is off", what=fault.what, vehicle=subject)
        except FleetcellError as error:
            log.warning("fault did not happen", what=fault.what, to=subject, reason=str(error))

    # -- services -----------------------------------------------------------------------------------

    async def _hit_service(self, fault: Fault, service: str) -> None:
        if fault.what in AT_ONCE:
            self._services.kill(service)
            self._tell(fault, service)
            return
        stopped = self._services.stop(service)
        self._tell(fault, service)
        try:
            await self._run_clock.sleep(fault.lasts_s)
        finally:
            self._services.go_on(stopped)
            self._tell(fault, service, over=True)

    # -- units --------------------------------------------------------------------------------------

    async def _hit_unit(self, fault: Fault, vehicle: str, occurrence: Occurrence) -> None:
        unit = self._fleet.units[vehicle]
        if fault.what in (What.KILL, What.POWER_LOSS):
            place = (seed_of(vehicle), occurrence.number)
            await self._switch_off(fault, vehicle, uniform(occurrence.seed, 2, *place))
            return
        self._begin(fault, unit)
        self._tell(fault, vehicle)
        if fault.what in AT_ONCE:
            return
        try:
            await self._run_clock.sleep(fault.lasts_s)
        finally:
            self._end(fault, vehicle)
            self._tell(fault, vehicle, over=True)

    def _begin(self, fault: Fault, unit: VehicleUnit) -> None:
        modem = unit.modem
        match fault.what:
            case What.RECONNECT_STORM:
                unit.drop()
            case What.CLOCK_JUMP:
                assert fault.clock is not None
                self._clocks.jump(unit.vehicle, fault, fault.clock, _now_ms())
            case What.BLACK_HOLE if modem is not None:
                modem.pump.black_hole(fault.lasts_s)
            case What.RESET if modem is not None:
                modem.pump.reset()
            case What.SIM_SUSPENDED if modem is not None:
                self._suspended[unit.vehicle] = self._suspended.get(unit.vehicle, 0) + 1
                modem.pump.suspend_sim()
            case _:
                raise AssertionError(f"{fault.what} needs a link, and a schedule with it gives one")

    def _end(self, fault: Fault, vehicle: str) -> None:
        match fault.what:
            case What.CLOCK_JUMP:
                self._clocks.set_right(vehicle, fault)
            case What.SIM_SUSPENDED:
                self._suspended[vehicle] -= 1
                modem = self._fleet.units[vehicle].modem
                if modem is not None and not self._suspended[vehicle]:
                    modem.pump.resume_sim()
            case _:
                pass  # a black hole ends by itself

    async def _switch_off(self, fault: Fault, vehicle: str, torn_share: float) -> None:
        """End a unit without a word, and power it up again later."""
        unit = self._fleet.units[vehicle]
        self._off.add(vehicle)
        detail = ""
        if fault.what is What.POWER_LOSS and unit.modem is not None:
            unit.modem.pump.power_off()
        ending = asyncio.ensure_future(self._fleet.cut_off(vehicle))
        try:
            await asyncio.shield(ending)
            if fault.what is What.POWER_LOSS:
                detail = tear(unit.spool.directory, torn_share)
            self._tell(fault, vehicle, detail=detail)
            await self._run_clock.sleep(fault.lasts_s)
        finally:
            if not ending.done():  # the run ends just now
                await ending
            self._off.discard(vehicle)
            self._fleet.power_up(vehicle)
            self._tell(fault, vehicle, over=True)

    def _tell(self, fault: Fault, subject: str, *, over: bool = False, detail: str = "") -> None:
        log.info("fault over" if over else "fault", what=fault.what, to=subject, detail=detail or None)
        self._on_fault(Happened(fault.what, subject, time.time(), over, detail))


def _now_ms() -> int:
    return int(time.time() * 1000)
