"""Ports: a free one, or a clear refusal."""

from __future__ import annotations

import socket

import pytest

from fleetcell.contract.errors import ConfigError
from fleetcell.up.ports import claim_port


def test_zero_gives_a_free_port() -> None:
    port = claim_port("127.0.0.1", 0, flag="--port")
    assert claim_port("127.0.0.1", port, flag="--port") == port


def test_a_taken_port_is_refused_with_the_flag() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--ws-port {port}.*--ws-port 0"):
            claim_port("127.0.0.1", port, flag="--ws-port")
