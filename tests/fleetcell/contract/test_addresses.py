"""Address pools."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.addresses import address_in, pool_of, read_pool
from fleetcell.contract.errors import ConfigError

POOLS = {"espoo": "127.22.0.0/16", "helsinki": "127.21.0.0/16", "all": "127.0.0.0/8", "six": "fd00:21::/64"}


@given(st.sampled_from(sorted(POOLS)), st.text(min_size=1, max_size=64))
def test_a_vehicle_gets_the_same_address_of_its_pool_each_time(region: str, vehicle: str) -> None:
    address = address_in(POOLS[region], vehicle)
    network = ipaddress.ip_network(POOLS[region])
    assert ipaddress.ip_address(address) in network
    assert address not in (str(network[0]), str(network[-1]))
    assert address_in(POOLS[region], vehicle) == address


def test_a_thousand_vehicles_are_spread_over_the_pool() -> None:
    found = {address_in(POOLS["helsinki"], f"car-{number}") for number in range(1000)}
    assert len(found) > 950


def test_the_smallest_pool_tells_the_region() -> None:
    assert pool_of("127.21.3.4", POOLS) == "helsinki"
    assert pool_of("127.0.0.1", POOLS) == "all"
    assert pool_of("::ffff:127.22.0.9", POOLS) == "espoo"
    assert pool_of("fd00:21::1", POOLS) == "six"
    assert pool_of("10.0.0.1", POOLS) is None
    assert pool_of("somewhere", POOLS) is None


@pytest.mark.parametrize("text", ["", "127.21.0.1/16", "127.0.0.0/33", "10.0.0.0/31", "pool"])
def test_what_is_no_pool_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="address pool"):
        read_pool(text)
