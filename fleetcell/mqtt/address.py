"""A broker's address from its URL."""

import ipaddress
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"ws": 80, "wss": 443, "mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens. `path` is None on plain TCP, the request target on WebSocket."""

    host: str
    port: int
    tls: bool
    path: str | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = ("ws" if self.path is not None else "mqtt") + ("s" if self.tls else "")
        return f"{scheme}://{host}:{self.port}{self.path or ''}"


@lru_cache(maxsize=64)
def parse_url(url: str) -> BrokerAddress:
    """Read `ws://`, `wss://`, `mqtt://` or `mqtts://`; a WebSocket URL without a path means `/mqtt`.

    Raises:
        ValueError: another scheme, no host, a bad port, or credentials in the URL (they would be logged).
    """
    parts = urlsplit(url)
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None:
        raise ValueError(
            f"broker URL must start with ws://, wss://, mqtt:// or mqtts://, not {parts.scheme!r}"
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError("broker URL must not carry a user or a password; give them apart from it")
    if not parts.hostname:
        raise ValueError("broker URL names no host")
    try:
        port = parts.port or default_port
    except ValueError as error:
        raise ValueError(f"broker URL has a bad port: {error}") from None
    websocket = parts.scheme in {"ws", "wss"}
    if not websocket and (parts.path.strip("/") or parts.query):
        raise ValueError(f"an {parts.scheme}:// broker URL has no path")
    target = (parts.path if parts.path.strip("/") else "/mqtt") + (f"?{parts.query}" if parts.query else "")
    return BrokerAddress(
        host=parts.hostname,
        port=port,
        tls=parts.scheme in {"wss", "mqtts"},
        path=target if websocket else None,
    )


def source_problem(source: str, address: BrokerAddress) -> str | None:
    """None, or why this machine cannot connect to a broker from an address of its choice.

    Linux has all of 127.0.0.0/8; macOS and the BSDs have 127.0.0.1 alone, unless an alias is made for each
    other (`ifconfig lo0 alias 127.21.0.1`). From a loopback address only this machine can be reached.
    """
    try:
        own = ipaddress.ip_address(source)
    except ValueError:
        return f"{source!r} is no IP address"
    if own.is_loopback and not _is_loopback(address.host):
        return f"{address.host} cannot be reached from the loopback address {source}"
    if _family(address.host) not in (own.version, None):
        return f"{address.host} cannot be reached from {source}: another family of addresses"
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((source, 0))
        except OSError as error:
            return f"this machine has no address {source} ({error.strerror})"
    return None


def _family(host: str) -> int | None:
    """4 or 6; None for a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
