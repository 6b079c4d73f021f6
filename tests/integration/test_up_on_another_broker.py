"""`fleetcell up --broker URL`: everything points at another broker, and no embedded one runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.running_platform import running_platform, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mosquitto_server import Mosquitto

pytestmark = pytest.mark.integration
VEHICLES = 3


def test_the_platform_runs_on_mosquitto(tmp_path: Path, mosquitto: Mosquitto) -> None:
    arguments = ("--broker", mosquitto.ws_url, "--vehicles", str(VEHICLES))
    with running_platform(tmp_path / "data", *arguments) as platform:
        until(lambda: platform.states() == {"online": VEHICLES}, what="all online")
        known = [vehicle["id"] for vehicle in platform.items("/api/v1/vehicles")]
        until(
            lambda: all(platform.get(f"/api/v1/vehicles/{name}/delivery")["boots"] for name in known),
            what="telemetry of each",
        )
        assert not (tmp_path / "data" / "run" / "broker.pid").exists()
        listed = json.loads((tmp_path / "data" / "run" / "credentials.json").read_text())
        assert set(known) <= set(listed["units"])  # for `fleetcell broker-auth`
        assert {"ingest-helsinki", "registrar-helsinki", "dashboard"} <= set(listed["services"])
        log = tmp_path / "data" / "logs" / "ingest.log"
        # Said some seconds after the connection: a broker that tells may take a moment to.
        until(lambda: "no seen address" in log.read_text(), what="what is missing, said by name")
