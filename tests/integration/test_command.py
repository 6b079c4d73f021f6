"""`fleetcell command` to simulated vehicles, through everything."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.running_platform import RunningPlatform, until

pytestmark = pytest.mark.integration


@pytest.fixture
def vehicle(platform: RunningPlatform) -> Iterator[str]:
    """A simulated vehicle that is online; gone at the end."""
    simulator = platform.start("sim", "run", "--vehicles", "1", "--rate", "5")
    try:
        until(lambda: platform.states().get("online"), what="online")
        (found,) = platform.get("/api/v1/vehicles", state="online")["items"]
        yield found["id"]
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.communicate(timeout=30)


def test_from_the_terminal_to_the_vehicle_and_back(platform: RunningPlatform, vehicle: str) -> None:
    done = platform.run("command", vehicle, "ping", "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["next_seq"] >= 1
    assert [line.split()[1] for line in done.stderr.splitlines()[1:]][-1] == "succeeded"
    refused = platform.run(
        "command", vehicle, "unlock", "--require", 'speed={"min": 400}', "--wait", "--json"
    )
    assert refused.returncode == 1
    told = json.loads(refused.stdout)
    assert (told["state"], told["code"]) == ("failed", "require"), told
    assert "speed" in told["error"]
    queued = platform.run("command", vehicle, "set_interval", "--arg", "seconds=20")
    assert queued.returncode == 0, queued.stderr
    path = f"/api/v1/commands/{queued.stdout.strip()}"
    until(lambda: platform.get(path)["state"] == "succeeded", what="done")
    assert platform.get(path)["result"] == {"seconds": 20.0}
    platform.ask("POST", "/api/v1/vehicles", json={"id": "never-seen"})
    late = platform.run("command", "never-seen", "ping", "--not-after", "1s", "--wait")
    assert late.returncode == 1
    assert "could not be reached in time" in late.stderr
