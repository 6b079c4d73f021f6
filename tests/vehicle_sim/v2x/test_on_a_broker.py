"""Units that hear each other over a real broker, and one that is out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.v2x.cells import publish_topic, published_cell
from fleetcell.contract.v2x.messages import Cause
from fleetcell.contract.v2x.times import its_from_unix
from tests.vehicle_sim.garage import NOON_MS, SECRET, SIGNALS, Garage
from vehicle_sim.mobility.motion import Motion
from vehicle_sim.v2x.body import Body
from vehicle_sim.v2x.ldm import Refusal
from vehicle_sim.v2x.pseudonyms import PseudonymPolicy
from vehicle_sim.v2x.radio import Radio, V2xTally
from vehicle_sim.v2x.station import Station, StationPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.vehicle_sim.small_platform import SmallPlatform
    from vehicle_sim.session import VehicleUnit
    from vehicle_sim.v2x.options import Format

HERE = Motion(60.17, 24.94, 90.0, 10.0)
NEAR = replace(HERE, lat=60.1705)  # 56 m
FAR = replace(HERE, lat=60.22)  # 5.6 km
PATIENCE_S = 60.0
POLICY = StationPolicy(pseudonyms=PseudonymPolicy(silence_s=(0.0, 0.0)))  # not to wait for it


class Driver:
    """A unit whose station is looked at every 50 ms, with the motion that a test sets."""

    def __init__(
        self, name: str, platform: SmallPlatform, directory: Path, form: Format, motion: Motion
    ) -> None:
        self.garage = Garage(platform, directory / name)
        self.garage.car = f"{name}-of-{platform.region}"
        platform.register(self.garage.car, SECRET)
        self.motion = motion
        self.tally = V2xTally()
        self.station = Station(Body(), POLICY, random.Random(name))
        self.radio = Radio(self.station, POLICY.kinds, form, self.tally)
        self.unit: VehicleUnit = self.garage.start()
        self.unit.radio = self.radio
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self.unit.look_v2x(self.motion, time.time_ns() // 1_000_000)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._looking.cancel()
        for unit in list(self.garage.running):
            await self.garage.cut_off(unit)

    @property
    def neighbours(self) -> set[int]:
        return {one.cam.station_id for one in self.station.ldm.neighbours(round(time.monotonic() * 1000))}

    @property
    def warnings(self) -> list[int]:
        here = self.motion.lat, self.motion.lon
        found = self.station.ldm.warnings(its_from_unix(time.time_ns() // 1_000_000), here)
        return [one.denm.cause.cause_code for one in found if one.denm.cause]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.02)


async def hears(one: Driver, other: Driver) -> None:
    """Return when it hears the other, and nobody else."""
    await until(lambda: one.neighbours == {other.station.station_id})


@pytest.fixture
async def drivers(platform: SmallPlatform, tmp_path: Path) -> AsyncIterator[dict[str, Driver]]:
    """Two that are near each other, and two others far away."""
    async with contextlib.AsyncExitStack() as stack:
        made: dict[str, Driver] = {}
        who: list[tuple[str, Format, Motion]] = [
            ("ann", "json", HERE),
            ("bob", "uper", NEAR),
            ("cy", "json", FAR),
            ("dee", "uper", FAR),
        ]
        for name, form, motion in who:
            made[name] = Driver(name, platform, tmp_path, form, motion)
            stack.push_async_callback(made[name].stop)
        await asyncio.gather(*(driver.unit.wait_registered() for driver in made.values()))
        yield made


async def test_units_hear_those_around_them_and_nobody_else(drivers: dict[str, Driver]) -> None:
    ann, bob, cy, dee = (drivers[name] for name in ("ann", "bob", "cy", "dee"))
    for one, other in ((ann, bob), (bob, ann), (cy, dee), (dee, cy)):
        await hears(one, other)

    brakes = itertools.cycle([replace(HERE, acceleration=-6.0)] * 20 + [HERE] * 20)

    def bob_is_warned() -> bool:
        ann.motion = next(brakes)  # each time is an event of two seconds
        return bob.warnings == [Cause.DANGEROUS_SITUATION]

    await until(bob_is_warned)
    heard = cy.tally.cams_heard
    await until(lambda: cy.tally.cams_heard > heard)  # it hears, but not this
    assert cy.tally.denms_heard == dee.tally.denms_heard == 0
    assert ann.warnings == []  # its own
    assert cy.neighbours <= {dee.station.station_id}

    cy.motion = dee.motion = HERE  # they drive there, and the cells change
    await until(lambda: len(ann.neighbours) == 3)


async def test_what_is_wrong_is_counted_and_harms_nobody(
    drivers: dict[str, Driver], platform: SmallPlatform
) -> None:
    ann, bob = drivers["ann"], drivers["bob"]
    await until(lambda: ann.tally.cams_heard > 0)
    link = bob.unit._roamer.link
    assert link is not None
    cell, region = published_cell(HERE.lat, HERE.lon), platform.region
    for topic, payload in (
        (publish_topic(region, "cam", cell, 5), b"\xff\x00"),
        (publish_topic(region, "denm", cell, 5), b"{}"),
        (publish_topic(region, "denm", cell, 5, uper=True), b"\xff" * 40),
        (publish_topic(region, "cam", published_cell(FAR.lat, FAR.lon), 5), b"{}"),  # not heard there
    ):
        assert link.bridge.publish_nowait(topic, payload)
    await until(lambda: ann.tally.refused[Refusal.UNREADABLE] == 3)
    heard = ann.tally.cams_heard
    await until(lambda: ann.tally.cams_heard > heard)
    assert ann.tally.refused[Refusal.UNREADABLE] == 3


async def test_a_station_speaks_and_listens_again_after_its_link_was_lost(drivers: dict[str, Driver]) -> None:
    ann, bob = drivers["ann"], drivers["bob"]
    await until(lambda: ann.tally.cams_heard > 0 and bob.tally.cams_heard > 0)
    connects = ann.garage.tally.connects
    link = ann.unit._roamer.link
    assert link is not None
    link.bridge.drop()
    await until(lambda: ann.garage.tally.connects > connects)
    heard = ann.tally.cams_heard, bob.tally.cams_heard
    await until(lambda: ann.tally.cams_heard > heard[0] and bob.tally.cams_heard > heard[1])


async def test_a_warning_is_reported_and_who_stops_takes_it_back(
    drivers: dict[str, Driver], platform: SmallPlatform
) -> None:
    ann, bob = drivers["ann"], drivers["bob"]
    await until(lambda: bob.tally.cams_heard > 0)
    bob.motion = ann.motion
    standing = replace(HERE, speed_ms=0.0, standing=True)
    now = round(time.monotonic() * 1000)
    its = its_from_unix(time.time_ns() // 1_000_000)
    ann.station.look(now - 20_000, its - 20_000, standing)  # it stands for 20 s already
    ann.motion = standing
    await until(lambda: bob.warnings == [Cause.STATIONARY_VEHICLE] and len(bob.neighbours) == 1)
    bob.unit.record(NOON_MS, SIGNALS)
    await bob.unit.drained()
    (report,) = platform.gateway.events[bob.garage.car, bob.unit.spool.current.boot].values()
    assert (report.kind, report.ts) == ("hazard_heard", NOON_MS)
    assert (report.data["cause"], report.data["station"]) == (
        Cause.STATIONARY_VEHICLE,
        ann.station.station_id,
    )
    stored = platform.gateway.readings[bob.garage.car, bob.unit.spool.current.boot][1].s
    assert (stored["v2x_neighbours"], stored["v2x_warnings"]) == (1, 1)
    await ann.garage.stop(ann.unit)
    await until(lambda: any(event.over for event in bob.station.ldm._events.values()))
    assert bob.warnings == []
