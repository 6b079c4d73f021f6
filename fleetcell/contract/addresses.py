"""Address pools: each region hands out addresses of its own pool, so an address tells the region. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from fleetcell.contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

Pool = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_pool(text: str) -> Pool:
    """An address pool in CIDR notation.

    Raises:
        ConfigError: it is none, or has no address to hand out.
    """
    try:
        pool = ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(f"not an address pool: {error}; use CIDR, such as 10.21.0.0/16") from None
    if pool.num_addresses < 4:
        raise ConfigError(f"the address pool {text} is too small: it needs at least 4 addresses")
    return pool


def address_in(pool: str, vehicle: str) -> str:
    """The address that a vehicle gets from a pool: always the same, and never the first or the last.

    By a hash, so that nobody has to keep a table: two vehicles may have the same one.

    Raises:
        ConfigError: see `read_pool`.
    """
    network = read_pool(pool)
    number = int.from_bytes(hashlib.sha256(vehicle.encode()).digest()[:16])
    return str(network[1 + number % (network.num_addresses - 2)])


def pool_of(address: str, pools: Mapping[str, str]) -> str | None:
    """The region whose pool has an address, the smallest pool first; None: nobody's, or no address.

    Args:
        address: as the broker saw it.
        pools: by region, in CIDR notation.

    Raises:
        ConfigError: see `read_pool`.
    """
    try:
        seen = ipaddress.ip_address(address)
    except ValueError:
        return None
    if seen.version == 6 and seen.ipv4_mapped is not None:
        seen = seen.ipv4_mapped
    having = [
        (-pool.prefixlen, region)
        for region, text in pools.items()
        if seen.version == (pool := read_pool(text)).version and seen in pool
    ]
    return min(having)[1] if having else None
