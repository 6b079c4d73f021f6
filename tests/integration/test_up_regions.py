"""`fleetcell up --regions`: two regions on one database, and vehicles that hand over between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.contract.addresses import address_in
from fleetcell.contract.directory import Regions
from tests.running_platform import running_platform, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
VEHICLES = 6


def test_two_regions_serve_one_fleet(tmp_path: Path) -> None:
    arguments = ("--regions", "helsinki,espoo", "--vehicles", str(VEHICLES), "--seed", "3")
    with running_platform(tmp_path, *arguments) as platform:
        for service in ("broker", "ingest", "broker-espoo", "ingest-espoo"):
            assert platform.pid(service)
        until(lambda: platform.states() == {"online": VEHICLES}, what="all online")
        entries = json.loads((tmp_path / "run" / "up.json").read_text())["regions"]
        regions = {region["region"]: region for region in platform.get("/api/v1/regions")["items"]}
        for name, pool in (("helsinki", "127.21.0.0/16"), ("espoo", "127.22.0.0/16")):
            assert regions[name]["address_pool"] == entries[name]["address_pool"] == pool
            assert regions[name]["url"] == entries[name]["url"]
            assert regions[name]["cells"] == entries[name]["cells"]
        served = Regions({name: entry["cells"] for name, entry in entries.items()})
        vehicles = until(
            lambda: _at_home(list(platform.items("/api/v1/vehicles")), served),
            what="each served by the region of its place, and some in each",
        )
        for vehicle in vehicles:
            found = vehicle["registration"]
            assert found["address"] == address_in(entries[found["region"]]["address_pool"], vehicle["id"])
        told = platform.run("query", "presence", vehicles[0]["id"])
        assert f"{vehicles[0]['id']}: online (" in told.stdout, told.stderr
        assert "address 127.2" in told.stdout


def _at_home(vehicles: list[dict[str, Any]], served: Regions) -> list[dict[str, Any]]:
    """The vehicles, where all of them have told where they are and are served by the region there."""
    homes = set()
    for vehicle in vehicles:
        home, place = vehicle["registration"]["region"], vehicle["latest"]
        if "lat" not in place or served.serving(place["lat"]["value"], place["lon"]["value"], home) != home:
            return []
        homes.add(home)
    return vehicles if len(homes) == 2 else []
