"""A broker's address from its URL."""

from dataclasses import dataclass
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
