"""Vehicles of a run that park and sleep."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import ClaimKind
from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from vehicle_sim import app, simulation
from vehicle_sim.app import RunOptions, run_simulation
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.mobility import ALWAYS_OUT, ERRANDS, Drive
from vehicle_sim.power import PowerPolicy
from vehicle_sim.run import sleepers, vehicle_names
from vehicle_sim.simulation import Simulation
from vehicle_sim.tasks import end
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.contract.messages import Sample
    from tests.vehicle_sim.small_platform import SmallPlatform
    from vehicle_sim.mobility import ClockErrors, GnssErrors, Habit, Kind, Traffic
    from vehicle_sim.roads import RoadNetwork
    from vehicle_sim.session import VehicleUnit

SEED: Final = 11


@given(st.integers(1, 300), st.floats(0, 1))
def test_the_share_of_sleepers_is_kept_and_they_are_always_the_same(count: int, share: float) -> None:
    names = list(itertools.islice(vehicle_names(), count))
    chosen = sleepers(names, share)
    assert abs(len(chosen) - share * count) <= 1
    assert chosen == sleepers(names, share)
    assert chosen <= sleepers([*names, "one-more"], share)


def test_a_fifth_is_every_fifth_and_a_small_demo_has_none() -> None:
    names = list(itertools.islice(vehicle_names(), 25))
    assert sleepers(names, 0.2) == set(names[4::5])
    assert sleepers(names[:4], 0.2) == set()
    assert sleepers(names, 0.0) == set()
    assert sleepers(names, 1.0) == set(names)


def parked_drive(before_leaving_s: float) -> Drive:
    """A vehicle that has parked and drives on after so many seconds."""
    scout, t = Drive(NETWORK, SEED, habit=ERRANDS), 0.0
    while not scout.parked:
        scout.advance(0.5)
        t += 0.5
    while scout.parked:
        scout.advance(0.5)
        t += 0.5
    drive = Drive(NETWORK, SEED, habit=ERRANDS)
    drive.advance(t - before_leaving_s)
    assert drive.parked
    return drive


class Lot:
    """A running vehicle that is parked, and leaves after so many seconds."""

    def __init__(self, platform: SmallPlatform, *, leaves_after_s: float) -> None:
        options = RunOptions(platform.layout.root, vehicles=1)
        policy = PresencePolicy(claim_retry_first_s=0.2)
        found = app._platform(options)
        self.fleet = app._fleet(options, found, policy, DeliveryPolicy(window_s=0.02), SEED, 20.0)
        self.fleet.claim_free(vehicle_names(), 1)
        self.drive = parked_drive(leaves_after_s)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> VehicleUnit:
        await self.fleet.provision()
        (unit,) = self.fleet.units.values()
        power = PowerPolicy(active_s=0.3, sleep_s=3600, reading_s=0.1)
        simulation = Simulation(self.fleet, {unit.vehicle: self.drive}, power)
        self._tasks.append(asyncio.create_task(simulation.run()))
        return unit

    async def end(self) -> None:
        """The vehicle makes no more readings."""
        await end(*self._tasks)

    async def __aexit__(self, *_: object) -> None:
        await self.end()
        await self.fleet.stop()


async def test_a_parked_vehicle_sleeps_and_wakes_when_it_is_driven_away(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "_AWAKE_S", 0.0)
    gateway = platform.gateway
    lot = Lot(platform, leaves_after_s=100.0)
    async with lot as unit:
        await gateway.until(lambda: gateway.state(unit.vehicle) == ("asleep", "sleep"))
        lot.drive.advance(99.0)
        await gateway.until(lambda: gateway.state(unit.vehicle) == ("online", "woke"))
        await gateway.until(lambda: any(sample.s["speed"] for sample in readings(platform)))
    kinds = [claim.kind for _, claim in gateway.claims]
    assert kinds[:2] == [ClaimKind.ATTACH, ClaimKind.SLEEP]
    assert {sample.s["ignition"] for sample in readings(platform)} == {False, True}
    assert gateway.state(unit.vehicle) == ("offline", "shutdown")


def readings(platform: SmallPlatform) -> list[Sample]:
    return [sample for found in platform.gateway.readings.values() for _, sample in sorted(found.items())]


async def test_a_sleeper_is_woken_to_deliver_what_it_made_before_a_run_ends(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "_AWAKE_S", 0.0)
    lot = Lot(platform, leaves_after_s=100.0)
    async with lot as unit:
        while not (unit.asleep and unit.spool.pending_count):
            await asyncio.sleep(0.01)
        assert lot.fleet.asleep == 1
        await lot.end()
        assert await lot.fleet.drain(60)
    assert lot.fleet.tally.made == lot.fleet.tally.acked == platform.gateway.stored(unit.vehicle)


async def test_sleepers_of_a_run_park_after_each_trip(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    habits: list[Habit] = []

    def noting(
        network: RoadNetwork,
        seed: str,
        *,
        habit: Habit,
        kind: Kind,
        traffic: Traffic,
        gnss: GnssErrors | None,
        clock: ClockErrors | None,
        may_begin: Callable[[float, float], bool] | None,
    ) -> Drive:
        habits.append(habit)
        assert (gnss, clock, may_begin) == (None, None, None)
        return Drive(network, seed, habit=habit, kind=kind, traffic=traffic)

    monkeypatch.setattr("vehicle_sim.mobility.Drive", noting)
    await run_simulation(RunOptions(platform.layout.root, vehicles=4, duration_s=0.1, sleepers=0.5))
    assert habits == [ALWAYS_OUT, ERRANDS, ALWAYS_OUT, ERRANDS]
