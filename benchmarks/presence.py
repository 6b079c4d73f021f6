"""How fast and how truly the live frame shows what happens to 1,000 units, and what their presence costs.

`fleetcell up` runs on a fresh data directory, as a user starts it. The units are those of the simulator, in
processes of their own, each behind a small relay (a link) that can be reset or go silent; they make no
readings, so all bytes are presence. What really happened is told by those who did it: times are of one
monotonic clock. The frame is a client of the live WebSocket, as a browser is.

Then other units drive over the border between two regions of a second `fleetcell up`, with readings and
without relays. Last, 10,000 seeded take-overs, handovers and late wills go to the real register on a clock of
its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._presence_handover import drive_over_the_border
from benchmarks._presence_seeded import play
from benchmarks._presence_truth import Book
from benchmarks._presence_units import Crew, News, Order
from benchmarks._presence_up import ROOT, LiveFrame, platform_up
from benchmarks.ingest import postgres
from fleetcell.contract.presence import Timers
from vehicle_sim.provisioning import Accounts
from vehicle_sim.score.presence import ASLEEP, GONE, OFFLINE, ONLINE, UNKNOWN, State
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from vehicle_sim.provisioning import Platform

ABOUT = "presence: delay of each kind of loss in the live frame, false offline, wrong state, bytes an hour"

TIMERS: Final = Timers()
POLICY: Final = PresencePolicy()
BLACK_HOLE_S: Final = 1.5 * POLICY.keep_alive_s
WINDOW_S: Final = 0.25  # one loss; the targets of docs/benchmarks.md
MASS_WINDOW_S: Final = 2.0
ATTACH_WINDOW_S: Final = 1.0
DEAF_WINDOW_S: Final = 3.0  # two seconds until the registrar believes that its broker is away
SETTLE_WINDOW_S: Final = TIMERS.update_interval_s + TIMERS.grace_s
SLEEP_S: Final = 20.0
CREWS: Final = 4  # processes that share the units
SOLO: Final = 20  # processes of one unit each, to be killed one by one
SEEDED: Final = 10_000  # episodes
SEEDED_UNITS: Final = 1000
# What happens to which share of the units while the rest is quiet.
SHARES: Final = {"reset": 0.1, "stop": 0.06, "swallow": 0.04, "strand": 0.1, "sleep": 0.06}
KIND_OF: Final = {
    "reset": "tcp_reset",
    "stop": "clean_stop",
    "swallow": "black_hole",
    "strand": "take_over",
    "sleep": "sleep",
}


@dataclass
class Crewed:
    """A process of units."""

    process: asyncio.subprocess.Process
    names: list[str]
    counts: asyncio.Queue[dict[str, int]] = field(default_factory=asyncio.Queue)

    def order(self, order: Order) -> None:
        """Have it done."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")


