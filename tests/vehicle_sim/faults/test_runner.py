"""Faults carried out on real units, links and spools, against our broker."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from fleetcell.contract import ledger
from fleetcell.contract.presence import Reason
from vehicle_sim.app import RunOptions, run_simulation
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.faults.clocks import Clocks
from vehicle_sim.faults.runner import FaultRunner
from vehicle_sim.faults.schedule import (
    ClockJump,
    Fault,
    Happened,
    Schedule,
    What,
    When,
    Who,
    hits,
    occurrences,
)
from vehicle_sim.faults.services import Services
from vehicle_sim.fleet import Fleet
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.links import load
from vehicle_sim.links.air import Change
from vehicle_sim.provisioning import Accounts, find_platform
from vehicle_sim.truth.recorder import Recorder
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping
    from pathlib import Path

    from fleetcell.contract.ledger import Ranges
    from tests.vehicle_sim.small_platform import SmallPlatform
    from vehicle_sim.faults.runner import RunClock

SIGNALS = {"lat": 60.17, "lon": 24.94, "speed": 31.5, "ignition": True}
NOON_MS = 1_780_000_000_000
NOW = When((0.0,))
SEED = 5


class Dial:
    """A clock that the test sets: what comes first does not depend on how quick the machine is."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if not seconds:
            await asyncio.sleep(0)
            return
        due = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), due))
        await due

    def set(self, now: float) -> None:
        """It is so late: wake whose time has come, in the order of time."""
        self._now = now
        while self._sleepers and self._sleepers[0][0] <= now:
            _, _, due = heapq.heappop(self._sleepers)
            if not due.done():  # its task was cancelled
                due.set_result(None)


class World:
    """Units on links of their own, and what faults did to them."""

    def __init__(self, platform: SmallPlatform, fleet: Fleet) -> None:
        self.platform = platform
        self.fleet = fleet
        self.clocks = Clocks()
        self.services = Services(platform.layout, "http://elsewhere")
        self.happened: list[Happened] = []
        self.changed = asyncio.Event()

    def note(self, what: Happened) -> None:
        self.happened.append(what)
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after each fault."""
        async with asyncio.timeout(60):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    @contextlib.asynccontextmanager
    async def having(
        self, *faults: Fault, run_clock: RunClock | None = None
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Faults that happen while the block runs; ended with it."""
        runner = FaultRunner(
            Schedule(faults),
            SEED,
            self.fleet,
            self.clocks,
            self.services,
            on_fault=self.note,
            run_clock=run_clock,
        )
        task = asyncio.create_task(runner.run())
        await asyncio.sleep(0)  # it has begun
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait((task,))
        if not task.cancelled():
            task.result()

    async def online(self) -> None:
        """All units are registered."""
        for unit in self.fleet.units.values():
            await unit.wait_registered()

    def make(self, vehicle: str, count: int) -> None:
        for number in range(count):
            self.fleet.record(self.fleet.units[vehicle], NOON_MS + 1000 * number, SIGNALS)

    def torn(self, vehicle: str, boot: str) -> Ranges:
        """What the truth says was torn."""
        truth, unit = self.fleet.truth, self.fleet.units[vehicle]
        assert truth is not None
        return truth.witness(vehicle, unit.spool, unit.modem).boots[boot].torn

    def state(self, vehicle: str) -> tuple[str, str]:
        return self.platform.gateway.state(vehicle)


@pytest.fixture
async def world(platform: SmallPlatform, tmp_path: Path) -> AsyncIterator[World]:
    found = find_platform(platform.layout.root)
    link = LinkOptions(
        found.broker_url,
        found.region,
        presence=PresencePolicy(claim_retry_first_s=0.2, keep_alive_s=1),
        delivery=DeliveryPolicy(window_s=0.02, retry_first_s=0.5),
    )
    accounts = Accounts(tmp_path / "units.json", found)
    truth = Recorder(tmp_path / "truth", found, link.presence, kind="run", link="perfect", seed=1)
    fleet = Fleet(tmp_path / "units", accounts, link, 1, 1.0, load("perfect", 1), truth)
    fleet.claim_all(["car-0001", "van-0002"])
    await fleet.provision()
    made = World(platform, fleet)
    for vehicle in fleet.units:
        fleet.start(vehicle)
    await made.online()
    try:
        yield made
    finally:
        await fleet.stop()


