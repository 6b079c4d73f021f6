"""Hypothesis drives the world of the presence register; every step is judged."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from ingest.database import connect
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
OUTAGE = st.sampled_from([0.5, 3.0, 20.0, 100.0, 400.0])
LATER = st.sampled_from([0.0, 0.25, 1.0, 1.0, 4.0, 4.0, 11.0, 16.0, 35.0, 80.0])
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
    steps: ClassVar[int] = 0

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        number = next(_numbers)
        names = [f"car-{number}-{index}" for index in range(CARS)]
        ids = self.run(provision(self.connection, *names))
        self.regions = [f"north-{number}", f"south-{number}"]
        self.world = World(self.connection, ids, self.regions, seed)
        self.judge = Judge(self.world)
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
        if hasattr(self, "world"):
            ids = [car.vehicle_id for car in self.world.cars]
            found = self.run(self.judge.history_faults(ids))
            assert not found, "\n".join(found)

    @invariant()
    def the_register_tells_the_truth(self) -> None:
        if hasattr(self, "world"):
            type(self).steps += 1
            found = self.run(self.judge.faults())
            assert not found, "\n".join(found)

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

    try:
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
    return Machine.steps
