"""Ports for servers that must know theirs before they start, or have it again after they were killed."""

from __future__ import annotations

import os
import random
import socket
from contextlib import suppress
from typing import Final

# Below the ports that kernels give to connections, and to servers that ask for any.
LOWEST: Final = 10_000
PART: Final = 1_300  # of a test process: others take none of it meanwhile
PARTS: Final = 16

_given: set[int] = set()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, each time another."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    part = int(worker[2:]) % PARTS if worker else random.SystemRandom().randrange(PARTS)
    while True:
        port = LOWEST + part * PART + random.SystemRandom().randrange(PART)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def free_ports(count: int) -> list[int]:
    """Several of them."""
    return [free_port() for _ in range(count)]
