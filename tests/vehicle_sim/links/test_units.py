"""Units on cellular links, against our broker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.vehicle_sim.garage import NOON_MS, SIGNALS, Garage, make, opened
from tests.vehicle_sim.links.virtual import SteadyAir, quiet_link
from vehicle_sim.app import ReplayOptions, RunOptions, run_replay, run_simulation
from vehicle_sim.links import PROFILES, Links, load
from vehicle_sim.links.air import Change
from vehicle_sim.links.transport import Modem
from vehicle_sim.links.tunnels import BUILT_IN
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.vehicle_sim.small_platform import SmallPlatform
    from vehicle_sim.session import VehicleUnit

OPEN_ROAD = {"lat": 60.1650, "lon": 24.9500}
IN_TUNNEL = {"lat": 60.1704, "lon": 24.9420}


@pytest.fixture
async def garage(platform: SmallPlatform, tmp_path: Path) -> AsyncIterator[Garage]:
    async with opened(platform, tmp_path) as made:
        yield made


def record(unit: VehicleUnit, number: int, place: dict[str, float]) -> None:
    """Make a reading somewhere."""
    unit.record(NOON_MS + 1000 * number, SIGNALS | place)


async def test_a_vehicle_in_a_tunnel_is_lost_comes_back_and_has_lost_no_reading(garage: Garage) -> None:
    """The broker misses it after one and a half keep-alive intervals; the will says why."""
    assert BUILT_IN[0].covers(IN_TUNNEL["lon"], IN_TUNNEL["lat"])
    gateway, link = garage.platform.gateway, Links(PROFILES["tunnel"], seed=1).make("car")
    garage.link = replace(garage.link, modem=Modem(link), presence=PresencePolicy(keep_alive_s=1))
    unit = garage.start()
    record(unit, 0, OPEN_ROAD)
    await gateway.until(lambda: gateway.state(garage.car) == ("online", "attach"))
    record(unit, 1, IN_TUNNEL)
    assert not link.covered
    for number in range(2, 20):
        record(unit, number, IN_TUNNEL)
    await gateway.until(lambda: gateway.state(garage.car) == ("suspect", "lost"))
    assert gateway.stored(garage.car) < 20
    record(unit, 20, OPEN_ROAD)
    await gateway.until(lambda: gateway.state(garage.car) == ("online", "attach"))
    await unit.drained()
    assert gateway.stored(garage.car) == 21
    assert link.changes[Change.COVERAGE_LOST] == link.changes[Change.COVERAGE_BACK] == 1
    await garage.stop(unit)
    assert gateway.state(garage.car) == ("offline", "shutdown")


async def test_a_clean_stop_crosses_a_slow_link(garage: Garage) -> None:
    """DISCONNECT arrives before the unit is gone, so the broker publishes no will."""
    link = quiet_link(SteadyAir(5e4, 5e4), up_s=0.08, down_s=0.04)
    garage.link = replace(garage.link, modem=Modem(link))
    unit = await garage.online()
    make(unit, 10)
    await unit.drained()
    await garage.stop(unit)
    gateway = garage.platform.gateway
    assert gateway.state(garage.car) == ("offline", "shutdown")
    again = await garage.online()  # a later session: a will of the first one would have come by now
    wills = [claim for _, claim in gateway.claims if claim.n is None]
    assert wills == []
    await garage.stop(again)


async def test_with_a_new_address_the_old_session_is_half_open_and_the_unit_takes_another(
    garage: Garage,
) -> None:
    link = quiet_link(up_s=0.02, down_s=0.02)
    modem = Modem(link)
    garage.link = replace(garage.link, modem=modem, presence=PresencePolicy(keep_alive_s=1))
    unit = await garage.online()
    modem.pump.suspend_sim()
    modem.pump.resume_sim()
    make(unit, 5)
    gateway = garage.platform.gateway
    await gateway.until(lambda: len(gateway.epochs[garage.car]) > 0)
    await unit.drained()
    assert gateway.stored(garage.car) == 5
    assert link.changes[Change.NEW_ADDRESS] == 1
    assert garage.tally.connects >= 2
    assert link.vanished_bytes > 0
    await garage.stop(unit)


async def test_nobody_begins_in_a_tunnel_and_without_one_a_run_delivers_everything(
    platform: SmallPlatform,
) -> None:
    """With this seed one would begin in the tunnel and stay for two minutes; nobody else is there so soon."""
    options = RunOptions(platform.layout.root, vehicles=6, rate_hz=5, duration_s=3, seed=27, link="tunnel")
    score = await run_simulation(options)
    assert score.complete
    assert score.attached == 6
    assert score.made == score.acked > 30
    readings = platform.gateway.readings.values()
    assert {sample.s.get("rat") for found in readings for sample in found.values()} == {"LTE"}


async def test_a_replay_on_a_link_delivers_everything(platform: SmallPlatform, tmp_path: Path) -> None:
    log = tmp_path / "bus.csv"
    rows = [f"2026-01-01T12:00:{second:02}Z,{60.17 + second / 1e4:.4f},24.94" for second in range(30)]
    log.write_text("\n".join(["time,lat,lon", *rows]) + "\n")
    options = ReplayOptions([log], platform.layout.root, speed=20, link="3g", seed=2)
    score = await run_replay(options)
    assert score.complete
    assert score.made == score.acked == 30


async def test_the_modem_shows_its_cell_until_the_tunnel() -> None:
    modem = Modem(load("tunnel", seed=1).make("car"))
    modem.move(OPEN_ROAD["lon"], OPEN_ROAD["lat"])
    shown = modem.signals()
    assert shown["rat"] == "LTE"
    assert isinstance(shown["rsrp"], float)
    assert -125 < shown["rsrp"] < -40
    assert isinstance(shown["cell"], str)
    modem.move(IN_TUNNEL["lon"], IN_TUNNEL["lat"])
    assert modem.signals() == {}
    await asyncio.sleep(0)
    modem.drop()
