"""Ports: a free one where 0 was asked for, a clear error where the asked one is taken."""

from __future__ import annotations

import socket

from fleetcell.contract.errors import ConfigError


def claim_port(host: str, port: int, *, flag: str) -> int:
    """The port to listen on: `port`, or a free one for 0.

    It is chosen once for a run, so that a restarted service comes back at the same address.

    Raises:
        ConfigError: another program listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise ConfigError(
                f"{flag} {port}: cannot listen on {host}:{port} ({error.strerror}); "
                f"stop the program that does, or give {flag} 0 for any free port"
            ) from None
        return int(probe.getsockname()[1])
