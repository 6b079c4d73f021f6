"""The whole path: units over WebSocket at QoS 1, broker, ingest, PostgreSQL, and the ack after COMMIT.

Everything shares the machine: `fleetcell up` as a user starts it, with the dashboard, and the load generator
(`benchmarks/_path_load.py`, plain sockets). With `FLEETCELL_DSN` set, the platform uses that database, for
the tiers with TimescaleDB; it should be an empty one.

`msgs_per_s` is with one reading a message, `rows_per_s` with 50; both count what is acknowledged. That is as
many as get done, each unit with several messages under way. Sent evenly there is mostly one message of a unit
in a batch, and each costs more: `even_per_s` is the highest rate that is kept up with then. `ack_p50_ms` and
`ack_p99_ms` are from publishing to the ack at 70 % of it, `wanted_p50_ms` and `wanted_p99_ms` at 70 % of the
6,000 messages/s that are wanted. `ack_bound_ms` is what they should be under: the age at which a batch is
closed at the latest, three fsyncs of this disk, and 20 ms. `cpu_us_per_message` says what each service takes,
by readings in a message: the better figure on a busy machine.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import msgspec
import psutil

from benchmarks._child import Child
from benchmarks._path_load import Figures, Fleet, Order
from benchmarks._presence_up import platform_up
from fleetcell.settings import IngestSettings
from vehicle_sim.fleet import allow_open_files
from vehicle_sim.provisioning import Accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vehicle_sim.provisioning import Platform

ABOUT = (
    "path: messages/s and rows/s from units over WebSocket to the ack after COMMIT, and how long that takes"
)

UNITS: Final = 1_000
UNDER_WAY: Final = {1: 6, 10: 3, 50: 2}  # messages of a unit, by readings in one
LOAD: Final = 0.7
KEPT_UP: Final = 0.97  # of what was sent evenly is done in the same time
STEPS: Final = 5  # to find the highest such rate: within 1/32 of the rate of bursts
WANTED_PER_S: Final = 6_000
FILES_TO_SPARE: Final = 2
FSYNCS: Final = 50


async def run(seconds: float, say: Callable[[str], None], vehicles: int = UNITS) -> dict[str, object]:
    """Measure; each of the five loads for a fifth of the time, and half as long each step of the search.

    Args:
        seconds: how long in all.
        say: reports progress.
        vehicles: units.
    """
    share_s = seconds / 5
    allow_open_files(vehicles * FILES_TO_SPARE)
    dsn = os.environ.get("FLEETCELL_DSN")
    async with platform_up(*(("--dsn", dsn) if dsn else ())) as (data, platform):
        names = [f"unit-{number:05}" for number in range(vehicles)]
        secrets = await Accounts(data / "sim" / "units.json", platform).provision(names)
        port = urlsplit(platform.broker_url).port
        assert port is not None
        async with Child.started("benchmarks._path_load") as load:
            await load.ask(Figures, msgspec.json.encode(Fleet(port, platform.region, secrets)))
            say(f"{vehicles} units are connected")
            used = Usage(data)
            evenly = wanted = Figures()
            even_per_s = 0.0
            found: dict[int, Figures] = {}
            costs: dict[int, dict[str, float]] = {}
            for samples, under_way in UNDER_WAY.items():
                used.begin()
                found[samples] = await ask(load, Order(samples, share_s, under_way))
                costs[samples] = used.per_message(found[samples])
                per_s = found[samples].messages / found[samples].seconds
                say(f"{per_s:,.0f} messages/s of {samples} readings, {found[samples].unsettled} unsettled")
                if samples == 1:  # now, and not while the flood of the other two is still being derived
                    even_per_s = await highest_even(load, share_s / 2, per_s, say)
                    evenly = await ask(load, Order(1, share_s, 1_000, per_s=LOAD * even_per_s))
                    wanted = await ask(load, Order(1, share_s, 1_000, per_s=LOAD * WANTED_PER_S))
        lost = [await missing(platform, name, found[50].used[name]) for name in (names[0], names[-1])]
    fsync_ms = fsync_time_ms()
    linger_ms = IngestSettings.model_fields["batch_ms"].default
    return {
        "units": vehicles,
        "msgs_per_s": round(found[1].messages / found[1].seconds),
        "even_per_s": round(even_per_s),
        "rows_per_s": round(50 * found[50].messages / found[50].seconds),
        "rows_per_s_10_samples": round(10 * found[10].messages / found[10].seconds),
        "ack_p50_ms": round(evenly.delay_ms(0.5), 1),
        "ack_p99_ms": round(evenly.delay_ms(0.99), 1),
        "wanted_p50_ms": round(wanted.delay_ms(0.5), 1),
        "wanted_p99_ms": round(wanted.delay_ms(0.99), 1),
        "ack_bound_ms": round(linger_ms + 3 * fsync_ms + 20, 1),
        "fsync_ms": round(fsync_ms, 2),
        "unsettled": sum(one.unsettled for one in (*found.values(), evenly, wanted)),
        "missing": sum(lost),
        "cpu_us_per_message": {str(samples): cost for samples, cost in costs.items()},
    }


async def highest_even(load: Child, seconds: float, most: float, say: Callable[[str], None]) -> float:
    """Messages a second of one reading, sent evenly, that are kept up with: by halves, up to `most`."""
    low, high = 0.0, most
    for _ in range(STEPS):
        rate = (low + high) / 2
        one = await ask(load, Order(1, seconds, 1_000, per_s=rate))
        kept_up = one.messages >= KEPT_UP * rate * one.seconds
        say(f"{rate:,.0f} messages/s sent evenly: {'kept up' if kept_up else 'too many'}")
        low, high = (rate, high) if kept_up else (low, rate)
    return low


async def ask(load: Child, order: Order) -> Figures:
    return await load.ask(Figures, msgspec.json.encode(order), within_s=order.seconds + 90)


class Usage:
    """CPU time of the services, by the pid files of `fleetcell up`."""

    def __init__(self, data: Path) -> None:
        files = (data / "run").glob("*.pid")
        self._pids = {file.stem: int(file.read_text()) for file in files}
        self._before: dict[str, float] = {}

    def begin(self) -> None:
        self._before = self._now()

    def per_message(self, load: Figures) -> dict[str, float]:
        """Microseconds of CPU a message since `begin`, by service; `load` is the generator."""
        spent = {name: seconds - self._before.get(name, 0.0) for name, seconds in self._now().items()}
        spent["load"] = load.cpu_s
        return {name: round(s / max(1, load.sent) * 1e6, 1) for name, s in sorted(spent.items())}

    def _now(self) -> dict[str, float]:
        return {name: _cpu_s(psutil.Process(pid)) for name, pid in self._pids.items()}


def _cpu_s(process: psutil.Process) -> float:
    """Of a process and what it has started."""
    times = process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    return float(own + sum(_cpu_s(child) for child in process.children()))


async def missing(platform: Platform, vehicle: str, used: int) -> int:
    """How many of the numbers that a unit has used are not stored, by the platform's own account."""
    async with httpx.AsyncClient(base_url=platform.api_url, trust_env=False) as client:
        answer = await client.get(
            f"/api/v1/vehicles/{vehicle}/delivery",
            headers={"Authorization": f"Bearer {platform.api_key}"},
        )
    answer.raise_for_status()
    received: int = answer.json()["received"]
    return used - received


def fsync_time_ms() -> float:
    """A page written and synced where the database of the benchmark would be, the median."""
    took = []
    with tempfile.NamedTemporaryFile(prefix="fleetcell-") as file:
        for _ in range(FSYNCS):
            file.write(bytes(8192))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000
