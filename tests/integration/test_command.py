"""`fleetcell command` to a simulated vehicle, through everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running_platform import running_platform, until

pytestmark = pytest.mark.integration


def test_from_the_terminal_to_the_vehicle_and_back(tmp_path: Path) -> None:
    with running_platform(tmp_path, "--vehicles", "1") as platform:
        until(lambda: platform.states().get("online"), what="online")
        vehicle = platform.get("/api/v1/vehicles")["items"][0]["id"]
        done = platform.run("command", vehicle, "ping", "--wait")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["next_seq"] >= 1
        assert [line.split()[1] for line in done.stderr.splitlines()[1:]][-1] == "succeeded"
        faster = ("--require", 'speed={"min": 400}')
        refused = platform.run("command", vehicle, "unlock", *faster, "--wait", "--json")
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
        late = platform.run("command", "never-seen", "ping", "--not-after", "5s", "--wait")
        assert late.returncode == 1
        assert "could not be reached in time" in late.stderr
