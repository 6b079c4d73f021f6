"""The regions of `fleetcell up`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from fleetcell.contract.directory import Regions
from fleetcell.contract.errors import FleetcellError
from fleetcell.up.regions import in_stop_order, left_behind, make_regions

BOUNDS = (24.935247, 60.164158, 24.953405, 60.179015)


def test_one_region_keeps_the_plain_names_and_serves_everything() -> None:
    (region,) = make_regions(["helsinki"], None)
    assert (region.service("broker"), region.service("ingest")) == ("broker", "ingest")
    assert region.cells == []
    assert region.address_pool == "127.21.0.0/16"


def test_regions_share_the_roads_and_have_names_and_pools_of_their_own() -> None:
    first, second = make_regions(["helsinki", "espoo"], BOUNDS)
    assert [first.service("broker"), second.service("broker")] == ["broker", "broker-espoo"]
    assert [first.address_pool, second.address_pool] == ["127.21.0.0/16", "127.22.0.0/16"]
    regions = Regions({region.name: region.cells for region in (first, second)})
    assert regions.at(60.17, BOUNDS[0]) == "helsinki"
    assert regions.at(60.17, BOUNDS[2]) == "espoo"
    assert second.entry("ws://there/mqtt").address_pool == "127.22.0.0/16"


@pytest.mark.parametrize("names", [[], ["a", "a"], ["live"], ["a b"], [""], [f"r{n}" for n in range(101)]])
def test_names_that_cannot_be_are_refused(names: list[str]) -> None:
    with pytest.raises(FleetcellError, match="--regions"):
        make_regions(names, BOUNDS)


def test_services_stop_in_the_order_of_the_data(tmp_path: Path) -> None:
    services = ["broker-espoo", "postgres", "ingest", "sim", "broker", "ingest-espoo", "dashboard"]
    wanted = ["sim", "dashboard", "ingest", "ingest-espoo", "broker", "broker-espoo", "postgres"]
    assert in_stop_order(services) == wanted
    for service in [*services, "something"]:
        (tmp_path / f"{service}.pid").write_text("1")
    found = left_behind(tmp_path)
    assert list(found) == wanted
    assert found["postgres"] is signal.SIGINT
    assert found["broker-espoo"] is signal.SIGTERM
