"""Hypothesis drives the world of presence and commands; every step is judged."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from fleetcell.contract.commands import CommandState
from ingest.database import connect
from tests.ingest.presence_commands import NAMES, CommandJudge
from tests.ingest.presence_parts import Car, Mode
from tests.ingest.presence_truth import Judge
from tests.ingest.presence_world import World
from tests.ingest.units import provision

if TYPE_CHECKING:
    from ingest.database import Connection

CARS = 4
STEPS = 50  # of one world
T = TypeVar("T")
INDEX = st.integers(0, CARS - 1)
REGION = st.integers(0, 1)
OUTAGES = (0.5, 3.0, 20.0, 100.0, 400.0)
OUTAGE = st.sampled_from(OUTAGES)
LATER = st.sampled_from([0.0, 0.25, 1.0, 1.0, 4.0, 4.0, 11.0, 16.0, 35.0, 80.0])
TTL = st.sampled_from([0.5, 3.0, 15.0, 60.0, 300.0, 1000.0])
STATE = "SELECT state FROM fleet.command WHERE id = $1"
_numbers = itertools.count(1)


def happening(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule after which a drawn time passes."""

    def decorate(act: Callable[..., None]) -> Any:
        def act_and_wait(self: PresenceMachine, later: float, **values: Any) -> None:
            act(self, **values)
            self.run(self.world.advance(later))

        act_and_wait.__name__ = act.__name__
        strategies: dict[str, Any] = {"later": LATER, **drawn}
        decorated: Callable[..., Any] = rule(**strategies)
        return decorated(act_and_wait)

    return decorate


