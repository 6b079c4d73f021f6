"""`fleetcell up`, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import LINGER_S
from tests.running_platform import RunningPlatform, running_platform, until

pytestmark = pytest.mark.integration

# 1.5 of a unit's keep-alive: then the broker would have ended a connection that had only fallen silent.
NOTICED_BY_SILENCE = timedelta(seconds=30)
FREE_PORTS = ("--port", "0", "--ws-port", "0", "--mqtt-port", "0")


def test_data_survives_a_restart_and_a_clean_stop_is_a_shutdown(tmp_path: Path) -> None:
    with running_platform(tmp_path, "--vehicles", "20") as platform:
        until(lambda: platform.states() == {"online": 20}, what="20 online")
        vehicle = platform.get("/api/v1/vehicles")["items"][0]["id"]
        path = f"/api/v1/vehicles/{vehicle}/telemetry"
        until(lambda: len(platform.get(path)["items"]) >= 3)
        before = {(item["boot"], item["seq"]) for item in platform.items(path)}
    assert platform.process.returncode == 0
    with running_platform(tmp_path, "--no-sim") as platform:
        found = platform.get(f"/api/v1/vehicles/{vehicle}")["registration"]
        assert (found["state"], found["reason"]) == ("offline", "shutdown")
        after = [(item["boot"], item["seq"]) for item in platform.items(path)]
        assert before <= set(after)
        assert len(set(after)) == len(after)
        _second_up_on_the_same_directory_says_so(platform)
    with running_platform(tmp_path, "--vehicles", "20", "--for", "2", *FREE_PORTS) as platform:
        assert platform.process.wait(60) == 0
    assert not list((tmp_path / "run").glob("*.pid"))
    assert not (tmp_path / "run" / "up.json").exists()


def _second_up_on_the_same_directory_says_so(platform: RunningPlatform) -> None:
    again = platform.run("up", *FREE_PORTS)
    assert again.returncode == 1
    assert "running on" in again.stderr
    assert platform.url in again.stderr
    assert stat.S_IMODE((platform.data / "admin.key").stat().st_mode) == 0o600
    doctor = platform.run("doctor")
    assert "PostgreSQL 18" in doctor.stdout, doctor.stdout + doctor.stderr


def test_a_killed_up_leaves_nothing_that_hinders_the_next(tmp_path: Path) -> None:
    with running_platform(tmp_path, "--vehicles", "3") as platform:
        until(lambda: platform.states() == {"online": 3})
        orphans = [platform.pid(service) for service in ("postgres", "broker", "ingest", "dashboard", "sim")]
        platform.process.kill()
        platform.process.wait()
    with running_platform(tmp_path, "--vehicles", "3") as platform:
        for pid in orphans:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        until(lambda: platform.states() == {"online": 3}, what="the same three again")
        assert platform.get("/api/v1/fleet")["vehicles"] == 3


def test_a_killed_simulator_is_suspect_then_offline_lost(platform: RunningPlatform) -> None:
    simulator = platform.start("sim", "run", "--vehicles", "5")
    until(lambda: platform.states().get("online") == 5, what="5 online")
    killed = datetime.now(UTC)
    simulator.kill()
    simulator.communicate()
    until(lambda: platform.states().get("offline") == 5, what="5 offline after the linger")
    vehicles = list(platform.items("/api/v1/vehicles"))
    assert {vehicle["registration"]["reason"] for vehicle in vehicles} == {"lost"}
    assert all(vehicle["registration"]["evidence"]["by"] == "will" for vehicle in vehicles)
    for vehicle in vehicles:
        offline, suspect, *_ = platform.items(f"/api/v1/vehicles/{vehicle['id']}/presence")
        assert (offline["state"], offline["reason"]) == ("offline", "lost")
        assert (suspect["state"], suspect["reason"]) == ("suspect", "lost")
        heard, ended = (datetime.fromisoformat(change["at"]) for change in (suspect, offline))
        told, told_the_end = (datetime.fromisoformat(change["learned_at"]) for change in (suspect, offline))
        assert killed < heard < killed + NOTICED_BY_SILENCE, "by the end of the connection"
        assert ended == heard + timedelta(seconds=LINGER_S)
        assert heard <= told < told_the_end
        assert told_the_end >= ended


def test_every_service_comes_back_when_it_is_killed(platform: RunningPlatform) -> None:
    simulator = platform.start("sim", "run", "--vehicles", "5")
    try:
        until(lambda: platform.states().get("online") == 5, what="5 online")
        for service in ("broker", "ingest", "dashboard", "postgres"):
            platform.kill(service)
        until(lambda: _ready(platform), what="ready again")
        until(lambda: platform.states().get("online") == 5, within=60, what="5 online again")
    finally:
        simulator.send_signal(signal.SIGTERM)
        _, errors = simulator.communicate(timeout=60)
    assert simulator.returncode == 0, errors
    # What was not acknowledged yet is in the units' spools, and the next run sends it.
    again = platform.run("sim", "run", "--vehicles", "5", "--duration", "3")
    assert again.returncode == 0, again.stderr
    for vehicle in platform.items("/api/v1/vehicles"):
        delivery = platform.get(f"/api/v1/vehicles/{vehicle['id']}/delivery")
        assert (delivery["gaps"], delivery["unexplained"]) == ([], 0), vehicle["id"]
    _erase(platform, vehicle["id"])


def _erase(platform: RunningPlatform, vehicle: str) -> None:
    unsure = platform.run("vehicles", "erase", vehicle)
    assert (unsure.returncode, "say --yes" in unsure.stderr) == (2, True), unsure.stderr
    counted = platform.run("vehicles", "erase", vehicle, "--dry-run")
    assert "telemetry" in counted.stdout, counted.stderr
    done = platform.run("vehicles", "erase", vehicle, "--yes")
    assert (done.returncode, f"{vehicle} is erased" in done.stderr) == (0, True), done.stderr
    readings = [
        line.split()
        for out in (counted.stdout, done.stdout)
        for line in out.splitlines()
        if "telemetry" in line
    ]
    assert len(readings) == 2
    assert readings[0] == readings[1], "what was counted went"
    assert vehicle not in {item["id"] for item in platform.items("/api/v1/vehicles")}
    listed = json.loads(platform.run("vehicles", "erasures", "--json").stdout)
    assert (listed["vehicle"], listed["asked_by"]) == (vehicle, "key admin.key")


def _ready(platform: RunningPlatform) -> bool:
    try:
        return platform.ask("GET", "/readyz").status_code == 200
    except httpx.HTTPError:
        return False