@dataclass
class Scene:
    """All that runs, and what was seen of it."""

    data: Path
    platform: Platform
    secrets: dict[str, str]
    seed: int
    frame: LiveFrame = field(default_factory=LiveFrame)
    book: Book = field(init=False)
    crews: list[Crewed] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)  # units that are gone, until they are revived
    stranded: dict[str, int] = field(default_factory=dict)  # unit -> epoch of the session it lost
    began: dict[str, float] = field(default_factory=dict)  # when its last session began
    awaited: list[tuple[str, str, float, frozenset[State], int]] = field(default_factory=list)
    settling: bool = False  # the gateway was away: units have an interval to settle

    def __post_init__(self) -> None:
        self.book = Book(shown=self.frame.shown)

    # -- what comes in ------------------------------------------------------------------------

    async def listen(self, crew: Crewed) -> None:
        """Read what a process of units tells."""
        assert crew.process.stdout is not None
        while line := await crew.process.stdout.readline():
            news = msgspec.json.decode(line, type=News)
            if news.bytes is not None:
                crew.counts.put_nowait(news.bytes)
            elif news.what == "began":
                self._session(news.unit, news.at)
            elif news.what == "done":
                self._done(news.unit, news.order, news.at)

    def _session(self, unit: str, at: float) -> None:
        window = SETTLE_WINDOW_S if self.settling else ATTACH_WINDOW_S
        self.book.goal(unit, at, ONLINE, window)
        self.began[unit] = at
        if (epoch := self.stranded.pop(unit, None)) is not None:
            self.await_("take_over", unit, at, ONLINE, epoch + 1)

    def _done(self, unit: str, order: str, at: float) -> None:
        book, kind = self.book, KIND_OF.get(order, order)
        match order:
            case "heal":
                pass
            case "reset":
                book.lost(unit, at, WINDOW_S, TIMERS.linger_s)
                self.await_(kind, unit, at, GONE)
            case "swallow":
                self.down.add(unit)
                book.lost(unit, at, BLACK_HOLE_S + 1.0, TIMERS.linger_s)
                self.await_(kind, unit, at, GONE)
            case "stop":
                self.down.add(unit)
                book.goal(unit, at, OFFLINE, ATTACH_WINDOW_S)
                self.await_(kind, unit, at, OFFLINE)
            case "sleep":
                book.goal(unit, at, ASLEEP, ATTACH_WINDOW_S)
                self.await_(kind, unit, at, ASLEEP)
            case _:
                self.stranded[unit] = book.epoch(unit, at)
                book.goal(unit, at, ONLINE | {State.SUSPECT}, 0.0)

    def await_(self, kind: str, unit: str, at: float, states: frozenset[State], epoch: int = 0) -> None:
        """Have the delay of this measured."""
        self.awaited.append((kind, unit, at, states, epoch))

    # -- what is done ---------------------------------------------------------------------------

    async def man(self, names: list[str], spread_s: float) -> None:
        """Start a process of units."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks._presence_units"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            limit=2**24,
        )
        assert process.stdin is not None
        secrets = {name: self.secrets[name] for name in names}
        folder = str(self.data / "units")
        crew = Crew(self.platform.broker_url, self.platform.region, folder, secrets, spread_s, self.seed)
        process.stdin.write(msgspec.json.encode(crew) + b"\n")
        crewed = Crewed(process, names)
        self.crews.append(crewed)
        self.tasks.append(asyncio.create_task(self.listen(crewed)))

    def live(self) -> list[str]:
        """Units that should be online."""
        return [name for name in self.secrets if name not in self.down]

    async def bytes(self) -> dict[str, int]:
        """What has passed the links of the units until now."""
        found: dict[str, int] = {}
        for crew in self.crews:
            if crew.process.returncode is None and len(crew.names) > 1:
                crew.order(Order("bytes"))
                found |= await asyncio.wait_for(crew.counts.get(), 30)
        return found

    def kill(self, crew: Crewed, window_s: float, kind: str) -> None:
        """SIGKILL a process of units."""
        at = time.monotonic()
        crew.process.kill()
        for name in crew.names:
            if name not in self.down:
                self.down.add(name)
                self.book.lost(name, at, window_s, TIMERS.linger_s)
                self.await_(kind, name, at, GONE)

    def measured(self) -> dict[str, list[float | None]]:
        """The delays by kind, seconds; None where it was never shown."""
        found: dict[str, list[float | None]] = {}
        for kind, unit, at, states, epoch in self.awaited:
            seen = self.book.first(unit, at, states, epoch)
            found.setdefault(kind, []).append(None if seen is None else seen - at)
        return found


async def run(
    seconds: float, say: Callable[[str], None], vehicles: int = 1000, seed: int | None = None
) -> dict[str, object]:
    """The quiet time is a whole number of update intervals, about 12 times `seconds`: two by default."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    say(f"seed {seed}")
    async with stage(vehicles, seed, say) as scene:
        intervals = max(1, round(12 * seconds / TIMERS.update_interval_s))
        live = await single_losses(scene, intervals * TIMERS.update_interval_s, say)
        broker = await broker_kill(scene, say)
        await revive(scene, say)
        await mass_kill(scene, say)
        ended = time.monotonic()
    handovers = await drive_over_the_border(seed, say)
    async with postgres() as dsn:
        seeded = await play(dsn, SEEDED_UNITS, SEEDED, seed, say)
    verdict, faults = scene.book.judge(ended), handovers.faults()
    kinds = {kind: describe(delays) for kind, delays in scene.measured().items()}
    single = [delay for kind in ("process_kill", "tcp_reset") for delay in scene.measured().get(kind, [])]
    return {
        "false_offline": verdict.false_offline + faults["false_offline"] + seeded.false_offline,
        "single_kill_p99_ms": describe(single)["p99_ms"],
        "mass_kill_max_ms": kinds["mass_kill"]["max_ms"],
        "black_hole_over_keepalive_s": over_keep_alive(kinds.get("black_hole")),
        "wrong_state_ratio": verdict.wrong_s / max(verdict.seconds, 1.0),
        "bytes_per_vehicle_hour": live,
        "vehicle_hours": verdict.seconds / 3600,
        "wrong_state_s": verdict.wrong_s,
        "wrong_state_s_by": scene.book.wrong_by_state(ended),
        "false_offline_live": verdict.false_offline,
        "seeded": {**seeded.counts, "false_offline": seeded.false_offline, "unsettled": seeded.unsettled},
        **kinds,
        **broker,
        "handover": describe(handovers.shown_after_s()),
        "handover_served": describe(handovers.served_after_s()),
        "handover_faults": faults,
        "vehicles": vehicles,
        "seed": seed,
    }


