"""All units of one run: their spools and accounts, starting them, draining them, and a clean stop."""

from __future__ import annotations

import asyncio
import random
import resource
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.ledger import from_numbers
from vehicle_sim import collector
from vehicle_sim.epoch import UnitInUseError
from vehicle_sim.links.transport import Modem
from vehicle_sim.provisioning import ProvisioningError
from vehicle_sim.session import VehicleUnit
from vehicle_sim.spool import Spool, SpoolError
from vehicle_sim.tally import Tally
from vehicle_sim.tasks import in_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from vehicle_sim.gateway_link import LinkOptions
    from vehicle_sim.links import Links
    from vehicle_sim.truth.recorder import Recorder

log = structlog.get_logger()

_FILES_PER_UNIT: Final = 3  # a connection, the current boot, and one now and then: epoch, commands
_REFUSED_AFTER_S: Final = 8.0  # a new account takes a moment to reach the broker
_WATCH_S: Final = 1.0
_WATCH_PER_UNIT_S: Final = 0.00025  # looking at 20,000 each second would take a tenth of the time
_NEARLY_ALL: Final = 0.98  # some wake just now
_MANY_UNITS: Final = 200  # from here on the collector's work shows
STOP_S: Final = 5.0  # for a clean stop of all units together


class Secrets(Protocol):
    """Where the units' secrets come from: `Accounts`, as a rule."""

    async def provision(self, vehicles: Sequence[str], *, rotate: bool = False) -> dict[str, str]:
        """The secret of each vehicle that may connect; `rotate`: new ones. Raises ProvisioningError."""


