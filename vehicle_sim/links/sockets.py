"""The ends of a connection that are real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import structlog

from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import Mark

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from vehicle_sim.links.pump import Connection

log = structlog.get_logger()


class SocketEnd(asyncio.Protocol):
    """A socket at one end; what it receives enters the link in the direction `sends`."""

    def __init__(self, connection: Connection, sends: Direction) -> None:
        self._connection = connection
        self._sends = sends
        self._receives = Direction(1 - sends)
        self._transport: asyncio.Transport | None = None

    # -- what asyncio calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._connection.send(self._sends, data)

    def pause_writing(self) -> None:
        self._connection.slow(self._receives, is_so=True)

    def resume_writing(self) -> None:
        self._connection.slow(self._receives, is_so=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.closed(self._sends, Mark.FIN if exc is None else Mark.RST)

    # -- what the link calls ----------------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def mark(self, mark: Mark) -> None:
        if self._transport is None:
            return
        if mark is Mark.FIN:
            self._transport.close()
        elif mark is Mark.RST:
            self._transport.abort()

    def hold(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()


class NearSocket(SocketEnd):
    """A client's socket at a relay. What it sends waits until the connection to the other end stands."""

    def __init__(self, open_connection: Callable[[NearSocket], Connection]) -> None:
        self._open = open_connection
        self._early: list[bytes] | None = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().__init__(self._open(self), Direction.UP)
        super().connection_made(transport)
        self._connection.send(Direction.UP, Mark.SYN)

    def data_received(self, data: bytes) -> None:
        if self._early is None:
            super().data_received(data)
            return
        if not self._early:
            self.hold()  # uvloop cannot pause before it has read once
        self._early.append(data)

    def mark(self, mark: Mark) -> None:
        if mark is not Mark.SYN:
            super().mark(mark)
        elif self._early is not None:
            early, self._early = self._early, None
            if early:
                self.go_on()
                super().data_received(b"".join(early))


class FarSocket(SocketEnd):
    """The end at the broker: it connects when the client's SYN arrives, and answers with its own."""

    def __init__(
        self,
        connection: Connection,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(connection, Direction.DOWN)
        self._address = (host, port)
        self._tls = tls
        self._source = source
        self._connecting: asyncio.Task[None] | None = None
        self._given_up = False

    def mark(self, mark: Mark) -> None:
        if mark is Mark.SYN:
            self._connecting = asyncio.create_task(self._connect())
        elif self._transport is not None:
            super().mark(mark)
        else:  # the client left before the connection stood
            self._given_up = True

    async def _connect(self) -> None:
        try:
            await self._try_to_connect()
        finally:
            self._connecting = None  # a task that is over is as large as before

    async def _try_to_connect(self) -> None:
        local = None if self._source is None else (self._source, 0)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self, *self._address, ssl=self._tls, local_addr=local
            )
        except OSError as error:
            log.debug("no connection at the far end of a link", reason=str(error))
            self._connection.closed(Direction.DOWN, Mark.RST)
            return
        if self._given_up:
            assert self._transport is not None
            self._transport.abort()
        else:
            self._connection.send(Direction.DOWN, Mark.SYN)