class PresenceMachine(RuleBasedStateMachine):
    """One world after the other, on one database."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    connection: ClassVar[Connection]
    disks: ClassVar[Path]
    steps: ClassVar[int] = 0
    sound = True  # no fault so far

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        number = next(_numbers)
        names = [f"car-{number}-{index}" for index in range(CARS)]
        ids = self.run(provision(self.connection, *names))
        self.regions = [f"north-{number}", f"south-{number}"]
        folder = self.disks / str(number)
        folder.mkdir()
        self.world = World(self.connection, ids, self.regions, seed, folder)
        self.judge = Judge(self.world)
        self.commands_judge = CommandJudge(self.world)
        self.run(self.world.advance(2.0))
        for index, car in enumerate(self.world.cars):
            self.world.connect(car, self.regions[index % 2])

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def car(self, index: int, *modes: Mode) -> Car | None:
        """This vehicle, if it is in one of the modes; else another one that is."""
        cars = self.world.cars[index:] + self.world.cars[:index]
        return next((car for car in cars if car.mode in modes), None)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if self.sound:
                ids = [car.vehicle_id for car in self.world.cars]
                found = [
                    *self.run(self.judge.history_faults(ids)),
                    *self.run(self.calm_faults()),
                    *self.run(self.commands_judge.history_faults()),
                ]
                assert not found, "\n".join(found)
        finally:
            self.world.traffic.close()

    @invariant()
    def the_register_tells_the_truth(self) -> None:
        if hasattr(self, "world"):
            type(self).steps += 1
            found = self.run(self.faults())
            self.sound = not found
            assert not found, "\n".join(found)

    async def faults(self) -> list[str]:
        registrations = await self.world.registrations()
        return [
            *self.judge.faults(registrations),
            *await self.commands_judge.faults(registrations),
        ]

    async def calm_faults(self) -> list[str]:
        """When all is up again: every vehicle has a command, and answers it."""
        world = self.world
        await world.advance(max(OUTAGES))
        for car in world.cars:
            car.wrong_clock = timedelta()
            if car.mode is Mode.LIVE:
                world.lose(car)
            world.connect(car, self.regions[0])
        await world.advance(120.0)
        world.unanswered_in = world.rng.randrange(5)
        last = [await world.traffic.queue(car, "ping", 200.0) for car in world.cars]
        await world.advance(190.0)
        found = await self.faults()
        for ticket in last:
            assert ticket is not None
            if ticket.car.mode is not Mode.LIVE or ticket.car.since > ticket.queued_at:
                continue  # an earlier command sent it to sleep, or restarted it
            state = await self.connection.fetchval(STATE, ticket.id)
            if state != CommandState.SUCCEEDED:
                found.append(f"all is well, and a command is not done: {state} {ticket}")
        return found

    @rule(seconds=st.sampled_from([5.0, 12.0, 80.0, 130.0, 330.0, 700.0]))
    def quiet(self, seconds: float) -> None:
        self.run(self.world.advance(seconds))

    # -- units ----------------------------------------------------------------------------------------

    @happening(index=INDEX, region=REGION)
    def attach(self, index: int, region: int) -> None:
        if car := self.car(index, Mode.AWAY, Mode.OFF, Mode.SLEEPING):  # from sleep: it wakes early
            self.world.connect(car, self.regions[region])

    @happening(index=INDEX, silent=st.booleans())
    def kill(self, index: int, silent: bool) -> None:
        if car := self.car(index, Mode.LIVE):
            self.world.lose(car, silent=silent)

    @happening(index=INDEX, silent=st.booleans(), within=st.sampled_from([0.1, 1.0, 5.0]))
    def reset(self, index: int, silent: bool, within: float) -> None:
        if car := self.car(index, Mode.LIVE):
            self.world.lose(car, silent=silent, back_within_s=within)

    @happening(index=INDEX)
    def hang(self, index: int) -> None:
        if car := self.car(index, Mode.LIVE):
            self.world.hang(car)

    @happening(index=INDEX)
    def detach(self, index: int) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.detach(car)

    @happening(
        index=INDEX,
        seconds=st.sampled_from([1.0, 30.0, 200.0, 600.0]),
        wakes=st.booleans(),
        lost=st.booleans(),
    )
    def sleep(self, index: int, seconds: float, wakes: bool, lost: bool) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.sleep(car, seconds, wakes=wakes, lost=lost)

    @happening(index=INDEX, region=REGION)
    def handover(self, index: int, region: int) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.handover(car, self.regions[region])

    @happening(index=INDEX, seconds=st.sampled_from([5.0, 20.0, 60.0, 300.0]))
    def set_interval(self, index: int, seconds: float) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.set_interval(car, seconds)

    @happening(index=INDEX, epochs_ago=st.integers(0, 2))
    def telemetry(self, index: int, epochs_ago: int) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.telemetry(car, epochs_ago)

    @happening(index=INDEX, days=st.sampled_from([-20000, -1, 0, 1, 20000]))
    def clock_jump(self, index: int, days: int) -> None:
        self.world.cars[index].wrong_clock = timedelta(days=days)

    @happening(index=INDEX)
    def lose_counter(self, index: int) -> None:
        if car := self.car(index, Mode.LIVE, Mode.AWAY, Mode.OFF):
            self.world.forget_epochs(car)

    @happening(index=INDEX, which=st.integers(0, 30))
    def duplicate(self, index: int, which: int) -> None:
        self.world.repeat(self.world.cars[index], which)

    @happening(index=INDEX, back_within=st.sampled_from([None, 0.5, 5.0]))
    def power_fails(self, index: int, back_within: float | None) -> None:
        if car := self.car(index, Mode.LIVE):
            self.world.power_fails(car, back_within)

    # -- commands -----------------------------------------------------------------------------------

    @happening(
        index=INDEX, name=st.sampled_from(NAMES), seconds=TTL, told=st.integers(0, 9), online=st.booleans()
    )
    def command(self, index: int, name: str, seconds: float, told: int, online: bool) -> None:
        require = {"state": "online"} if online else None
        car = self.world.cars[index]
        self.run(self.world.traffic.queue(car, name, seconds, require=require, told=told > 0))

    @happening(index=INDEX, name=st.sampled_from(NAMES), count=st.integers(2, 5), seconds=TTL)
    def commands(self, index: int, name: str, count: int, seconds: float) -> None:
        for _ in range(count):
            self.run(self.world.traffic.queue(self.world.cars[index], name, seconds))

    @happening(which=st.integers(0, 30))
    def cancel(self, which: int) -> None:
        if tickets := list(self.world.traffic.tickets.values()):
            self.run(self.world.traffic.cancel(tickets[-1 - which % len(tickets)]))

    @happening(index=INDEX, which=st.integers(0, 30))
    def response_again(self, index: int, which: int) -> None:
        if (car := self.car(index, Mode.LIVE)) and not car.hung:
            self.world.traffic.repeat(car, which)

    @happening(region=REGION, published=st.integers(0, 2))
    def ingest_dies_before_it_publishes(self, region: int, published: int) -> None:
        self.world.gateways[self.regions[region]].dies_in = published

    @happening(commits=st.integers(0, 4))
    def commit_is_not_answered(self, commits: int) -> None:
        self.world.unanswered_in = commits

    # -- gateways -----------------------------------------------------------------------------------

    @happening(region=REGION, wills=st.booleans(), seconds=OUTAGE)
    def broker_dies(self, region: int, wills: bool, seconds: float) -> None:
        self.world.stop_broker(self.regions[region], seconds, wills=wills)

    @happening(region=REGION, seconds=OUTAGE)
    def registrar_is_cut_off(self, region: int, seconds: float) -> None:
        self.world.cut_registrar(self.regions[region], seconds)

    @happening(region=REGION, seconds=OUTAGE)
    def ingest_dies(self, region: int, seconds: float) -> None:
        self.world.stop_ingest(self.regions[region], seconds)

    @happening(region=REGION)
    def another_takes_over(self, region: int) -> None:
        self.world.stop_ingest(self.regions[region], 0.0)

    @happening(seconds=OUTAGE)
    def database_goes(self, seconds: float) -> None:
        self.world.stop_database(seconds)

    @happening(transactions=st.integers(0, 3))
    def database_fails_once(self, transactions: int) -> None:
        self.world.fails_in = transactions


def chaos(
    dsn: str, steps: int, seed: int, *, shrink: bool = False, say: Callable[[int], None] = lambda _: None
) -> int:
    """Run at least so many steps; what Hypothesis raises tells of the steps and of the fault.

    Args:
        dsn: of a migrated database; vehicles are added to it.
        steps: at least 1.
        seed: the same steps again, if `steps` is the same.
        shrink: look for a shorter way to the fault, for up to five minutes.
        say: called with the number of steps after each world.

    Returns:
        The steps that were run and judged.
    """
    loop = asyncio.new_event_loop()

    class Machine(PresenceMachine):
        def teardown(self) -> None:
            super().teardown()
            say(Machine.steps)

    disks = TemporaryDirectory(prefix="fleetcell-")
    try:
        Machine.disks = Path(disks.name)
        Machine.loop, Machine.connection = loop, loop.run_until_complete(connect(dsn))
        Machine._hypothesis_internal_use_seed = seed
        run_machine(
            Machine,
            settings=settings(
                max_examples=-(-steps * 5 // (STEPS * 4)),  # some worlds end early
                stateful_step_count=STEPS,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
        loop.run_until_complete(Machine.connection.close())
    finally:
        loop.close()
        disks.cleanup()
    return Machine.steps