def of_the_car(what: What, lasts_s: float = 0.0, clock: ClockJump | None = None) -> Fault:
    return Fault(what, NOW, Who(("car-*",)), lasts_s, clock)


def said_of_faults(logs: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    """What was said of which unit or service, in order."""
    return [(line["event"], line["to" if "to" in line else "vehicle"]) for line in logs if "what" in line]


async def test_a_killed_unit_says_nothing_and_comes_back_with_a_new_boot(world: World) -> None:
    gateway = world.platform.gateway
    boot = world.fleet.units["car-0001"].spool.current.boot
    world.make("car-0001", 3)
    async with world.having(of_the_car(What.KILL, 3600.0)):
        await gateway.until(lambda: world.state("car-0001")[0] == "suspect")
        await world.until(lambda: bool(world.happened))
        assert not world.fleet.runs("car-0001")
        assert world.fleet.runs("van-0002")
    await world.fleet.units["car-0001"].wait_registered()  # the end of the faults switched it on again
    await world.fleet.units["car-0001"].drained()
    assert world.fleet.units["car-0001"].spool.current.boot != boot
    assert world.state("van-0002") == ("online", "attach")
    assert gateway.stored("car-0001") == 3
    assert world.fleet.tally.torn == 0
    assert [(what.what, what.subject, what.over) for what in world.happened] == [
        ("kill", "car-0001", False),
        ("kill", "car-0001", True),
    ]


async def test_a_power_loss_tears_the_last_write_and_the_broker_hears_nothing(world: World) -> None:
    gateway, unit = world.platform.gateway, world.fleet.units["car-0001"]
    gateway.deaf = True
    boot = unit.spool.current.boot
    world.make("car-0001", 5)
    async with world.having(of_the_car(What.POWER_LOSS, 3600.0)):
        await world.until(lambda: bool(world.happened))
        assert "bytes are left" in world.happened[0].detail
        gateway.deaf = False
    assert world.fleet.tally.torn == 1
    assert world.torn("car-0001", boot) == ((5, 5),)
    await world.fleet.units["car-0001"].wait_registered()
    await world.fleet.units["car-0001"].drained()
    assert set(gateway.readings[("car-0001", boot)]) == {1, 2, 3, 4}
    assert world.fleet.tally.pending == 0


async def test_a_boot_whose_only_reading_is_torn_vanishes_and_the_truth_knows_it(world: World) -> None:
    world.platform.gateway.deaf = True
    boot = world.fleet.units["car-0001"].spool.current.boot
    world.make("car-0001", 1)
    async with world.having(of_the_car(What.POWER_LOSS, 0.01)):
        await world.until(lambda: len(world.happened) == 2)
    assert world.fleet.units["car-0001"].spool.get(boot) is None
    assert world.torn("car-0001", boot) == ((1, 1),)
    assert world.fleet.tally.pending == 0


async def test_of_a_power_loss_the_broker_learns_by_the_keep_alive(world: World) -> None:
    gateway = world.platform.gateway
    async with world.having(of_the_car(What.POWER_LOSS, 3600.0)):
        await world.until(lambda: bool(world.happened))
        wills = [claim for vehicle, claim in gateway.claims if vehicle == "car-0001" and claim.n is None]
        assert wills == []  # a killed process is told by its system at once
        await gateway.until(lambda: world.state("car-0001") == ("suspect", Reason.LOST))


async def test_readings_that_an_acknowledgement_had_settled_are_sent_once_more(world: World) -> None:
    """The torn write was the note of it. The ledger of the gateway sees to it that they are stored once."""
    gateway = world.platform.gateway
    world.make("car-0001", 1)
    await world.fleet.units["car-0001"].drained()
    assert gateway.stored("car-0001") == 1
    async with world.having(of_the_car(What.POWER_LOSS, 0.01)):
        await world.until(lambda: len(world.happened) == 2)
    assert world.fleet.tally.pending == 1
    await world.fleet.units["car-0001"].drained()
    assert sum(count for (name, _, _), count in gateway.received.items() if name == "car-0001") == 2
    assert world.fleet.tally.pending == 0
    assert world.fleet.tally.torn == 0


async def test_in_a_black_hole_readings_wait_and_arrive_after_it(world: World) -> None:
    gateway, link = world.platform.gateway, world.fleet.units["car-0001"].modem
    assert link is not None
    async with world.having(of_the_car(What.BLACK_HOLE, 0.3)):
        await world.until(lambda: bool(world.happened))
        world.make("car-0001", 4)
        await world.fleet.units["car-0001"].drained()
    assert gateway.stored("car-0001") == 4
    assert link.link.vanished_bytes > 0
    assert link.link.changes[Change.BLACK_HOLE] == 1


async def test_a_reset_ends_the_session_and_the_unit_takes_another(world: World) -> None:
    epoch = world.fleet.units["car-0001"].epoch
    async with world.having(of_the_car(What.RESET)):
        await world.platform.gateway.until(
            lambda: world.platform.gateway.registrations["car-0001"].epoch > epoch
        )
    assert world.fleet.units["van-0002"].registered


async def test_a_sim_is_suspended_until_the_last_fault_of_it_is_over(world: World) -> None:
    modem, dial = world.fleet.units["car-0001"].modem, Dial()
    assert modem is not None
    changes = modem.link.changes
    one, longer = of_the_car(What.SIM_SUSPENDED, 10.0), of_the_car(What.SIM_SUSPENDED, 20.0)
    async with world.having(one, longer, run_clock=dial):
        await world.until(lambda: len(world.happened) == 2)
        assert changes[Change.SIM_SUSPENDED] == 1
        dial.set(10.0)
        await world.until(lambda: len(world.happened) == 3)
        assert changes[Change.RESUMED] == 0
        world.make("car-0001", 2)
        dial.set(20.0)
        await world.until(lambda: len(world.happened) == 4)
        assert changes[Change.SIM_SUSPENDED] == changes[Change.RESUMED] == 1
    assert [what.over for what in world.happened] == [False, False, True, True]
    await world.fleet.units["car-0001"].drained()
    assert world.platform.gateway.stored("car-0001") == 2


async def test_a_clock_jumps_and_is_set_right(world: World) -> None:
    jump = ClockJump(to="1970")
    async with world.having(of_the_car(What.CLOCK_JUMP, 3600.0, jump)):
        await world.until(lambda: bool(world.happened))
        shown = world.clocks.dated("car-0001", NOON_MS, int(world.happened[0].at * 1000) + 5000)
        assert 4000 <= shown <= 6000
        assert world.clocks.dated("van-0002", NOON_MS, NOON_MS) == NOON_MS
    assert world.clocks.dated("car-0001", NOON_MS, NOON_MS) == NOON_MS


async def test_in_a_storm_all_lose_their_sessions_and_come_back(world: World) -> None:
    gateway = world.platform.gateway
    before = {vehicle: unit.epoch for vehicle, unit in world.fleet.units.items()}
    async with world.having(Fault(What.RECONNECT_STORM, NOW)):
        await gateway.until(
            lambda: all(gateway.registrations[vehicle].epoch > epoch for vehicle, epoch in before.items())
        )
    assert len(world.happened) == 2


async def test_a_unit_that_is_off_is_passed_over_and_what_does_not_run_too(world: World) -> None:
    later = Fault(What.KILL, When((5.0,)), Who(("car-*",)), 3600.0)
    nothing = Fault(What.BROKER_KILL, When((6.0,)))
    storm = Fault(What.RECONNECT_STORM, When((10.0,)), Who(("van-*",)))
    world.services.brokers["here"] = "broker"
    dial = Dial()
    with structlog.testing.capture_logs() as logs:
        async with world.having(of_the_car(What.KILL, 3600.0), later, nothing, storm, run_clock=dial):
            await world.until(lambda: len(world.happened) == 1)
            dial.set(10.0)
            await world.until(lambda: len(world.happened) == 2)
    assert [(what.what, what.over) for what in world.happened] == [
        ("kill", False),
        ("reconnect-storm", False),
        ("kill", True),
    ]
    assert said_of_faults(logs) == [
        ("fault", "car-0001"),
        ("fault passed over: the unit is off", "car-0001"),
        ("fault did not happen", "broker"),
        ("fault", "van-0002"),
        ("fault over", "car-0001"),
    ]


async def test_who_is_off_is_drawn_all_the_same_so_that_nobody_is_hit_in_its_place(world: World) -> None:
    storms = Fault(What.RECONNECT_STORM, When(tuple(map(float, range(1, 9)))), Who(share=0.5))
    last = Fault(What.RECONNECT_STORM, When((9.0,)), Who(("van-*",)))
    units = dict.fromkeys(world.fleet.units)
    drawn = [
        hit.subject
        for occurrence in occurrences(Schedule((storms,)), SEED)
        for hit in hits(occurrence, units, {})
    ]
    assert set(drawn) == set(units), "with this seed each of them is drawn, one at a time"
    assert len(drawn) == 8
    dial = Dial()
    with structlog.testing.capture_logs() as logs:
        async with world.having(of_the_car(What.KILL, 3600.0), storms, last, run_clock=dial):
            await world.until(lambda: len(world.happened) == 1)
            dial.set(9.0)
            await world.until(lambda: len(world.happened) == drawn.count("van-0002") + 2)
    off, on = "fault passed over: the unit is off", "fault"
    during = [(off if vehicle == "car-0001" else on, vehicle) for vehicle in drawn]
    assert said_of_faults(logs)[1:-1] == [*during, (on, "van-0002")]


async def test_a_unit_that_ended_by_itself_is_drawn_no_more(world: World) -> None:
    """Also where a fault had switched it off before: that is over."""
    storms = Fault(What.RECONNECT_STORM, When(tuple(map(float, range(10, 18)))), Who(share=0.5))
    dial = Dial()
    async with world.having(of_the_car(What.KILL, 1.0), storms, run_clock=dial):
        await world.until(lambda: len(world.happened) == 1)
        dial.set(1.0)
        await world.until(lambda: len(world.happened) == 2)
        await world.online()
        await world.fleet.cut_off("car-0001")
        dial.set(17.0)
        await world.until(lambda: len(world.happened) == 10)
    assert {what.subject for what in world.happened[2:]} == {"van-0002"}


async def test_where_units_are_counts_and_so_does_where_they_are_not(world: World) -> None:
    here, elsewhere = Who(region=world.platform.region), Who(region="elsewhere")
    dial = Dial()
    with structlog.testing.capture_logs() as logs:
        async with world.having(
            Fault(What.RECONNECT_STORM, When((1.0,)), elsewhere),
            Fault(What.RECONNECT_STORM, When((2.0,)), here),
            run_clock=dial,
        ):
            dial.set(2.0)
            await world.until(lambda: len(world.happened) == 2)
    assert sorted(said_of_faults(logs)) == [("fault", "car-0001"), ("fault", "van-0002")]


async def test_a_run_with_faults_delivers_everything(platform: SmallPlatform, tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "faults:\n"
        "  - {what: kill, at: 500 ms, for: 300 ms, who: {share: 0.5}}\n"
        "  - {what: reset, every: 1 s, jitter: 200 ms}\n"
        "  - {what: clock-jump, by: -2 h, at: 500 ms, for: 1 h, who: {vehicles: taxi-0001}}\n"
    )
    options = RunOptions(platform.layout.root, vehicles=6, rate_hz=5, duration_s=3, seed=4, faults=file)
    score = await run_simulation(options)
    assert score.complete
    assert score.made > 30
    readings = platform.gateway.readings
    dates: dict[str, list[float]] = {}
    for (vehicle, _), found in readings.items():
        dates.setdefault(vehicle, []).extend(float(sample.ts) for sample in found.values())
    of_the_taxi = dates.pop("taxi-0001")
    now_ms = max(max(found) for found in dates.values())
    wrong = [date for date in of_the_taxi if date < now_ms - 7_140_000]
    assert len(wrong) > 5
    assert min(wrong) > now_ms - 7_260_000
    for (vehicle, boot), found in readings.items():
        assert not ledger.gaps(ledger.from_numbers(found), max(found)), (vehicle, boot)
