"""A vehicle whose unit a test powers up, stops and cuts off, on one spool directory."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from fleetcell.mqtt import Backoff
from tests.vehicle_sim.spools import open_spool
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.session import VehicleUnit
from vehicle_sim.tally import Tally
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.vehicle_sim.small_platform import SmallPlatform

SECRET = "secret-of-the-car"
SIGNALS = {"lat": 60.17, "lon": 24.94, "speed": 31.5, "ignition": True}
NOON_MS = 1_780_000_000_000


class Garage:
    """Starts and ends units of one vehicle on one spool directory."""

    def __init__(self, platform: SmallPlatform, directory: Path) -> None:
        self.car = f"car-of-{platform.region}"
        self.platform = platform
        self.directory = directory
        self.tally = Tally()
        self.link = LinkOptions(
            platform.broker.url,
            platform.region,
            presence=PresencePolicy(claim_retry_first_s=0.2, update_interval_s=30),
            delivery=DeliveryPolicy(window_s=0.02, retry_first_s=0.3, batch_samples=10),
            backoff=Backoff(0.02, 0.2),
        )
        self.running: dict[VehicleUnit, asyncio.Task[None]] = {}

    def start(self) -> VehicleUnit:
        """Power up."""
        spool = open_spool(self.directory)
        self.tally = Tally(backlog=spool.pending_count)
        unit = VehicleUnit(self.car, SECRET, spool, self.link, self.tally, random.Random(7))
        self.running[unit] = asyncio.create_task(unit.run())
        return unit

    async def online(self) -> VehicleUnit:
        """Power up, and wait until the unit knows that it is registered."""
        unit = self.start()
        await unit.wait_registered()
        return unit

    async def stop(self, unit: VehicleUnit) -> None:
        """A clean stop."""
        unit.stop()
        await self.running.pop(unit)

    async def cut_off(self, unit: VehicleUnit) -> None:
        """Power loss: the link just ends."""
        task = self.running.pop(unit)
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def opened(platform: SmallPlatform, directory: Path) -> AsyncIterator[Garage]:
    """A garage; what still runs at the end is cut off."""
    made = Garage(platform, directory / "unit")
    platform.register(made.car, SECRET)
    yield made
    for unit in list(made.running):
        await made.cut_off(unit)


def make(unit: VehicleUnit, count: int) -> None:
    """Make readings, a second apart."""
    for number in range(count):
        unit.record(NOON_MS + 1000 * number, SIGNALS)
