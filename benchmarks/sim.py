"""How many units one process of the simulator drives, at a reading a second, on cellular links.

The measured process runs what `sim run` runs: traffic, drives, instruments, spools on the disk, cellular
links, paho sessions over WebSocket. The embedded broker and a gateway that acknowledges from memory are
processes of their own and are not counted, nor is what the kernel keeps for sockets.

- realtime_ratio: readings made, of those that were due (not where units sleep). Below 1 it is too slow.
- bytes_per_unit: resident memory in the end, less what was there with the road network and no unit.
- batch_age_p99_s: of the oldest reading of a batch, when it was at the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._brokers import embedded
from benchmarks._child import Child
from benchmarks._sim_gateway import Figures as Came
from benchmarks._sim_roads import write_town
from benchmarks._sim_worker import Figures, Job, share_of
from fleetcell.contract.errors import FleetcellError
from vehicle_sim.fleet import allow_open_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ABOUT = "sim: CPU and memory of thousands of simulated units on LTE links in one process"

VEHICLES: Final = 2_000
RATE_HZ: Final = 1.0
BATCH_S: Final = 4.0
_READY_S: Final = 240.0
_READY_PER_UNIT_S: Final = 0.03  # a connection, and readings until a parked one sleeps, on a busy machine
_NEARLY_ALL: Final = 0.98  # of parked units some wake just now, to look for commands
_ASLEEP: Final = 0.85
_SETTLE_S: Final = 5.0
_LOOK_S: Final = 1.0
_LOOK_PER_UNIT_S: Final = 0.00025  # counting thousands of units takes the measured process's own time


class SimError(FleetcellError):
    """The units did not get as far as to be measured."""


async def run(
    seconds: float,
    say: Callable[[str], None],
    vehicles: int = VEHICLES,
    seed: int = 1,
    workers: int = 1,
    parked: float = 0.0,
    link: str = "lte",
) -> dict[str, object]:
    """See the module.

    Args:
        seconds: how long it is measured, after all units are there.
        say: reports progress.
        vehicles: units in all.
        seed: of the drives and links.
        workers: processes that share them.
        parked: the share of vehicles that are parked nearly all the time; their units sleep.
        link: profile of the links.
    """
    with tempfile.TemporaryDirectory() as folder:
        town = Path(folder) / "town.geojson.gz"
        await asyncio.to_thread(write_town, town, round(vehicles * (1 - parked)))
        job = Job(
            broker_url="",
            secret="",
            folder=str(Path(folder) / "units"),
            roads=str(town),
            link=link,
            vehicles=vehicles,
            parked=parked,
            rate_hz=RATE_HZ,
            batch_s=BATCH_S,
            seed=seed,
        )
        allow_open_files(vehicles)
        async with contextlib.AsyncExitStack() as stack:
            broker = stack.enter_context(embedded(Path(folder), share_of(job)))
            url = f"ws://127.0.0.1:{broker.ws_port}/mqtt"
            gateway = await stack.enter_async_context(
                Child.started("benchmarks._sim_gateway", url, broker.secret)
            )
            await gateway.ask(Came)
            job = msgspec.structs.replace(job, broker_url=url, secret=broker.secret, workers=workers)
            crew = [
                await stack.enter_async_context(Child.started("benchmarks._sim_worker"))
                for _ in range(workers)
            ]
            return await _measure(job, crew, gateway, seconds, say)


async def _measure(
    job: Job, crew: Sequence[Child], gateway: Child, seconds: float, say: Callable[[str], None]
) -> dict[str, object]:
    jobs = [msgspec.structs.replace(job, worker=number) for number in range(len(crew))]
    empty = await asyncio.gather(
        *(child.ask(Figures, msgspec.json.encode(job)) for child, job in zip(crew, jobs, strict=True))
    )
    say(f"{job.vehicles} units in {len(crew)} processes, {empty[0].rss_bytes / 2**20:.0f} MiB without them")
    attach_s = await _all_there(job, crew, say)
    await asyncio.sleep(min(_SETTLE_S, seconds))
    await gateway.ask(Came)
    began = await _look(crew)
    await asyncio.sleep(seconds)
    ended = await _look(crew)
    came = await gateway.ask(Came)
    return figures(job, empty, began, ended, came) | {"attach_all_s": round(attach_s, 1)}


async def _look(crew: Sequence[Child]) -> list[Figures]:
    return list(await asyncio.gather(*(child.ask(Figures) for child in crew)))


async def _all_there(job: Job, crew: Sequence[Child], say: Callable[[str], None]) -> float:
    """Wait until every unit is registered or sleeps, and the parked ones do; seconds since the start."""
    began = time.monotonic()
    within_s = max(_READY_S, _READY_PER_UNIT_S * job.vehicles)
    said = -1
    while True:
        now = await _look(crew)
        online, asleep = sum(one.online for one in now), sum(one.asleep for one in now)
        there = (online + asleep) / job.vehicles
        if there >= (_NEARLY_ALL if job.parked else 1.0) and asleep >= _ASLEEP * job.parked * job.vehicles:
            return time.monotonic() - began
        if time.monotonic() - began > within_s:
            raise SimError(f"{online} online, {asleep} asleep after {within_s:g} s; {now[0].problem}")
        if (steps := int(time.monotonic() - began) // 10) != said:
            said = steps
            say(f"{online} online, {asleep} asleep")
        await asyncio.sleep(max(_LOOK_S, _LOOK_PER_UNIT_S * job.vehicles))


def figures(
    job: Job, empty: Sequence[Figures], began: Sequence[Figures], ended: Sequence[Figures], came: Came
) -> dict[str, object]:
    """What is told of one measurement: each sequence has an entry a process."""
    seconds = ended[0].at - began[0].at
    cpu_s = sum(b.cpu_s - a.cpu_s for a, b in zip(began, ended, strict=True))
    made = sum(b.made - a.made for a, b in zip(began, ended, strict=True))
    grown = sum(b.rss_bytes - a.rss_bytes for a, b in zip(empty, ended, strict=True))
    wanted = sum(one.started for one in ended) * job.rate_hz * seconds
    return {
        "units": job.vehicles,
        "workers": job.workers,
        "link": job.link,
        "asleep": sum(one.asleep for one in ended),
        "realtime_ratio": None if job.parked else round(made / wanted, 4),
        "bytes_per_unit": grown // job.vehicles,
        "cpu_cores": round(cpu_s / seconds, 3),
        "cpu_us_per_unit_s": round(cpu_s / seconds / job.vehicles * 1e6, 1),
        "readings_per_s": round(made / seconds, 1),
        "stored_per_s": round(came.fresh / seconds, 1),
        "stored_again": came.again,
        "resent": sum(one.resent for one in ended),
        "connects": sum(one.connects for one in ended),
        "pending": sum(one.pending for one in ended),
        "batch_age_p50_s": round(came.age_s(0.5), 2),
        "batch_age_p99_s": round(came.age_s(0.99), 2),
        "loop_lag_max_ms": round(max(one.lag_s for one in ended) * 1000, 1),
        "process_mib": round(max(one.rss_bytes for one in ended) / 2**20, 1),
    }
