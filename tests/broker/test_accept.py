"""A listener that closes while sockets come in."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from contextlib import closing

import pytest

from broker.accept import Acceptor, Gate, Place
from broker.counters import Counters
from broker.limits import Limits


def unheard(_: Place) -> asyncio.BaseProtocol:
    raise AssertionError("a listener that is closed carries no socket")


@pytest.mark.both_loops
async def test_a_socket_that_is_accepted_when_its_listener_closes_is_closed_too() -> None:
    gate = Gate(Limits(), Counters(), Counter(), 0)
    acceptor = Acceptor(gate, unheard, None, handshake_s=60)
    await acceptor.listen("127.0.0.1", 0)
    (listening,) = acceptor.sockets
    with closing(socket.create_connection(listening.getsockname())) as client:
        acceptor._accept(listening)
        assert gate.open == 1
        acceptor.close()  # before its task has taken a step
        await acceptor.wait_closed()
        assert gate.open == 0
        client.settimeout(60)
        assert client.recv(1) == b""
    gc.collect()  # a socket that nobody closed is an error here
