"""Handovers in the live frame: units that drive over the border between two regions of one `fleetcell up`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks._presence_border import PASS_S, Move, astray, delays, make_tracks
from benchmarks._presence_roamers import Drive
from benchmarks._presence_units import News
from benchmarks._presence_up import ROOT, LiveFrame, platform_up
from fleetcell.contract.directory import Regions
from vehicle_sim import roads
from vehicle_sim.provisioning import Accounts
from vehicle_sim.score.presence import ONLINE, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from vehicle_sim.provisioning import Platform

REGIONS: Final = ("west", "east")
UNITS: Final = 50
PASSES: Final = 3  # of each unit, which is two or three handovers
ATTACH_S: Final = 60.0
SHOWN_S: Final = 30.0  # after the drive, for the last handovers


@dataclass
class Handovers:
    """What happened to the units, and what the frame showed of it."""

    frame: LiveFrame = field(default_factory=LiveFrame)
    moves: defaultdict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))
    served: defaultdict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))

    def shown_after_s(self) -> list[float | None]:
        """From each unit's decision to the frame that shows it online in the region that it decided for."""
        return [
            delay
            for unit, moves in self.moves.items()
            for delay in delays(
                moves, [Move(seen.at, seen.region) for seen in self.frame.shown[unit] if seen.state in ONLINE]
            )
        ]

    def served_after_s(self) -> list[float | None]:
        """From each unit's decision until the gateway there serves it, as the unit sees it."""
        return [delay for unit, moves in self.moves.items() for delay in delays(moves, self.served[unit])]

    def faults(self) -> dict[str, int]:
        """Changes in the frame that must not be, from each unit's first one on."""
        changes = [change for shown in self.frame.shown.values() for change in shown]
        return {
            "false_offline": sum(change.state is State.OFFLINE for change in changes),
            "not_online": sum(change.state not in ONLINE for change in changes),
            "two_regions": sum(astray(self.moves[unit], shown) for unit, shown in self.frame.shown.items()),
        }


async def drive_over_the_border(seed: int, say: Callable[[str], None]) -> Handovers:
    """Start a platform of two regions, drive, and wait until all is shown.

    Raises:
        RuntimeError: the units did not get online, or ended before they should.
    """
    found = Handovers()
    say(f"fleetcell up --regions {','.join(REGIONS)}")
    async with platform_up("--regions", ",".join(REGIONS)) as (data, platform):
        watching = asyncio.create_task(found.frame.watch(platform))
        try:
            await asyncio.wait_for(found.frame.ready.wait(), ATTACH_S)
            drive = await plan(data, platform, seed)
            async with departed(drive) as process:
                await follow(process, found, say)
                shown = await found.frame.until(lambda: None not in found.shown_after_s(), SHOWN_S)
            if not shown:
                say("not all handovers were shown")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return found


async def plan(data: Path, platform: Platform, seed: int) -> Drive:
    """Accounts and tracks of all units."""
    assert platform.directory is not None
    names = [f"roamer-{number:03}" for number in range(UNITS)]
    regions = Regions({name: entry.cells for name, entry in platform.directory.items()})
    tracks = make_tracks(regions, roads.load().bounds, UNITS, random.Random(seed))
    return Drive(
        platform.broker_url,
        platform.region,
        platform.directory,
        str(data / "units"),
        await Accounts(data / "units.json", platform).provision(names),
        dict(zip(names, tracks, strict=True)),
        PASSES * PASS_S,
        seed,
    )


@contextlib.asynccontextmanager
async def departed(drive: Drive) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process of the units; killed in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks._presence_roamers"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(drive) + b"\n")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def follow(process: asyncio.subprocess.Process, found: Handovers, say: Callable[[str], None]) -> None:
    """Read what the units tell until their drive is over and they are served where they decided for."""
    assert process.stdout is not None
    limit_s, number, over = ATTACH_S, 0, False
    while not over or None in found.served_after_s():
        try:
            line = await asyncio.wait_for(process.stdout.readline(), limit_s)
        except TimeoutError:
            if over:
                return
            raise RuntimeError(f"the units that drive told nothing for {limit_s:.0f} s") from None
        if not line:
            raise RuntimeError("the units that drive over the border ended")
        news = msgspec.json.decode(line, type=News)
        match news.what:
            case "began":
                say(f"{UNITS} units drive over the border, {PASSES * PASS_S:.0f} s to go")
            case "decided":
                found.moves[news.unit].append(Move(news.at, news.region))
                number += 1
                if number % 50 == 0:
                    say(f"{number} handovers")
            case "served":
                found.served[news.unit].append(Move(news.at, news.region))
            case _:
                over, limit_s = True, SHOWN_S
