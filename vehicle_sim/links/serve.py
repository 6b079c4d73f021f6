"""`fleetcell sim link`: runs a relay until it is told to stop."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.mqtt.address import parse_url
from fleetcell.service import stop_event
from vehicle_sim.fleet import allow_open_files
from vehicle_sim.links.choice import load
from vehicle_sim.links.faults import parse_fault
from vehicle_sim.links.relay import Relay, RelayOptions
from vehicle_sim.progress import Snapshot, shown
from vehicle_sim.tasks import end, first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SEED_BITS: Final = 32
_FILES: Final = 10_000  # two a connection


class ListenError(FleetcellError):
    """The relay cannot listen there."""


def relay_options(listen: str, to: str, faults: Sequence[str]) -> RelayOptions:
    """From what the command line says.

    Raises:
        ConfigError: an address, a URL or a fault that makes no sense.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"--listen {listen}: use HOST:PORT, as in 127.0.0.1:1884 or [::1]:0")
    try:
        address = parse_url(to)
    except ValueError as error:
        raise ConfigError(f"--to {to}: {error}") from None
    planned = [parse_fault(fault) for fault in faults]
    return RelayOptions(host.strip("[]"), int(port), address.host, address.port, planned)


async def serve_relay(
    options: RelayOptions, profile: str, seed: int | None, seconds: float | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Relay until SIGTERM, SIGINT or the end of `seconds`; what the links did.

    Raises:
        FleetcellError: a profile or address that cannot be used.
    """
    if seconds is not None and seconds <= 0:
        raise ConfigError(f"--duration {seconds:g}: more than 0 seconds")
    seed = secrets.randbits(_SEED_BITS) if seed is None else seed
    relay = Relay(await asyncio.to_thread(load, profile, seed), options)
    stopped = stop_event()
    allow_open_files(_FILES)
    try:
        await relay.start()
    except OSError as error:
        where = f"{options.listen_host}:{options.listen_port}"
        raise ListenError(f"cannot listen on {where}: {error.strerror or error}") from error
    to = f"{options.to_host}:{options.to_port}"
    say(f"relay on {options.listen_host}:{relay.port} to {to}, {profile}, seed {seed}")
    stopping = asyncio.create_task(stopped.wait())
    try:
        async with shown(
            "sim link", lambda: Snapshot(relay.seconds, seconds, relay.statistics().line()), enabled=True
        ):
            await first_of(stopping, timeout_s=seconds)
        return {"link": profile, "seed": seed} | relay.statistics().to_dict()
    finally:
        await end(stopping)
        await relay.stop()
