"""`sim run`: simulated vehicles that drive until they are told to stop."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import ConfigError
from vehicle_sim.commands import MAX_RATE_HZ
from vehicle_sim.power import PowerPolicy
from vehicle_sim.progress import RateMeter, Snapshot, shown
from vehicle_sim.simulation import Simulation
from vehicle_sim.tally import Score, score
from vehicle_sim.tasks import end, first_of
from vehicle_sim.v2x.options import SILENT, V2xOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vehicle_sim.faults.clocks import Clocks
    from vehicle_sim.faults.runner import FaultRunner
    from vehicle_sim.fleet import Fleet
    from vehicle_sim.mobility import Drive

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
