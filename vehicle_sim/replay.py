"""`sim replay`: recorded traces as vehicles, at their own speed or faster, with nothing lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import ConfigError, FleetcellError
from vehicle_sim.progress import RateMeter, Snapshot, shown
from vehicle_sim.tally import Score, score
from vehicle_sim.tasks import end, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from vehicle_sim.fleet import Fleet
    from vehicle_sim.readers import Trace
    from vehicle_sim.session import VehicleUnit

AS_FAST_AS_POSSIBLE: Final = float("inf")
_QUANTUM_S: Final = 0.05  # readings that are due within it are made together; their times are the trace's
_CHUNK: Final = 50  # readings made in one go at full speed, before other units get their turn
_START_GAP_S: Final = 0.005  # between connects at full speed
_LOOK_S: Final = 0.25


class TimeMode(StrEnum):
    """How readings are dated."""

    SHIFT = "shift"  # the last one at the end of the replay, the others as far before it as recorded
    ORIGINAL = "original"  # as recorded


class ReplayError(FleetcellError):
    """The traces cannot be replayed like this."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What `sim replay` was asked for. `speed` 20: twenty times as fast; `AS_FAST_AS_POSSIBLE`, or 0.

    quiet_s: how long no acknowledgement may come at the end before the replay gives up.
    """

    files: Sequence[Path]
    data_dir: Path
    speed: float = 1.0
    time: TimeMode = TimeMode.SHIFT
    link: str = "perfect"
    region: str | None = None
    seed: int | None = None
    api_url: str | None = None
    api_key: str | None = None
    broker_url: str | None = None
    broker_ca_file: Path | None = None
    quiet_s: float = 60.0
    progress: bool = False
    score: bool = False  # against what really happened

    def check(self) -> None:
        """Raises ConfigError, naming the flag, when a value makes no sense."""
        if not self.files:
            raise ConfigError("name at least one trace file")
        if not self.speed >= 0:
            raise ConfigError(f"--speed {self.speed:g}: a positive number, or max")
        if self.quiet_s <= 0:
            raise ConfigError(f"--wait {self.quiet_s:g}: more than 0 seconds")


def parse_speed(text: str) -> float:
    """`--speed`: a factor such as 1, 20 or 20x; `max` or 0 for as fast as possible.

    Raises:
        ConfigError: neither.
    """
    if text.strip().lower() == "max":
        return AS_FAST_AS_POSSIBLE
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf"):
        raise ConfigError(f"--speed {text}: use a factor such as 1 or 20, or max")
    return speed or AS_FAST_AS_POSSIBLE


@dataclass(frozen=True, slots=True)
class Timeline:
    """When readings are made and how they are dated; `zero_s` is the wall time (s since 1970) of t_s 0."""

    speed: float
    zero_s: float | None

    def made_after(self, t_s: float) -> float:
        """Seconds from the start of the replay until the reading at `t_s` is made."""
        return t_s / self.speed

    def date_ms(self, trace: Trace, t_s: float) -> int:
        """The date of a reading, ms since 1970."""
        zero = self.zero_s if self.zero_s is not None else _start_of(trace).timestamp()
        return round((zero + t_s) * 1000)


def plan(traces: Sequence[Trace], speed: float, mode: TimeMode, now_s: float) -> Timeline:
    """The timeline of a replay that starts at `now_s` (seconds since 1970).

    Shifted, the last reading of all traces is dated at the end of the replay and nothing in the future.
    Slower than recorded, that cannot be: then the first moment is dated at the start.

    Raises:
        ReplayError: original times are wanted, and a trace has none.
    """
    speed = speed or AS_FAST_AS_POSSIBLE
    if mode is TimeMode.ORIGINAL:
        for trace in traces:
            _start_of(trace)
        return Timeline(speed, None)
    length = max(trace.readings[-1].t_s for trace in traces)
    return Timeline(speed, now_s + min(0.0, length / speed - length))


def _start_of(trace: Trace) -> datetime:
    if trace.start is None:
        raise ReplayError(f"{trace.source} has no absolute times: replay it with --time shift")
    return trace.start


class Replay:
    """One replay under way."""

    def __init__(self, fleet: Fleet, traces: Sequence[Trace], timeline: Timeline) -> None:
        self.made_all = 0  # vehicles whose readings are all made
        self.blocked = 0  # vehicles that make no more until some are acknowledged
        self.finished = 0  # vehicles that have left, everything acknowledged
        self._fleet = fleet
        self._traces = traces
        self._timeline = timeline
        self._began = 0.0

    async def run(self) -> None:
        """Replay every trace; returns when all is acknowledged and all have left."""
        self._began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for index, trace in enumerate(self._traces):
                if trace.vehicle in self._fleet.units:
                    group.create_task(self._vehicle(trace, index))

    async def _vehicle(self, trace: Trace, index: int) -> None:
        first = self._timeline.made_after(trace.readings[0].t_s)
        if self._timeline.speed == AS_FAST_AS_POSSIBLE:
            first = index * _START_GAP_S
        await asyncio.sleep(max(0.0, self._began + first - asyncio.get_running_loop().time()))
        unit = self._fleet.start(trace.vehicle)
        await self._feed(unit, trace)
        self.made_all += 1
        await unit.drained()
        await self._fleet.finish(trace.vehicle)
        self.finished += 1

    async def _feed(self, unit: VehicleUnit, trace: Trace) -> None:
        loop = asyncio.get_running_loop()
        for position, reading in enumerate(trace.readings):
            if position % _CHUNK == 0:
                await self._room(unit)
                await asyncio.sleep(0)
            early = self._began + self._timeline.made_after(reading.t_s) - loop.time()
            if early > 0:
                await asyncio.sleep(max(early, _QUANTUM_S))
            self._stands(unit.vehicle, reading.signals)
            self._fleet.record(unit, self._timeline.date_ms(trace, reading.t_s), reading.signals)

    def _stands(self, vehicle: str, signals: Mapping[str, object]) -> None:
        lat, lon = signals.get("lat"), signals.get("lon")
        if self._fleet.truth is not None and isinstance(lat, int | float) and isinstance(lon, int | float):
            self._fleet.truth.stands(vehicle, lat, lon)

    async def _room(self, unit: VehicleUnit) -> None:
        """Wait while so many readings are unacknowledged that the spool might come to evict some."""
        self.blocked += 1
        await unit.room()
        self.blocked -= 1


async def replay(
    fleet: Fleet, traces: Sequence[Trace], options: ReplayOptions, stopped: asyncio.Event
) -> Score:
    """Replay, and sum up. A replay that is interrupted or gives up says so in the score's `problem`."""
    loop = asyncio.get_running_loop()
    timeline = plan(traces, options.speed, options.time, time.time())
    player = Replay(fleet, traces, timeline)
    began = loop.time()
    playing = asyncio.create_task(player.run())
    stopping = asyncio.create_task(stopped.wait())
    quiet = asyncio.create_task(_until_quiet(fleet, player, len(traces), options.quiet_s))
    problem: str | None = None
    try:
        async with shown("sim replay", _looker(fleet, traces, player), enabled=options.progress):
            await first_of(playing, stopping, quiet, fleet.failed)
            ended = loop.time()
            if not playing.done():
                problem = _why(fleet, options, interrupted=stopping.done())
    finally:
        await end(playing, stopping, quiet)
        await fleet.stop()
    return score(
        fleet.tally,
        kind="replay",
        vehicles=len(fleet.units),
        resent=fleet.resent,
        began=began,
        ended=ended,
        problem=problem,
    )


