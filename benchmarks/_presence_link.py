"""The cellular link of one unit: a relay to the broker that can be reset, go silent, or lose its old session.

It counts bytes of MQTT and WebSocket in both directions and sees the CONNACK pass, which is when a session
really begins. TCP/IP headers are not seen here, so they are not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

CONNACK: Final = b"\x20\x02\x00\x00"
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST


class Link:
    """A listener on 127.0.0.1 that forwards to the broker.

    Args:
        broker: host and port.
        began: called when a CONNACK passes.
        ended: called when the broker's side of a session that had begun is closed, by whomever.
    """

    def __init__(self, broker: tuple[str, int], began: Callable[[], None], ended: Callable[[], None]) -> None:
        self.broker = broker
        self.bytes = 0
        self.dead = False  # nothing passes, nothing is closed, nobody gets in
        self.down = False  # nobody gets in, and is told
        self.began = began
        self.ended = ended
        self._calls: set[_Call] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen; the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(_Call(self)), "127.0.0.1", 0)
        return cast("int", self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def reset(self) -> None:
        """Both ends get a TCP reset."""
        for call in list(self._calls):
            call.reset()

    def strand(self) -> None:
        """The unit loses its connection; the broker hears nothing of it (its NAT forgot it)."""
        for call in list(self._calls):
            call.strand()

    def add(self, call: _Call) -> None:
        self._calls.add(call)

    def discard(self, call: _Call) -> None:
        self._calls.discard(call)


class _Call:
    """One connection of the unit, and the one to the broker that belongs to it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.unit: asyncio.Transport | None = None
        self.broker: asyncio.Transport | None = None
        self.stranded = False
        self._waiting: list[bytes] = []
        self._began = False
        self._dialling: asyncio.Task[None] | None = None
        link.add(self)

    def arrived(self, transport: asyncio.Transport) -> None:
        self.unit = transport
        if self.link.down:
            transport.abort()
        else:
            self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _BrokerSide(self), *self.link.broker)
        except OSError:
            if self.unit is not None:
                self.unit.abort()

    def dialled(self, transport: asyncio.Transport) -> None:
        self.broker = transport
        for data in self._waiting:
            transport.write(data)
        self._waiting.clear()

    def up(self, data: bytes) -> None:
        if self.link.dead or self.stranded:
            return
        self.link.bytes += len(data)
        if self.broker is None:
            self._waiting.append(data)
        else:
            self.broker.write(data)

    def downwards(self, data: bytes) -> None:
        if self.link.dead or self.stranded:
            return
        self.link.bytes += len(data)
        if not self._began and CONNACK in data:
            self._began = True
            self.link.began()
        if self.unit is not None:
            self.unit.write(data)

    def unit_left(self) -> None:
        if self.broker is not None and not (self.link.dead or self.stranded):
            self.broker.close()
        if self.broker is None or self.broker.is_closing():
            self.link.discard(self)

    def broker_left(self) -> None:
        self.link.discard(self)
        if self._began and not (self.link.dead or self.stranded):
            self.link.ended()
        if self.unit is not None and not self.link.dead:
            self.unit.close()

    def reset(self) -> None:
        for transport in (self.broker, self.unit):
            if transport is not None:
                _reset(transport)

    def strand(self) -> None:
        self.stranded = True
        if self.unit is not None:
            _reset(self.unit)


class _Side(asyncio.Protocol):
    """The unit's end."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._call.arrived(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._call.up(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._call.unit_left()


class _BrokerSide(asyncio.Protocol):
    """The broker's end."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._call.dialled(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._call.downwards(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._call.broker_left()


def _reset(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(found.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
