"""A process of simulated units that drive over the border between two regions, and tell when.

    python -m benchmarks._presence_roamers < drive > news

The first and only line of the input is the `Drive`; news are `News`, a line each: `began` and `ended` of the
drive, `decided` when a unit's position says that another region serves it, `served` when it is there.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks._presence_border import SPEED_M_S, Track
from benchmarks._presence_units import News, tell
from fleetcell.contract.directory import Regions
from fleetcell.contract.messages import RegionEntry  # noqa: TC001 - msgspec reads it
from fleetcell.service import configure_logging
from vehicle_sim.fleet import allow_open_files
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.session import VehicleUnit
from vehicle_sim.spool import Spool
from vehicle_sim.tally import Tally

FILES_PER_UNIT: Final = 6  # three of its own and two connections, to spare
READING_S: Final = 1.0
CONNECT_GAP_S: Final = 0.02


class Drive(msgspec.Struct, frozen=True):
    """The units of one process, and how long they drive; each has a secret and a track."""

    broker_url: str
    region: str
    directory: dict[str, RegionEntry]
    folder: str
    secrets: dict[str, str]
    tracks: dict[str, Track]
    lasts_s: float
    seed: int


class Told(Tally):
    """The counts of one unit; tells when another gateway serves it."""

    unit: VehicleUnit

    def handed_over(self) -> None:
        """The handover is done, as the unit sees it."""
        super().handed_over()
        tell(News(time.monotonic(), "served", self.unit.vehicle, region=self.unit.region))


async def travel(unit: VehicleUnit, track: Track, regions: Regions, began: float, lasts_s: float) -> None:
    """Make a reading each second, and tell when its position asks for another region."""
    decided = unit.region
    reading_at = began + READING_S * random.Random(unit.vehicle).random()
    while reading_at < began + lasts_s:
        await asyncio.sleep(max(0.0, reading_at - time.monotonic()))
        lat, lon = track.place(reading_at - began)
        wanted = regions.serving(lat, lon, unit.region)
        at = time.monotonic()
        unit.record(int(time.time() * 1000), {"lat": lat, "lon": lon, "speed": 3.6 * SPEED_M_S})
        if wanted is not None and wanted != decided:
            decided = wanted
            tell(News(at, "decided", unit.vehicle, region=wanted))
        reading_at += READING_S


async def serve() -> None:
    """Let all units attach where they are, and drive."""
    drive = msgspec.json.decode(sys.stdin.readline(), type=Drive)
    allow_open_files(FILES_PER_UNIT * len(drive.secrets))
    regions = Regions({name: entry.cells for name, entry in drive.directory.items()})
    options = LinkOptions(drive.broker_url, drive.region, drive.directory)
    units: list[VehicleUnit] = []
    running: list[asyncio.Task[None]] = []
    for name, secret in drive.secrets.items():
        spool = Spool(Path(drive.folder) / name)
        spool.open()
        tally = Told()
        unit = VehicleUnit(name, secret, spool, options, tally, random.Random(f"{drive.seed}:{name}"))
        tally.unit = unit
        lat, lon = drive.tracks[name].place(0.0)
        unit.place({"lat": lat, "lon": lon})
        units.append(unit)
        running.append(asyncio.create_task(unit.run()))
        await asyncio.sleep(CONNECT_GAP_S)
    for unit in units:
        await unit.wait_registered()
    began = time.monotonic()
    tell(News(began, "began"))
    driving = [travel(unit, drive.tracks[unit.vehicle], regions, began, drive.lasts_s) for unit in units]
    await asyncio.gather(*driving)
    tell(News(time.monotonic(), "ended"))
    await asyncio.gather(*running)  # until it is killed: the last handovers are still to be shown


if __name__ == "__main__":
    configure_logging("error")
    uvloop.run(serve())