# -- the acts ------------------------------------------------------------------------------------


async def single_losses(scene: Scene, lasts_s: float, say: Callable[[str], None]) -> float:
    """One thing after the other, at random moments, while most units are quiet; bytes an hour of those."""
    rng = random.Random(scene.seed)
    crew_of = {name: crew for crew in scene.crews for name in crew.names}
    names = [name for name in scene.secrets if len(crew_of[name].names) > 1]
    rng.shuffle(names)
    solo = [crew for crew in scene.crews if len(crew.names) == 1]
    acts: list[tuple[float, Order | Crewed]] = []
    latest = lasts_s - BLACK_HOLE_S - 5.0
    for what, share in SHARES.items():
        chosen = [names.pop() for _ in range(max(1, round(share * len(scene.secrets))))]
        acts += [(rng.uniform(1.0, latest), Order(what, name, SLEEP_S)) for name in chosen]
    acts += [(rng.uniform(1.0, latest), crew) for crew in solo]
    began = time.monotonic()
    before = await scene.bytes()
    marked = time.monotonic()
    for number, (at, act) in enumerate(sorted(acts, key=lambda act: act[0])):
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        if isinstance(act, Crewed):
            scene.kill(act, WINDOW_S, "process_kill")
        else:
            crew_of[act.unit].order(act)
        if number % 50 == 0:
            say(f"{number} of {len(acts)} single losses, {lasts_s - at:.0f} s to go")
    await asyncio.sleep(max(0.0, marked + lasts_s - time.monotonic()))
    after = await scene.bytes()
    hours = (time.monotonic() - marked) / 3600
    return statistics.fmean((after[name] - before[name]) / hours for name in names)


async def broker_kill(scene: Scene, say: Callable[[str], None]) -> dict[str, object]:
    """SIGKILL the broker: everybody is unknown, nobody is offline, and all settle."""
    say("the broker is killed")
    live = scene.live()
    scene.settling = True
    at = time.monotonic()
    os.kill(int((scene.data / "run" / "broker.pid").read_text()), signal.SIGKILL)
    for name in live:
        scene.book.goal(name, at, UNKNOWN, DEAF_WINDOW_S)
        scene.await_("broker_kill", name, at, UNKNOWN)
    for name in scene.down:
        scene.book.blinded(name, at)
    ended = {name: scene.book.epoch(name, at) for name in live}
    settled = await scene.frame.until(lambda: scene.frame.have_renewed(ended), SETTLE_WINDOW_S + 30)
    scene.settling = False
    back = min((scene.began[name] for name in live if scene.began.get(name, 0.0) > at), default=at)
    delays: list[float | None] = []
    for name in live:
        seen = scene.book.first(name, back, ONLINE)
        delays.append(None if seen is None else seen - back)
    return {"broker_return": {**describe(delays), "first_session_s": round(back - at, 2), "settled": settled}}


