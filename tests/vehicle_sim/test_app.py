"""`sim run` and `sim replay` as the command line calls them, against a real broker."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from fleetcell.contract.credentials import mac
from fleetcell.contract.errors import ConfigError
from fleetcell.layout import environment_of
from tests.vehicle_sim.small_platform import KEY
from tests.vehicle_sim.spools import open_spool
from vehicle_sim import fleet as fleet_module
from vehicle_sim import making as making_module
from vehicle_sim import replay as replay_module
from vehicle_sim.app import ReplayOptions, RunOptions, run_replay, run_simulation
from vehicle_sim.epoch import UnitInUseError
from vehicle_sim.provisioning import ProvisioningError
from vehicle_sim.readers import TraceError
from vehicle_sim.replay import ReplayError, TimeMode
from vehicle_sim.run import vehicle_names
from vehicle_sim.truth.records import Change, Reach
from vehicle_sim.truth.store import read as read_truth

if TYPE_CHECKING:
    from tests.vehicle_sim.small_platform import SmallPlatform

VEHICLES = 6
READINGS = 40  # each, one a second


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """SUMO floating-car data: the vehicles start 2 s apart and drive on for 40 s."""
    lines = ["<fcd-export>"]
    for t in range(READINGS + 2 * VEHICLES):
        lines.append(f'<timestep time="{t}.00">')
        lines += [
            f'<vehicle id="bus-{v}" x="24.{900 + t}" y="60.{170 + v}" speed="{t % 14}" angle="90" pos="{t}"/>'
            for v in range(VEHICLES)
            if 2 * v <= t < 2 * v + READINGS
        ]
        lines.append("</timestep>")
    path = tmp_path / "small.fcd.xml"
    path.write_text("\n".join([*lines, "</fcd-export>"]))
    return path


def stored_once(platform: SmallPlatform) -> int:
    """How many readings and events are stored, each with its own number from 1 on."""
    gateway = platform.gateway
    stored = 0
    for key in gateway.readings.keys() | gateway.events.keys():
        numbers = [*gateway.readings[key], *gateway.events[key]]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        stored += len(numbers)
    return stored


def states(platform: SmallPlatform) -> set[tuple[str, str]]:
    return {platform.gateway.state(vehicle) for vehicle in platform.vehicles}


class Program:
    """`fleetcell sim ...` as a process."""

    def __init__(self, platform: SmallPlatform) -> None:
        self._platform = platform
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it in the platform's data directory."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fleetcell", "sim", *arguments,
            env=environment_of({"data_dir": self._platform.layout.root}),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return self.process


# -- sim run -----------------------------------------------------------------------------------------


async def test_fifty_vehicles_are_online_within_seconds_and_acknowledged_to_the_last_reading(
    platform: SmallPlatform,
) -> None:
    """Seconds of a machine that has time: the run lasts until all have a reading stored."""
    running = asyncio.create_task(run_simulation(RunOptions(platform.layout.root, vehicles=50, seed=1)))
    gateway = platform.gateway
    await gateway.until(
        lambda: len(platform.vehicles) == 50 and all(gateway.stored(name) for name in platform.vehicles)
    )
    os.kill(os.getpid(), signal.SIGTERM)
    score = await running
    assert score.vehicles == score.attached == 50
    assert score.complete
    assert score.made == score.acked == stored_once(platform) >= 50
    assert states(platform) == {("offline", "shutdown")}


async def test_the_same_seed_makes_the_same_readings(platform: SmallPlatform) -> None:
    async def drive(seed: int) -> list[dict[str, object]]:
        platform.gateway.readings.clear()
        options = RunOptions(platform.layout.root, vehicles=1, duration_s=1, rate_hz=20, seed=seed)
        await run_simulation(options)
        (found,) = platform.gateway.readings.values()
        return [found[seq].s for seq in sorted(found)][:5]

    first = await drive(7)
    assert len(first) == 5
    assert await drive(7) == first
    assert await drive(8) != first


async def test_a_second_simulator_takes_the_next_vehicles(platform: SmallPlatform) -> None:
    names = list(itertools.islice(vehicle_names(), 4))
    units = platform.layout.root / "sim" / "units"
    spools = [open_spool(units / name) for name in (names[0], names[2])]
    await run_simulation(RunOptions(platform.layout.root, vehicles=2, duration_s=0.2))
    assert platform.vehicles == {names[1], names[3]}
    for spool in spools:
        spool.close()


async def test_a_secret_that_was_rotated_elsewhere_is_renewed(
    platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "_REFUSED_AFTER_S", 0.2)
    monkeypatch.setattr(fleet_module, "_WATCH_S", 0.05)
    await run_simulation(RunOptions(platform.layout.root, vehicles=1, duration_s=0.2))
    (vehicle,) = platform.vehicles
    platform.broker.units[vehicle] = mac(KEY, "rotated")
    platform.broker.write()
    await asyncio.sleep(1)  # the broker looks at its file each second
    score = await run_simulation(RunOptions(platform.layout.root, vehicles=1, duration_s=2.5))
    assert score.attached == 1
    assert score.complete


async def test_a_vehicle_that_was_revoked_is_left_out(platform: SmallPlatform) -> None:
    first, second = itertools.islice(vehicle_names(), 2)
    await run_simulation(RunOptions(platform.layout.root, vehicles=2, duration_s=0.2))
    platform.revoked.add(first)
    platform.gateway.readings.clear()
    score = await run_simulation(RunOptions(platform.layout.root, vehicles=2, duration_s=0.2))
    assert score.vehicles == 1
    assert {vehicle for vehicle, _ in platform.gateway.readings} == {second}


async def test_when_every_vehicle_was_revoked_there_is_nothing_to_run(platform: SmallPlatform) -> None:
    await run_simulation(RunOptions(platform.layout.root, vehicles=1, duration_s=0.2))
    platform.revoked |= platform.vehicles
    with pytest.raises(ProvisioningError, match="every one of the vehicles was revoked"):
        await run_simulation(RunOptions(platform.layout.root, vehicles=1, duration_s=0.2))


async def test_a_low_limit_of_open_files_is_raised(platform: SmallPlatform) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = psutil.Process().num_fds() + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        running = asyncio.create_task(run_simulation(RunOptions(platform.layout.root, vehicles=30)))
        await platform.gateway.until(
            lambda: len(platform.vehicles) == 30 and states(platform) == {("online", "attach")}
        )
        os.kill(os.getpid(), signal.SIGTERM)
        score = await running
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert score.attached == 30
    assert score.complete


async def test_a_killed_simulator_is_lost_and_the_next_one_sends_what_it_left(
    platform: SmallPlatform,
) -> None:
    gateway, program = platform.gateway, Program(platform)
    process = await program.start("run", "--vehicles", "5", "--rate", "10")
    await gateway.until(lambda: len(platform.vehicles) == 5 and states(platform) == {("online", "attach")})
    gateway.say_storing(storing=False)
    left = sum(len(found) for found in gateway.readings.values())
    await asyncio.sleep(1)  # readings that nobody takes
    process.kill()
    await process.communicate()
    await gateway.until(lambda: states(platform) == {("suspect", "lost")})
    gateway.say_storing(storing=True)
    score = await run_simulation(RunOptions(platform.layout.root, vehicles=5, duration_s=1))
    assert score.backlog == score.backlog_acked >= 5
    assert score.complete
    assert stored_once(platform) >= left + score.backlog
    assert {len({boot for name, boot in gateway.readings if name == v}) for v in platform.vehicles} == {2}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_simulator_that_is_told_to_stop_detaches_all_vehicles(
    platform: SmallPlatform, how: signal.Signals
) -> None:
    process = await Program(platform).start("run", "--vehicles", "5", "--json")
    await platform.gateway.until(
        lambda: states(platform) == {("online", "attach")} and len(platform.vehicles) == 5
    )
    process.send_signal(how)
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    score = json.loads(output)
    assert score["pending"] == 0
    assert states(platform) == {("offline", "shutdown")}


async def test_bad_usage_is_one_clear_line(platform: SmallPlatform) -> None:
    process = await Program(platform).start("run", "--link", "2g")
    output, errors = await process.communicate()
    assert process.returncode == 2
    assert output == b""
    told = errors.decode().strip()
    assert told.startswith(
        "error: no link profile '2g'; there is: perfect (no delay, no loss: the network of this machine)"
    )
    assert "\n" not in told


async def test_without_a_platform_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start it with `fleetcell up"):
        await run_simulation(RunOptions(tmp_path))


# -- sim replay --------------------------------------------------------------------------------------


async def test_a_replay_stores_every_reading_once_with_its_signals_and_its_spacing(
    platform: SmallPlatform, trace: Path
) -> None:
    options = ReplayOptions([trace], platform.layout.root, speed=20)
    score = await run_replay(options)
    assert score.complete
    assert score.made == score.acked == stored_once(platform) == VEHICLES * READINGS
    assert score.duration_s >= (READINGS + 2 * VEHICLES - 3) / 20
    (bus,) = [found for (vehicle, _), found in platform.gateway.readings.items() if vehicle == "bus-1"]
    assert bus[1].s["lat"] == 60.171
    times = [bus[seq].ts for seq in sorted(bus)]
    assert [int(b) - int(a) for a, b in itertools.pairwise(times)] == [1000] * (READINGS - 1)
    assert states(platform) == {("offline", "shutdown")}


async def test_each_replay_is_a_new_boot(platform: SmallPlatform, trace: Path) -> None:
    for _ in range(2):
        await run_replay(ReplayOptions([trace], platform.layout.root, speed=0))
    assert stored_once(platform) == 2 * VEHICLES * READINGS
    assert len(platform.gateway.readings) == 2 * VEHICLES


async def test_a_replay_survives_a_broker_that_is_killed_over_and_over(
    mortal: SmallPlatform, trace: Path
) -> None:
    running = asyncio.create_task(run_replay(ReplayOptions([trace], mortal.layout.root, speed=15)))
    for quarter in (1, 2):
        await mortal.gateway.until(lambda q=quarter: stored_once(mortal) > q * 40)  # type: ignore[misc]
        await mortal.kill_broker()
        await mortal.start_broker()
    score = await running
    assert score.complete
    assert score.connects > VEHICLES
    assert stored_once(mortal) == score.acked == VEHICLES * READINGS
    assert states(mortal) == {("offline", "shutdown")}


async def test_a_replay_that_nobody_acknowledges_gives_up_and_says_so_and_the_next_one_sends_the_rest(
    platform: SmallPlatform, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "STOP_S", 0.3)
    platform.gateway.deaf = True
    options = ReplayOptions([trace], platform.layout.root, speed=0, quiet_s=0.3)
    score = await run_replay(options)
    assert not score.complete
    assert score.pending == VEHICLES * READINGS
    assert score.problem is not None
    assert score.problem.startswith(f"no acknowledgement for 0.3 s: {VEHICLES * READINGS} readings")
    assert "6 units: connected, but the gateway acknowledges nothing" in score.problem
    platform.gateway.deaf = False
    again = await run_replay(replace(options, quiet_s=30))
    assert again.complete
    assert again.backlog_acked == VEHICLES * READINGS
    assert stored_once(platform) == 2 * VEHICLES * READINGS


async def test_a_replay_makes_no_more_than_the_spool_is_sure_to_hold(
    platform: SmallPlatform, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making_module, "_ROOM", 20)
    monkeypatch.setattr(replay_module, "_CHUNK", 5)
    monkeypatch.setattr(fleet_module, "STOP_S", 0.3)
    platform.gateway.deaf = True
    options = ReplayOptions([trace], platform.layout.root, speed=0, quiet_s=0.3)
    score = await run_replay(options)
    assert score.problem is not None
    assert VEHICLES * 20 <= score.made <= VEHICLES * 25
    platform.gateway.deaf = False
    assert (await run_replay(replace(options, quiet_s=30))).complete
    assert stored_once(platform) == score.made + VEHICLES * READINGS


async def test_a_replay_that_is_interrupted_says_what_is_left(platform: SmallPlatform, trace: Path) -> None:
    running = asyncio.create_task(run_replay(ReplayOptions([trace], platform.layout.root, speed=3)))
    vehicles = [f"bus-{number}" for number in range(VEHICLES)]
    await platform.gateway.until(lambda: all(platform.gateway.stored(vehicle) for vehicle in vehicles))
    os.kill(os.getpid(), signal.SIGTERM)
    score = await running
    assert score.problem is not None
    assert score.problem.startswith(f"interrupted after {score.made} readings: ")
    assert score.made < VEHICLES * READINGS
    assert states(platform) == {("offline", "shutdown")}


@pytest.fixture
def torn(trace: Path) -> Path:
    """The trace, cut off."""
    trace.write_text(trace.read_text()[:-200])
    return trace


async def test_a_damaged_file_sends_nothing(platform: SmallPlatform, torn: Path) -> None:
    with pytest.raises(TraceError, match=r"small\.fcd\.xml:\d+: "):
        await run_replay(ReplayOptions([torn], platform.layout.root))
    assert not platform.vehicles
    assert not list(platform.layout.root.glob("sim/units/*"))


async def test_a_vehicle_that_is_driven_already_is_refused(platform: SmallPlatform, trace: Path) -> None:
    spool = open_spool(platform.layout.root / "sim" / "units" / "bus-3")
    with pytest.raises(UnitInUseError, match="another simulator drives bus-3 on this data directory"):
        await run_replay(ReplayOptions([trace], platform.layout.root))
    spool.close()
    score = await run_replay(ReplayOptions([trace], platform.layout.root, speed=0))
    assert score.complete, "the others were given up again"


async def test_times_that_are_not_there_cannot_be_original(platform: SmallPlatform, trace: Path) -> None:
    with pytest.raises(ReplayError, match="replay it with --time shift"):
        await run_replay(ReplayOptions([trace], platform.layout.root, time=TimeMode.ORIGINAL))


async def test_a_run_whose_platform_cannot_be_asked_keeps_its_record(platform: SmallPlatform) -> None:
    """This one has no API but for accounts: a score is not possible, and the record is kept for later."""
    result = await run_simulation(
        RunOptions(platform.layout.root, vehicles=2, duration_s=1.9, seed=3, score=True)
    )
    assert result.problem is not None
    assert result.truth is not None
    assert f"the record is kept: fleetcell sim score {result.truth}" in result.problem
    assert result.scored is None
    truth = read_truth(Path(result.truth))
    assert sum(boot.last_seq for boot in truth.boots) == result.made >= 2
    assert all(boot.pending == () for boot in truth.boots)
    ends = {one.vehicle: one.reach for one in truth.happened if isinstance(one, Change)}
    assert list(ends.values()) == [Reach.GONE, Reach.GONE]
    assert truth.run.ended_at is not None
    assert (truth.run.errors.problem or "").startswith("not seen: ")
    assert truth.run.up.payload > 0
