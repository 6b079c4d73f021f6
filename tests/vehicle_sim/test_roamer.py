"""A unit between two gateways, each with a broker process and a register of its own."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h3
import pytest

from fleetcell.contract.messages import ClaimKind, Directory, RegionEntry, encode
from fleetcell.contract.presence import Reason
from fleetcell.contract.topics import DIRECTORY_TOPIC
from fleetcell.mqtt import Backoff
from tests.vehicle_sim.garage import NOON_MS, SECRET
from tests.vehicle_sim.spools import open_spool
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.roaming import RoamingPolicy
from vehicle_sim.session import VehicleUnit
from vehicle_sim.tally import Tally
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.vehicle_sim.small_platform import SmallPlatform

WEST, EAST = (60.17, 24.60), (60.17, 25.20)
CAR = "car-between-regions"
PATIENCE_S = 60.0


class Regions:
    """West, whose broker may be killed, and east; the unit begins in west."""

    def __init__(self, west: SmallPlatform, east: SmallPlatform, directory: Path) -> None:
        self.west = west
        self.east = east
        self.entries = {
            platform.region: RegionEntry(platform.broker.url, [h3.latlng_to_cell(*place, 5)])
            for platform, place in ((west, WEST), (east, EAST))
        }
        self._directory = directory
        self._made = 0

    @asynccontextmanager
    async def unit(self, **roaming: float) -> AsyncIterator[VehicleUnit]:
        """The car's unit, registered in west."""
        spool = open_spool(self._directory)
        policy: dict[str, Any] = {"silent_s": 0.2, "try_s": 20, "retry_first_s": 0.2, "retry_cap_s": 0.2}
        link = LinkOptions(
            self.west.broker.url,
            self.west.region,
            directory=self.entries,
            presence=PresencePolicy(claim_retry_first_s=0.2, update_interval_s=30),
            delivery=DeliveryPolicy(window_s=0.02, retry_first_s=0.3),
            roaming=RoamingPolicy(**policy | roaming),
            backoff=Backoff(0.02, 0.2),
        )
        unit = VehicleUnit(CAR, SECRET, spool, link, Tally(), random.Random(3))
        self.drive(unit, WEST)
        running = asyncio.create_task(unit.run())
        try:
            await asyncio.wait_for(unit.wait_registered(), PATIENCE_S)
            yield unit
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=PATIENCE_S)
            assert running.done(), "a unit that was told to end went on"

    def drive(self, unit: VehicleUnit, place: tuple[float, float]) -> None:
        """Make a reading at a place."""
        self._made += 1
        unit.record(NOON_MS + 1000 * self._made, {"lat": place[0], "lon": place[1]})

    async def served_by(self, platform: SmallPlatform, unit: VehicleUnit) -> None:
        """Wait until a region serves the unit, and has what it made."""
        async with asyncio.timeout(PATIENCE_S):
            while not (unit.region == platform.region and unit.registered):
                await asyncio.sleep(0.005)
            await unit.drained()

    def shown(self, platform: SmallPlatform) -> tuple[str, str]:
        """What a region's register shows."""
        return platform.gateway.state(CAR)

    def epochs(self, platform: SmallPlatform) -> list[int]:
        """The sessions that attached in a region."""
        claims = [claim for _, claim in platform.gateway.claims if claim.kind is ClaimKind.ATTACH]
        return list(dict.fromkeys(claim.epoch for claim in claims))


@pytest.fixture
def regions(mortal: SmallPlatform, platform: SmallPlatform, tmp_path: Path) -> Regions:
    """Two regions that both let the car in."""
    for one in (mortal, platform):
        one.register(CAR, SECRET)
    return Regions(mortal, platform, tmp_path / "unit")


async def test_it_attaches_there_and_then_says_goodbye_here(regions: Regions) -> None:
    async with regions.unit() as unit:
        regions.drive(unit, EAST)
        await regions.served_by(regions.east, unit)
        await regions.west.gateway.until(lambda: regions.shown(regions.west) == ("suspect", "handover"))
        goodbye = regions.west.gateway.claims[-1][1]
        assert (goodbye.kind, goodbye.reason, goodbye.to) == (
            ClaimKind.DETACH,
            Reason.HANDOVER,
            regions.east.region,
        )
        assert regions.epochs(regions.east) == [goodbye.epoch + 1]
        assert regions.shown(regions.east) == ("online", "attach")
        assert unit.tally.handovers == 1
        regions.drive(unit, WEST)
        await regions.served_by(regions.west, unit)
        assert regions.west.gateway.stored(CAR) + regions.east.gateway.stored(CAR) >= 3
        cells = {claim.cell for _, claim in regions.east.gateway.claims if claim.kind is ClaimKind.ATTACH}
        assert cells == {h3.cell_to_parent(h3.latlng_to_cell(*EAST, 11), 9)}