async def _until_quiet(fleet: Fleet, player: Replay, vehicles: int, quiet_s: float) -> None:
    """Return when nothing more can be made and no acknowledgement came for `quiet_s` seconds."""
    loop = asyncio.get_running_loop()
    last, since = -1, loop.time()
    while True:
        progress = fleet.tally.acked + fleet.tally.backlog_acked + player.finished
        if progress != last or player.made_all + player.blocked < vehicles:
            last, since = progress, loop.time()
        elif loop.time() - since > quiet_s:
            return
        await asyncio.sleep(_LOOK_S)


def _why(fleet: Fleet, options: ReplayOptions, *, interrupted: bool) -> str:
    tally = fleet.tally
    pending = f"{tally.pending:,} readings are not acknowledged (kept, and sent by the next replay)"
    if interrupted:
        return f"interrupted after {tally.made:,} readings: {pending}"
    reasons = "; ".join(f"{count} units: {why}" for why, count in list(fleet.problems().items())[:3])
    return f"no acknowledgement for {options.quiet_s:g} s: {pending} ({reasons})"


def _looker(fleet: Fleet, traces: Sequence[Trace], player: Replay) -> Callable[[], Snapshot]:
    meter = RateMeter()
    loop = asyncio.get_running_loop()
    total = sum(len(trace.readings) for trace in traces if trace.vehicle in fleet.units)

    def look() -> Snapshot:
        tally = fleet.tally
        status = (
            f"{fleet.started - player.finished} vehicles under way, "
            f"{player.finished}/{len(fleet.units)} done  {tally.acked:,}/{total:,} acked  "
            f"{tally.pending:,} pending  {meter.per_second(tally.acked, loop.time()):,.0f} readings/s"
            + fleet.link_note()
        )
        return Snapshot(tally.acked, total, status)

    return look