class Fleet:
    """The units of one run.

    Args:
        directory: `<data>/sim/units`; each unit has a folder in it.
        accounts: where their secrets come from.
        link: how they reach the platform.
        seed: of everything random but boots.
        rate_hz: how often the units make readings, until commands change it; None: they are recordings.
        cellular: the links that the units are on; None: the network of this machine.
        truth: records what the units really do, for the score.
    """

    def __init__(
        self,
        directory: Path,
        accounts: Secrets,
        link: LinkOptions,
        seed: int,
        rate_hz: float | None = None,
        cellular: Links | None = None,
        truth: Recorder | None = None,
    ) -> None:
        self.tally = Tally()
        self.units: dict[str, VehicleUnit] = {}
        self._directory = directory
        self._accounts = accounts
        self._link = link
        self._seed = seed
        self._rate_hz = rate_hz
        self._cellular = cellular
        self.truth = truth
        self._secrets: dict[str, str] = {}
        # One for all units: each would be 2.5 KiB, and who waits how long depends on the real time anyway.
        self._jitter = random.Random(f"{seed}:link")  # noqa: S311 - no secret
        self._spools: dict[str, Spool] = {}
        self._resent_before = 0  # by them
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._started: dict[str, float] = {}
        self._renewed: set[str] = set()
        self._failed: asyncio.Future[None] | None = None
        self._told: set[str] = set()  # reasons of refused readings

    # -- setting up -------------------------------------------------------------------------------

    def claim_all(self, vehicles: Sequence[str]) -> None:
        """Power up these units.

        Raises:
            UnitInUseError: one of them is driven by another simulator.
        """
        allow_open_files(len(vehicles) * _FILES_PER_UNIT)
        for vehicle in vehicles:
            try:
                self._open_spool(vehicle)
            except UnitInUseError:
                raise UnitInUseError(
                    f"another simulator drives {vehicle} on this data directory; stop it first"
                ) from None

    def claim_free(self, vehicles: Iterable[str], count: int) -> None:
        """Power up the first `count` of these units that no other simulator drives."""
        allow_open_files(count * _FILES_PER_UNIT)
        for vehicle in vehicles:
            if len(self._spools) == count:
                break
            try:
                self._open_spool(vehicle)
            except UnitInUseError:
                log.info("unit is driven by another simulator, taking the next", vehicle=vehicle)

    def _open_spool(self, vehicle: str) -> None:
        spool = Spool(self._directory / vehicle)
        spool.open()
        self._spools[vehicle] = spool

    async def provision(self) -> None:
        """Have an account for each unit that was claimed; those that an operator revoked are left out.

        Raises:
            ProvisioningError: see `Secrets.provision`; or none of them may connect.
        """
        secrets = await self._accounts.provision(list(self._spools))
        for vehicle in [vehicle for vehicle in self._spools if vehicle not in secrets]:
            log.error("vehicle was revoked on the platform, it is left out", vehicle=vehicle)
            self._spools.pop(vehicle).close()
        if not self._spools:
            raise ProvisioningError("every one of the vehicles was revoked on the platform")
        self._secrets = secrets
        for vehicle, spool in self._spools.items():
            # Nobody asks what became of a unit's link: kept, it would grow to 200 KiB in some hours.
            modem = None if self._cellular is None else Modem(self._cellular.make(vehicle, kept_events=0))
            self.units[vehicle] = self._unit(vehicle, spool, modem)
            self.tally.backlog += spool.pending_count

    def _unit(self, vehicle: str, spool: Spool, modem: Modem | None) -> VehicleUnit:
        link, secret, witness = replace(self._link, modem=modem), self._secrets[vehicle], None
        if self.truth is not None:
            link = replace(link, meter=self.truth.meter)
            witness = self.truth.witness(vehicle, spool, modem)
        return VehicleUnit(vehicle, secret, spool, link, self.tally, self._jitter, self._rate_hz, witness)

    def release(self) -> None:
        """Give up the units that were never started."""
        for vehicle, spool in self._spools.items():
            if vehicle not in self._tasks:
                spool.close()

    # -- running ----------------------------------------------------------------------------------

    def start(self, vehicle: str) -> VehicleUnit:
        """Let a unit connect."""
        unit = self.units[vehicle]
        self._tasks[vehicle] = asyncio.create_task(unit.run(), name=f"unit {vehicle}")
        self._tasks[vehicle].add_done_callback(self._ended)
        self._started[vehicle] = asyncio.get_running_loop().time()
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_after_units())
        return unit

    async def finish(self, vehicle: str) -> None:
        """Stop one unit cleanly and wait until it is gone."""
        self.units[vehicle].stop()
        await self._tasks[vehicle]

    async def cut_off(self, vehicle: str) -> None:
        """End a unit as a crash does: no detach, and its spool stays on the disk as it is."""
        unit, task = self.units[vehicle], self._tasks[vehicle]
        if unit.modem is not None:
            unit.modem.pump.orphan()
        task.cancel()
        await asyncio.wait((task,))
        unit.spool.close()

    def power_up(self, vehicle: str) -> None:
        """Start a unit again that was cut off, on what its spool holds."""
        before = self.units[vehicle]
        self._resent_before += before.resent
        self._open_spool(vehicle)
        spool = self._spools[vehicle]
        unit = self._unit(vehicle, spool, before.modem)
        self.units[vehicle] = unit
        self.start(vehicle)
        for old in before.spool.boots:
            kept = spool.get(old.boot)
            held, holds = set(old.pending), set() if kept is None else set(kept.pending)
            self.tally.torn += len(held - holds)
            if self.truth is not None and held - holds:
                self.truth.tore(vehicle, old.boot, from_numbers(held - holds))
            self.tally.acked -= len(holds - held)  # the note of it was torn: they wait once more

    def runs(self, vehicle: str) -> bool:
        """Whether its unit was started and has not ended."""
        return vehicle in self._tasks and not self._tasks[vehicle].done()

    @property
    def started(self) -> int:
        """How many units were started."""
        return len(self._tasks)

    @property
    def registered(self) -> int:
        """How many units the register shows online."""
        return sum(unit.registered for unit in self.units.values())

    @property
    def asleep(self) -> int:
        """How many units sleep."""
        return sum(unit.asleep for unit in self.units.values())

    @property
    def resent(self) -> int:
        """Readings sent more than once, each time counted."""
        return self._resent_before + sum(unit.resent for unit in self.units.values())

    @property
    def failed(self) -> asyncio.Future[None]:
        """Raises what ended a unit that should still run: a fault in the simulator."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    def record(
        self,
        unit: VehicleUnit,
        time_ms: int,
        signals: Mapping[str, object],
        measured_at: float | None = None,
    ) -> None:
        """Have a unit keep a reading; one that its spool cannot take is counted, and told once a reason."""
        try:
            unit.record(time_ms, signals, measured_at)
        except SpoolError as error:
            self._refused(unit, error)

    def report(
        self,
        unit: VehicleUnit,
        time_ms: int,
        kind: str,
        data: Mapping[str, object],
        happened_at: float | None = None,
    ) -> None:
        """Have a unit keep an event; one that its spool cannot take is counted and told in the same way."""
        try:
            unit.report(time_ms, kind, data, happened_at)
        except SpoolError as error:
            self._refused(unit, error)

    def _refused(self, unit: VehicleUnit, error: SpoolError) -> None:
        self.tally.refused += 1
        if (reason := str(error)) not in self._told:
            self._told.add(reason)
            log.error("reading refused", vehicle=unit.vehicle, reason=reason)

    def problems(self) -> dict[str, int]:
        """Why units with unacknowledged readings cannot deliver, with how many each, the most first."""
        found: Counter[str] = Counter()
        for vehicle in self._tasks:
            unit = self.units[vehicle]
            if unit.spool.pending_count:
                found[unit.connection_problem or "connected, but the gateway acknowledges nothing"] += 1
        return dict(found.most_common())

    def link_note(self) -> str:
        """How many units hear no cell, how many have no connection and why most; empty when all is well."""
        modems = (self.units[vehicle].modem for vehicle in self._tasks)
        uncovered = sum(modem is not None and not modem.link.covered for modem in modems)
        note = f"  {uncovered} without coverage" if uncovered else ""
        found = Counter(why for vehicle in self._tasks if (why := self.units[vehicle].connection_problem))
        if not found:
            return note
        return f"{note}  {found.total()} without a connection: {found.most_common(1)[0][0]}"

    async def drain(self, within_s: float) -> bool:
        """Wait until every reading of the started units is acknowledged; False when it took too long.

        Units that sleep on unsent readings are woken for it.
        """
        for vehicle in self._tasks:
            if self.units[vehicle].spool.pending_count:
                self.units[vehicle].wake()
        waiting = [self.units[vehicle].drained() for vehicle in self._tasks]
        return await in_time(asyncio.gather(*waiting), within_s)

    async def stop(self) -> None:
        """Detach all units, wait a bounded while, and drop those that are still there."""
        if self._watch is not None:
            self._watch.cancel()
        for vehicle, task in self._tasks.items():
            if not task.done():
                self.units[vehicle].stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for unit in self.units.values():
            if unit.modem is not None:
                unit.modem.close()
        if self._failed is not None:
            self._failed.cancel()
        self.release()

    async def _look_after_units(self) -> None:
        many = len(self.units) >= _MANY_UNITS
        if many:
            collector.look_seldom()
        while True:
            await asyncio.sleep(max(_WATCH_S, _WATCH_PER_UNIT_S * len(self.units)))
            await self._renew_refused()
            if many and self.registered + self.asleep > _NEARLY_ALL * len(self.units):
                collector.keep_what_is_there()
                many = False

    async def _renew_refused(self) -> None:
        """Give new secrets to units that the broker never let in: theirs was rotated elsewhere."""
        late = asyncio.get_running_loop().time() - _REFUSED_AFTER_S
        refused = [
            vehicle
            for vehicle, unit in self.units.items()
            if unit.refused and vehicle not in self._renewed and self._started.get(vehicle, late) < late
        ]
        if not refused:
            return
        self._renewed |= set(refused)
        log.info("the broker refuses kept secrets, taking new ones", vehicles=len(refused))
        try:
            for vehicle, secret in (await self._accounts.provision(refused, rotate=True)).items():
                self._secrets[vehicle] = secret
                self.units[vehicle].use_secret(secret)
        except FleetcellError as error:
            log.warning("no new secrets", reason=str(error))


def allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files as far as it is needed and the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted += 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        if limit < wanted:
            log.warning(
                "few open files allowed (ulimit -Hn), some units may not connect",
                allowed=limit,
                wanted=wanted,
            )