async def test_a_gateway_tells_it_of_the_others(regions: Regions) -> None:
    entries = regions.entries
    regions.entries = {}
    async with regions.unit() as unit:
        regions.drive(unit, EAST)
        assert unit.region == regions.west.region
        bridge = regions.west.gateway.bridge
        await bridge.publish(
            DIRECTORY_TOPIC, encode(Directory(entries, datetime.now(UTC))), qos=1, retain=True
        )
        await regions.served_by(regions.east, unit)


async def test_without_its_gateway_it_goes_to_the_neighbour_and_comes_back(regions: Regions) -> None:
    async with regions.unit() as unit:
        await regions.west.kill_broker()
        regions.drive(unit, WEST)
        await regions.served_by(regions.east, unit)
        await regions.west.start_broker()
        await regions.served_by(regions.west, unit)
        assert regions.shown(regions.west)[0] == "online"


async def test_a_gateway_that_does_not_register_it_is_left_with_a_later_session_here(
    regions: Regions,
) -> None:
    async with regions.unit(try_s=0.3) as unit:
        first = unit.epoch
        regions.east.gateway.deaf = True
        regions.drive(unit, EAST)
        async with asyncio.timeout(PATIENCE_S):
            while not (unit.epoch > first + 1 and unit.registered):
                await asyncio.sleep(0.005)
        assert unit.region == regions.west.region
        assert regions.shown(regions.west)[0] == "online"
        regions.east.gateway.deaf = False
        await regions.served_by(regions.east, unit)


async def test_a_gateway_that_hears_too_late_hears_a_goodbye_too(regions: Regions) -> None:
    # It tries again and again: on a busy machine a try may be over before anything is heard of it.
    async with regions.unit(try_s=0.5, retry_first_s=1, retry_cap_s=1) as unit:
        east = regions.east.gateway
        east.silent = True  # it registers, but its states do not come out
        regions.drive(unit, EAST)
        await asyncio.wait_for(
            east.until(lambda: regions.shown(regions.east) == ("suspect", "handover")), PATIENCE_S
        )
        goodbyes = [claim for _, claim in east.claims if claim.kind is ClaimKind.DETACH]
        assert goodbyes
        assert {goodbye.to for goodbye in goodbyes} == {regions.west.region}
        await regions.served_by(regions.west, unit)


@pytest.mark.parametrize("turns", range(3))
async def test_it_ends_when_told_to_while_the_link_it_left_is_ending(regions: Regions, turns: int) -> None:
    async with regions.unit() as unit:
        assert unit._roamer.link is not None
        left = unit._roamer.link.bridge
        regions.drive(unit, EAST)
        async with asyncio.timeout(PATIENCE_S):
            while left._session is not None:
                await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_a_directory_that_is_not_readable_costs_only_what_is_wrong(regions: Regions) -> None:
    entries = regions.entries
    regions.entries = {}
    async with regions.unit() as unit:
        regions.drive(unit, EAST)
        bridge = regions.west.gateway.bridge
        bad = [b"{", b"", encode(Directory({"x": RegionEntry("ws://x/mqtt", ["zz"])}, datetime.now(UTC)))]
        for payload in bad:
            await bridge.publish(DIRECTORY_TOPIC, payload, qos=1)
        lost = {"lost": RegionEntry("nowhere", entries[regions.east.region].cells)}
        good = encode(Directory(lost | entries, datetime.now(UTC)))
        await bridge.publish(DIRECTORY_TOPIC, good, qos=1)
        await regions.served_by(regions.east, unit)
        assert unit.tally.bad_messages == 2


async def test_told_to_stop_while_it_tries_another_gateway_it_says_goodbye_here(regions: Regions) -> None:
    async with regions.unit() as unit:
        regions.east.gateway.deaf = True
        regions.drive(unit, EAST)
        first = unit.epoch
        async with asyncio.timeout(PATIENCE_S):
            while unit.spool.epochs.value == first:  # the other session has its epoch
                await asyncio.sleep(0.005)
        unit.stop()
        west = regions.west.gateway
        # later than any session that the other gateway may have heard of
        await asyncio.wait_for(west.until(lambda: west.claims[-1][1].epoch > first + 1), PATIENCE_S)
        assert west.claims[-1][1].reason == Reason.SHUTDOWN
        assert regions.shown(regions.west) == ("offline", "shutdown")
