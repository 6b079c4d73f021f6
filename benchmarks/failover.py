"""The database's server is lost for good, and a second one that followed it takes its place.

Real units, broker, two ingest workers and two PostgreSQL servers with synchronous streaming replication, each
a process (as of `chaos`). The first server is killed in the middle of the traffic, the second one promoted.
Nobody tells the workers: their DSN names both hosts, and `target_session_attrs=read-write`.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._chaos_judge import Held, Truth, left_in_spools
from benchmarks._chaos_platform import WORKERS, secret
from benchmarks._chaos_units import News, Order
from benchmarks.chaos import conducting
from benchmarks.outage import PATIENCE_S, pending_below

if TYPE_CHECKING:
    from collections.abc import Callable

ABOUT = (
    "the database's server is killed, its standby promoted: what is lost, and for how long nothing is stored"
)
VEHICLES: Final = 20
RATE_HZ: Final = 10.0
ATTENTION_S: Final = 1.0  # until somebody has noticed, and promotes the standby


async def run(
    seconds: float, say: Callable[[str], None], vehicles: int = VEHICLES, seed: int | None = None
) -> dict[str, object]:
    """Traffic for `seconds`, and the failure in the middle of it."""
    names = [f"car-{index:05d}" for index in range(vehicles)]
    truth = Truth()
    async with conducting(rate_hz=RATE_HZ, replicated=True) as conductor:
        platform = conductor.platform
        standby = platform.standby
        assert standby is not None

        def hear(news: News) -> None:
            truth.hear(news)
            conductor.hear(news)

        platform.units.heard = hear
        await platform.provision(names)
        secrets = {name: secret(name) for name in names}
        platform.units.order(Order("begin", secrets=secrets, seed=seed or random.randrange(2**31)))
        few = vehicles * RATE_HZ * 3
        await pending_below(conductor, few, lambda: None)
        await asyncio.sleep(seconds / 2)
        await platform.database.stop(signal.SIGKILL)
        killed = time.monotonic()
        say("the first server is killed")
        await asyncio.sleep(ATTENTION_S)
        await standby.promote()
        promoted = time.monotonic()
        while not all([await platform.healthy(number) for number in WORKERS]):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
        healthy = time.monotonic()
        say("both workers store into the second one")
        await asyncio.sleep(seconds / 2)
        platform.units.order(Order("coast"))
        await pending_below(conductor, 1, lambda: None)
        platform.units.order(Order("end"))
        while await conductor.look():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        connection = await platform.connection(PATIENCE_S)
        held = await Held.read(connection, names)
        connection.terminate()
        verdict = truth.judge(left_in_spools(platform.disks["units"].path, names), held)
    return {
        "vehicles": vehicles,
        "readings_per_s": vehicles * RATE_HZ,
        "promoted_s": round(promoted - killed, 2),
        "stored_again_s": round(healthy - promoted, 2),
        **{key: value for key, value in msgspec.to_builtins(verdict).items() if key != "why"},
        "why": verdict.why,
    }
