"""Real units, broker, two ingest workers and PostgreSQL, while the network, processes and disks fail.

Each schedule has vehicles of its own and lasts a few seconds: they drive, faults befall them (drawn from the
seed, `_chaos_plan`), all is whole again, they stop making readings. Then what the units said of each reading
is compared with the tables: acknowledged and not stored, stored twice, unexplained, or stored otherwise than
made. And the register: within one update interval after all have their connections again it must show every
unit as it is.

    python -m benchmarks chaos --schedules 300 --seed 7 --json
    python -m benchmarks chaos --seed 7 --only 123          # one of them again, with what happened
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks._chaos_conductor import Conductor, Outcome
from benchmarks._chaos_plan import schedule
from benchmarks._chaos_platform import Platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

ABOUT = "what is lost, stored twice or shown wrongly while network, processes and disks fail"
SCHEDULES: Final = 10
TELL_EVERY: Final = 25


async def run(
    seconds: float,
    say: Callable[[str], None],
    schedules: int = SCHEDULES,
    seed: int | None = None,
    only: int | None = None,
) -> dict[str, object]:
    """Play the schedules; `seconds` is not used: their number says how long it takes (some 6 s each)."""
    del seconds
    chosen = random.SystemRandom().randrange(1, 2**31) if seed is None else seed
    numbers = [only] if only is not None else list(range(1, schedules + 1))
    say(f"seed {chosen}; --only K plays one of its schedules again")
    began = time.monotonic()
    async with conducting() as conductor:
        await conductor.prepare(chosen, numbers)
        outcomes = []
        with _bar(len(numbers)) as advance:
            for number in numbers:
                outcome = await conductor.play(number, schedule(chosen, number))
                outcomes.append(outcome)
                if not outcome.is_clean or only is not None:
                    say(outcome.story())
                advance(sum(not outcome.is_clean for outcome in outcomes))
                if len(outcomes) % TELL_EVERY == 0:
                    say(f"{len(outcomes)} of {len(numbers)} schedules")
        deaths = conductor.deaths
    return figures(outcomes, deaths, chosen, time.monotonic() - began)


@contextlib.asynccontextmanager
async def conducting(**crew: Any) -> AsyncIterator[Conductor]:
    """A platform in a folder of its own, and who breaks it; `crew`: how its units are."""
    with tempfile.TemporaryDirectory(prefix="fleetcell-chaos-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)  # noqa: S103, PTH101 - the server may run as another user
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # give the disks back
        conductor = Conductor()
        conductor.platform = Platform(Path(name), conductor.hear, **crew)
        try:
            await conductor.platform.start()
            yield conductor
        finally:
            await conductor.platform.stop()


def figures(
    outcomes: Sequence[Outcome], deaths: dict[str, int], seed: int, took_s: float
) -> dict[str, object]:
    """The sums of all schedules. All counts but of what was made, sent and cut should be 0."""
    settled = sorted(outcome.settled_s for outcome in outcomes)
    total = {
        name: sum(getattr(outcome.verdict, name) for outcome in outcomes)
        for name in ("acked_lost", "duplicates", "unexplained", "altered", "made", "acked", "arrived_again")
    }
    return {
        "schedules": len(outcomes),
        "seed": seed,
        **total,
        "presence_wrong": sum(len(outcome.presence_wrong) for outcome in outcomes),
        "presence_wrong_in_the_end": sum(len(outcome.never_right) for outcome in outcomes),
        "undelivered": sum(outcome.undelivered for outcome in outcomes),
        "unit_crashes": sum(len(outcome.crashes) for outcome in outcomes),
        "violations": [outcome.number for outcome in outcomes if not outcome.is_clean],
        "faults": sum(len(outcome.faults) for outcome in outcomes),
        "commits_cut": sum(outcome.commits_cut for outcome in outcomes),
        "refused_by_full_disk": sum(outcome.refused for outcome in outcomes),
        "ended_by_themselves": deaths,
        "settled_p50_s": round(settled[len(settled) // 2], 2),
        "settled_p99_s": round(settled[min(len(settled) - 1, int(len(settled) * 0.99))], 2),
        "settled_max_s": round(settled[-1], 2),
        "schedule_s": round(took_s / len(outcomes), 2),
    }


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("chaos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("{task.fields[bad]} with a fault"), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("chaos", total=total, bad=0)
        yield lambda bad: progress.update(task, advance=1, bad=bad)
