"""The process that the benchmark of the simulator measures: the units of `sim run`, or one worker's share.

    python -m benchmarks._sim_worker

The first line on standard input is the `Job`. It says `Figures` when everything but the units is there, and
again for each further line.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import psutil
import uvloop

from benchmarks._load import REGION
from fleetcell.service import configure_logging
from vehicle_sim import roads
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.fleet import Fleet
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.links import load
from vehicle_sim.mobility import ALWAYS_OUT, Drive, Traffic, kind_of
from vehicle_sim.mobility.kinds import Habit
from vehicle_sim.power import PowerPolicy
from vehicle_sim.run import sleepers, vehicle_names
from vehicle_sim.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

PARKED_HABIT: Final = Habit((60.0, 180.0), (3600.0, 4 * 3600.0), 1.0, sleeps=True, begins_parked=True)


class Job(msgspec.Struct, frozen=True):
    """What one worker does: the vehicles `worker`, `worker + workers`, ... of the fleet."""

    broker_url: str
    secret: str
    folder: str
    roads: str
    link: str
    vehicles: int
    parked: float
    rate_hz: float
    batch_s: float
    seed: int
    worker: int = 0
    workers: int = 1


class Figures(msgspec.Struct, frozen=True):
    """Of the process until now; `lag_s` is the longest time that the event loop was late, since the last."""

    at: float
    cpu_s: float
    rss_bytes: int
    started: int = 0
    online: int = 0
    asleep: int = 0
    made: int = 0
    acked: int = 0
    pending: int = 0
    resent: int = 0
    connects: int = 0
    lag_s: float = 0.0
    problem: str = ""


def share_of(job: Job) -> list[str]:
    """The vehicles of a worker: those of all workers together are those of one that has all."""
    names = itertools.islice(vehicle_names(), job.vehicles)
    return list(itertools.islice(names, job.worker, None, job.workers))


class _Secrets:
    """All units of the benchmark have one secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def provision(self, vehicles: Sequence[str], *, rotate: bool = False) -> dict[str, str]:
        """As `Accounts.provision`."""
        del rotate
        return dict.fromkeys(vehicles, self._secret)


class Worker:
    """The units, and what they need."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._network = roads.load(Path(job.roads))
        links = None if job.link == "perfect" else load(job.link, job.seed, self._network.roads)
        self._traffic = Traffic(self._network, job.seed)
        link = LinkOptions(job.broker_url, REGION, roams=False, delivery=DeliveryPolicy(window_s=job.batch_s))
        self._fleet = Fleet(
            Path(job.folder), _Secrets(job.secret), link, job.seed, rate_hz=job.rate_hz, cellular=links
        )
        self._lag_s = 0.0
        gc.collect()
        self._process = psutil.Process()

    async def run(self) -> None:
        """As `sim run`, without an end."""
        job, fleet = self._job, self._fleet
        names = share_of(job)
        fleet.claim_all(names)
        await fleet.provision()
        parked = sleepers(names, job.parked)
        drives = {
            vehicle: Drive(
                self._network,
                f"{job.seed}:{vehicle}",
                habit=PARKED_HABIT if vehicle in parked else ALWAYS_OUT,
                kind=kind_of(vehicle),
                traffic=self._traffic,
            )
            for vehicle in names
        }
        try:
            await Simulation(fleet, drives, PowerPolicy(), awake_s=0.0).run()
        finally:
            await fleet.stop()
            fleet.release()

    async def watch(self) -> None:
        """Note how late the event loop is."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            self._lag_s = max(self._lag_s, time.perf_counter() - before - 0.01)

    def figures(self) -> Figures:
        """Until now."""
        fleet, tally = self._fleet, self._fleet.tally
        lag_s, self._lag_s = self._lag_s, 0.0
        times = self._process.cpu_times()
        return Figures(
            at=time.monotonic(),
            cpu_s=times.user + times.system,
            rss_bytes=self._process.memory_info().rss,
            started=fleet.started,
            online=fleet.registered,
            asleep=fleet.asleep,
            made=tally.made,
            acked=tally.acked,
            pending=tally.pending,
            resent=fleet.resent,
            connects=tally.connects,
            lag_s=lag_s,
            problem=next(iter(fleet.problems()), ""),
        )


async def serve() -> None:
    """Run until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    worker = Worker(msgspec.json.decode(await reader.readline(), type=Job))
    _say(worker.figures())
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(worker.watch())]
    while await reader.readline():
        for task in tasks:
            if task.done():
                task.result()
        _say(worker.figures())
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[0]


def _say(figures: Figures) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(figures) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    configure_logging("error")
    uvloop.run(serve())
