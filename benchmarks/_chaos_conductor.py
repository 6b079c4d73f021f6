"""Plays one schedule after the other on a running platform, and judges each."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from benchmarks._chaos_diary import Diary
from benchmarks._chaos_judge import Held, Truth, Verdict, left_in_spools
from benchmarks._chaos_plan import HEALED_S, LINKS, UNIT, VEHICLES, Fault
from benchmarks._chaos_platform import GRACE_S, INTERVAL_S, WORKERS, Platform, secret
from benchmarks._chaos_proxy import AtCommit
from benchmarks._chaos_units import News, Order, UnitReport
from fleetcell.contract import ledger
from ingest.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ingest.database import Connection

T = TypeVar("T")

PATIENCE_S: Final = 40.0  # for everything to arrive in the end
LOOK_S: Final = 0.1
BEAT_S: Final = 0.05
ANSWER_S: Final = 10.0
REGISTER: Final = """
    SELECT v.name AS vehicle, r.state, r.reason, r.epoch FROM fleet.vehicle AS v
    LEFT JOIN fleet.registration AS r ON r.vehicle_id = v.id WHERE v.name = ANY ($1)
"""


@dataclass
class Outcome:
    """What became of one schedule.

    presence_wrong: vehicles that the register showed wrongly one interval after all were connected.
    never_right: those of them that it still did when patience was over.
    settled_s: from when all was whole again until everything had arrived and the register was right.
    stood_s: the longest time that the harness itself, and with it the network, stood still meanwhile.
    diary: how units and register changed after all was whole, and what the processes logged.
    undelivered: readings of connected units that did not arrive.
    """

    number: int
    faults: list[Fault]
    verdict: Verdict = field(default_factory=Verdict)
    presence_wrong: list[str] = field(default_factory=list)
    never_right: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    undelivered: int = 0
    refused: int = 0
    commits_cut: int = 0
    ready_s: float = 0.0
    settled_s: float = 0.0
    stood_s: float = 0.0
    diary: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict.is_clean and not (self.presence_wrong or self.undelivered or self.crashes)

    def story(self) -> str:
        """All that happened, for people."""
        what = "clean" if self.is_clean else "WRONG"
        head = (
            f"schedule {self.number}: {what}; {self.verdict.made} made, {self.verdict.acked} acknowledged, "
            f"connected after {self.ready_s:.1f} s, settled after {self.settled_s:.1f} s; "
            f"the harness stood still for up to {self.stood_s:.2f} s"
        )
        lines = [f"  {fault}" for fault in self.faults]
        for name, found in (
            ("reading", self.verdict.why),
            ("presence late", self.presence_wrong),
            ("presence wrong", self.never_right),
            ("crashed", self.crashes),
        ):
            lines += [f"  ! {name}: {one}" for one in found]
        if self.undelivered:
            lines.append(f"  ! {self.undelivered} readings were not delivered")
        lines += [f"    {line}" for line in self.diary]
        return "\n".join([head, *lines])


class Conductor:
    """Breaks a platform and judges it. `platform` is to be set before anything else."""

    platform: Platform

    def __init__(self) -> None:
        self._truth = Truth()
        self._names: list[str] = []
        self._off: set[str] = set()  # vehicles that are off for good
        self._reports: asyncio.Queue[list[UnitReport]] = asyncio.Queue()
        self._seed = 0
        self._diary = Diary(())

    def hear(self, news: News) -> None:
        """News of the units."""
        if news.what == "report":
            self._reports.put_nowait(news.report)
        else:
            self._truth.hear(news)

    @property
    def deaths(self) -> dict[str, int]:
        """Processes that ended by themselves."""
        return self.platform.deaths

    async def prepare(self, seed: int, numbers: Sequence[int]) -> None:
        """Let in the vehicles of all schedules."""
        self._seed = seed
        await self.platform.provision([name for number in numbers for name in names_of(number)])

    async def play(self, number: int, faults: list[Fault], *, patience_s: float = PATIENCE_S) -> Outcome:
        """Play one schedule."""
        outcome = Outcome(number, faults)
        self._truth, self._names, self._off = Truth(), names_of(number), set()
        units = self.platform.units
        units.again = self._begin
        units.order(self._begin())
        hits = sum(link.commits_hit for link in self.platform.links.values())
        self._diary = Diary(service.log for service in self.platform.services.values())
        pulse = asyncio.create_task(self._feel_pulse())
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._befall(fault, began))
        await asyncio.sleep(max(0.0, began + HEALED_S - time.monotonic()))
        for link in self.platform.links.values():
            link.heal()
        await units.wait_running()
        units.order(Order("coast"))
        try:
            await self._settle(outcome, patience_s)
        finally:
            pulse.cancel()
            units.again = lambda: None
            units.order(Order("end"))
        await self._all_off()
        held = await self._ask(lambda connection: Held.read(connection, self._names))
        spools = self.platform.disks["units"].path
        left = left_in_spools(spools, self._names)
        for name in self._names:
            shutil.rmtree(spools / name)
        outcome.verdict = self._truth.judge(left, held)
        outcome.stood_s = self._diary.stood_s
        outcome.diary = [*self._diary.lines, *self._diary.logged()]
        outcome.crashes, outcome.refused = self._truth.crashes, self._truth.refused
        outcome.commits_cut = sum(link.commits_hit for link in self.platform.links.values()) - hits
        return outcome

    # -- faults -----------------------------------------------------------------------------------------

    async def _befall(self, fault: Fault, began: float) -> None:
        await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
        until = began + min(fault.at + fault.for_s, HEALED_S)
        if fault.who in LINKS:
            await self._cut(fault, until)
        elif fault.kind in UNIT:
            self._hurt(fault)
        elif fault.kind == "disk full":
            disk, service = self.platform.disks[fault.who], self.platform.services[fault.who]
            disk.fill(service.pids)
            await _until(until)
            disk.free()
        elif fault.kind == "failover":
            links = [link for link in self.platform.links.values() if link.is_database]
            for link in links:
                link.refuses = True
                link.reset()
            await _until(until)
            for link in links:
                link.refuses = False
        else:
            await self._end(fault, until)

    async def _end(self, fault: Fault, until: float) -> None:
        service = self.platform.services[fault.who]
        if fault.kind == "stop":
            service.send(signal.SIGSTOP)
            await _until(until)
            service.send(signal.SIGCONT)
            return
        await service.end(signal.SIGINT if fault.kind == "restart" else signal.SIGKILL)

    async def _cut(self, fault: Fault, until: float) -> None:
        link = self.platform.links[fault.who]
        match fault.kind:
            case "delay":
                link.delay_s = fault.amount
            case "stall":
                link.stall()
            case "black hole":
                link.hole = True
            case "refuse":
                link.refuses = True
                link.reset()
            case "reset":
                link.reset()
            case "half close":
                link.half_close(to_server=fault.how == "to server")
            case "tear":
                link.tear(fault.amount)
            case "cut commit":
                link.hit_commit(AtCommit(fault.how))
            case kind:
                raise ValueError(kind)
        if fault.for_s:
            await _until(until)
            link.heal()

    def _hurt(self, fault: Fault) -> None:
        name = self._names[int(fault.who)]
        if fault.kind in ("goodbye", "vanish"):
            self._off.add(name)
        self.platform.units.order(Order(fault.kind, name, amount=fault.amount))

    def _begin(self) -> Order:
        """For a new process of units too: those that are not off for good drive (again)."""
        secrets = {name: secret(name) for name in self._names if name not in self._off}
        return Order("begin", secrets=secrets, seed=self._seed)

    # -- afterwards -----------------------------------------------------------------------------------

    async def _settle(self, outcome: Outcome, patience_s: float) -> None:
        """Look until everything has arrived and the register is right, or patience is over."""
        healed = time.monotonic()
        ready = bound = float("inf")
        while True:
            reports = await self.look()
            now = time.monotonic()
            if ready == float("inf") and await self._connected(reports):
                ready = now
                self._diary.note(now - healed, "all", "have", "their connections again")
                bound = ready + INTERVAL_S + GRACE_S
                outcome.ready_s = ready - healed
            wrong = await self._wrong(reports, now - healed)
            late = now >= bound and not outcome.presence_wrong
            if late:
                outcome.presence_wrong = wrong
            pending = sum(waiting(report) for report in reports.values() if _lives(report))
            done = len(reports) > 0 or len(self._off) == VEHICLES
            if done and not wrong and not pending and ready < float("inf"):
                break
            if now > healed + patience_s:
                outcome.never_right, outcome.undelivered = wrong, pending
                if ready == float("inf"):
                    outcome.never_right = [*wrong, "not all have their connections again"]
                outcome.presence_wrong = outcome.presence_wrong or outcome.never_right
                break
            await asyncio.sleep(LOOK_S)
        outcome.settled_s = time.monotonic() - healed

    async def _connected(self, reports: dict[str, UnitReport]) -> bool:
        """Whether all have their connections again: live units theirs, each worker broker and database."""
        if any(report.problem for report in reports.values() if _lives(report)):
            return False
        return all([await self.platform.healthy(number) for number in WORKERS])

    async def _wrong(self, reports: dict[str, UnitReport], at_s: float) -> list[str]:
        """Vehicles that the register shows otherwise than they are."""
        wrong = []
        rows = await self._ask(lambda connection: connection.fetch(REGISTER, self._names))
        self._diary.look(at_s, reports, [dict(row) for row in rows])
        for row in rows:
            name, report = row["vehicle"], reports.get(row["vehicle"])
            is_online = row["state"] == "online"
            if report is not None and _lives(report):
                right = is_online and row["epoch"] == report.epoch
                truth = f"live in epoch {report.epoch}"
            else:
                right, truth = not is_online, "away"
            if not right:
                wrong.append(
                    f"{name} is {truth}, shown {row['state']} ({row['reason']}), epoch {row['epoch']}"
                )
        return wrong

    async def _feel_pulse(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(BEAT_S)
            self._diary.stood_s = max(self._diary.stood_s, time.monotonic() - began - BEAT_S)

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """Ask the database past the proxies; again where a fault of before still hits it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                connection = await self.platform.connection(PATIENCE_S)
                try:
                    return await question(connection)
                except FAILURES:
                    await asyncio.sleep(LOOK_S)
                finally:
                    connection.terminate()

    async def look(self) -> dict[str, UnitReport]:
        """How the units are; nothing while their process starts."""
        while not self._reports.empty():
            self._reports.get_nowait()
        self.platform.units.order(Order("look"))
        try:
            async with asyncio.timeout(ANSWER_S):
                return {report.unit: report for report in await self._reports.get()}
        except TimeoutError:
            return {}

    async def _all_off(self) -> None:
        """Return when the units' process has closed every spool."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.look():  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)


def names_of(number: int) -> list[str]:
    """The vehicles of a schedule."""
    return [f"car-{number:05d}-{index}" for index in range(VEHICLES)]


def _lives(report: UnitReport) -> bool:
    return report.running and not report.asleep and not report.gone


def waiting(report: UnitReport) -> int:
    """How many readings of a unit wait for their acknowledgement, or to be declared as given up."""
    return sum(map(ledger.count, (*report.pending.values(), *report.undeclared.values())))


async def _until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - time.monotonic()))
