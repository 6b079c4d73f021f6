"""The database is away for long, and comes back: what ingest and the broker keep, and how the backlog drains.

Real units, broker, two ingest workers and PostgreSQL, each a process (as of `chaos`). PostgreSQL is stopped
for `--seconds`; the units go on making readings into their spools. When it is back and both workers have
noticed (`noticed_s`), the units send the backlog and what they make meanwhile. A live reading is made from
then on and until the backlog is gone; its delay is until the unit hears that it is stored.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._chaos_conductor import Conductor, waiting
from benchmarks._chaos_judge import Held, Truth, left_in_spools
from benchmarks._chaos_platform import WORKERS, Platform, secret
from benchmarks._chaos_units import News, Order
from benchmarks.chaos import conducting
from fleetcell.contract import ledger
from vehicle_sim.delivery import DeliveryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ABOUT = "the database away for long: memory of ingest and broker, drain of the backlog, delay of live data"
VEHICLES: Final = 40
RATE_HZ: Final = 10.0
STEADY_S: Final = 6.0
LOOK_S: Final = 0.5
PATIENCE_S: Final = 300.0
MIB: Final = 2**20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Delays:
    """How long readings waited for their acknowledgement, of those that were made in a window."""

    def __init__(self) -> None:
        self.measuring = False
        self.found: list[float] = []
        self._made: dict[str, dict[int, float]] = {}

    def hear(self, news: News) -> None:
        """News of a unit."""
        now = time.monotonic()
        if news.what == "made" and self.measuring:
            self._made.setdefault(news.boot, {})[news.seq] = now
        elif news.what == "acked" and (made := self._made.get(news.boot)):
            for seq in [seq for seq in made if ledger.intersect(news.ranges, ((seq, seq),))]:
                self.found.append(now - made.pop(seq))

    def at(self, share: float) -> float:
        """The delay that this share of them did not exceed, seconds; those that still wait are left out."""
        ordered = sorted(self.found)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Watch:
    """Memory of processes, and how far it grew."""

    def __init__(self, platform: Platform, names: Iterable[str]) -> None:
        self._services = {name: platform.services[name] for name in names}
        self._before = {name: self._resident(name) for name in self._services}
        self.most = dict(self._before)

    def look(self) -> None:
        """Look now."""
        for name in self._services:
            self.most[name] = max(self.most[name], self._resident(name))

    def grown_mib(self, *names: str) -> float:
        """The most that any of these grew, MiB."""
        return round(max(self.most[name] - self._before[name] for name in names) / MIB, 1)

    def _resident(self, name: str) -> int:
        (pid, *_) = self._services[name].pids
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


async def run(
    seconds: float,
    say: Callable[[str], None],
    vehicles: int = VEHICLES,
    seed: int | None = None,
    rate: float = RATE_HZ,
) -> dict[str, object]:
    """An outage of `seconds`, and its end."""
    names = [f"car-{index:05d}" for index in range(vehicles)]
    truth, delays = Truth(), Delays()
    async with conducting(rate_hz=rate, delivery=DeliveryPolicy()) as conductor:
        platform = conductor.platform

        def hear(news: News) -> None:
            truth.hear(news)
            delays.hear(news)
            conductor.hear(news)

        platform.units.heard = hear
        await platform.provision(names)
        secrets = {name: secret(name) for name in names}
        platform.units.order(Order("begin", secrets=secrets, seed=seed or random.randrange(2**31)))
        await pending_below(conductor, vehicles * rate * 3, lambda: None)
        await asyncio.sleep(STEADY_S)
        watch = Watch(platform, ("ingest-1", "ingest-2", "broker"))
        say(f"the database goes away for {seconds:g} s")
        await platform.database.stop(signal.SIGINT)
        gone = time.monotonic()
        while time.monotonic() < gone + seconds:
            watch.look()
            await asyncio.sleep(LOOK_S)
        backlog = await _pending(conductor)
        platform.database.start()
        await platform.database.wait_running()
        (await platform.connection(PATIENCE_S)).terminate()
        back = time.monotonic()
        while not all([await platform.healthy(number) for number in WORKERS]):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
        noticed, delays.measuring = time.monotonic(), True
        say(f"it is back; {backlog:,} readings wait")
        await pending_below(conductor, vehicles * rate * 3, watch.look)
        drained_s = time.monotonic() - noticed
        delays.measuring = False
        platform.units.order(Order("coast"))
        await pending_below(conductor, 1, watch.look)
        platform.units.order(Order("end"))
        while await conductor.look():  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)
        connection = await platform.connection(PATIENCE_S)
        held = await Held.read(connection, names)
        connection.terminate()
        verdict = truth.judge(left_in_spools(platform.disks["units"].path, names), held)
    live = vehicles * rate
    return {
        "vehicles": vehicles,
        "outage_s": seconds,
        "backlog": backlog,
        "noticed_s": round(noticed - back, 1),
        "drained_s": round(drained_s, 1),
        "live_per_s": live,
        "drain_vs_live": round(backlog / drained_s / live, 1),
        "live_delay_p50_s": round(delays.at(0.5), 2),
        "live_delay_p99_s": round(delays.at(0.99), 2),
        "live_readings": len(delays.found),
        "ingest_grew_mib": watch.grown_mib("ingest-1", "ingest-2"),
        "broker_grew_mib": watch.grown_mib("broker"),
        **{key: value for key, value in msgspec.to_builtins(verdict).items() if key != "altered"},
    }


async def _pending(conductor: Conductor) -> int:
    return sum(map(waiting, (await conductor.look()).values()))


async def pending_below(conductor: Conductor, most: float, meanwhile: Callable[[], None]) -> None:
    """Return when all units are there, and fewer readings wait."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            reports = await conductor.look()
            meanwhile()
            there = bool(reports) and all(report.registered for report in reports.values())
            if there and sum(map(waiting, reports.values())) < most:
                return
            await asyncio.sleep(LOOK_S)