async def revive(scene: Scene, say: Callable[[str], None]) -> None:
    """Have all units online again: links that were silent carry, and who had stopped starts anew."""
    crew_of = {name: crew for crew in scene.crews if crew.process.returncode is None for name in crew.names}
    silent = [order[1] for order in scene.awaited if order[0] == KIND_OF["swallow"]]
    say(f"{len(scene.down)} units come back")
    for name in silent:
        crew_of[name].order(Order("heal", name))
    await scene.man([name for name in scene.down if name not in silent], 1.0)
    scene.down.clear()
    if not await scene.frame.until(lambda: scene.frame.all_are(scene.live(), ONLINE), 120):
        say("not all of them did")


async def mass_kill(scene: Scene, say: Callable[[str], None]) -> None:
    """SIGKILL all units at once."""
    live = scene.live()
    say(f"all {len(live)} units are killed")
    await asyncio.sleep(ATTACH_WINDOW_S)
    for crew in scene.crews:
        if crew.process.returncode is None:
            scene.kill(crew, MASS_WINDOW_S, "mass_kill")
    await scene.frame.until(lambda: scene.frame.all_are(live, OFFLINE), TIMERS.linger_s + 15)


# -- the stage -----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def stage(vehicles: int, seed: int, say: Callable[[str], None]) -> AsyncIterator[Scene]:
    """The platform, the frame and all units, online."""
    say("fleetcell up")
    async with platform_up() as (data, platform):
        names = [f"unit-{number:05}" for number in range(vehicles)]
        accounts = Accounts(data / "units.json", platform)
        scene = Scene(data, platform, await accounts.provision(names), seed)
        try:
            scene.tasks.append(asyncio.create_task(scene.frame.watch(platform)))
            await asyncio.wait_for(scene.frame.ready.wait(), 60)
            await man_all(scene, names, say)
            yield scene
        finally:
            for crew in scene.crews:
                if crew.process.returncode is None:
                    crew.process.kill()
                await crew.process.wait()
            for task in scene.tasks:
                task.cancel()
            await asyncio.gather(*scene.tasks, return_exceptions=True)


async def man_all(scene: Scene, names: list[str], say: Callable[[str], None]) -> None:
    """Start all units, and wait until the frame shows them online."""
    alone = min(SOLO, len(names) // 10)
    crews = [names[number:-alone:CREWS] for number in range(CREWS)]
    spread_s = len(names) / 80
    for crew_names in [*crews, *([name] for name in names[-alone:])]:
        await scene.man(crew_names, spread_s if len(crew_names) > 1 else 0.0)
    say(f"{len(names)} units connect")
    if not await scene.frame.until(lambda: scene.frame.all_are(names, ONLINE), 60 + 3 * spread_s):
        late = [name for name in names if not scene.frame.all_are([name], ONLINE)]
        raise RuntimeError(f"{len(late)} units did not get online, such as {late[:3]}")


# -- figures -----------------------------------------------------------------------------------------


def describe(delays: list[float | None]) -> dict[str, float | int | None]:
    """n, p50, p99 and max in milliseconds, and how many were never shown (then there is no max)."""
    known = sorted(delay for delay in delays if delay is not None)
    never = len(delays) - len(known)
    if not known or never:
        return {"n": len(delays), "p50_ms": None, "p99_ms": None, "max_ms": None, "never": never}

    def at(share: float) -> float:
        return round(1000 * known[min(len(known) - 1, int(share * len(known)))], 1)

    return {"n": len(known), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "never": 0}


def over_keep_alive(figures: dict[str, float | int | None] | None) -> float | None:
    """How much later than 1.5 keep-alive intervals the slowest silent loss was shown; seconds."""
    slowest = figures["max_ms"] if figures is not None else None
    return None if slowest is None else slowest / 1000 - BLACK_HOLE_S
