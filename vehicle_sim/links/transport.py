"""A unit's own connection on a link: an asyncio transport whose bytes cross the link before any socket.

No socket, thread or process more than without a link. TLS, where there is any, is between the far end of the
link and the broker, so what the link carries is counted without it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import Mark
from vehicle_sim.links.pump import Pump
from vehicle_sim.links.sockets import FarSocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from vehicle_sim.links.link import Link
    from vehicle_sim.links.pump import Connection

P = TypeVar("P", bound=asyncio.Protocol)


class Modem:
    """One unit's way into the network: gives it connections over its link. `pump` takes the faults."""

    def __init__(self, link: Link, began: float | None = None) -> None:
        self.link = link
        self.pump = Pump(link, began)

    async def connect(
        self,
        factory: Callable[[], P],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> P:
        """As `loop.create_connection`, over the link.

        Raises:
            OSError: refused at the other end, or lost on the way.
        """
        connection = self.pump.open()
        protocol = factory()
        transport = LinkedTransport(connection, protocol)
        connection.attach(transport, FarSocket(connection, host, port, tls=tls, source=source))
        connection.send(Direction.UP, Mark.SYN)
        try:
            await transport.established
        except asyncio.CancelledError:
            transport.abort()
            raise
        return protocol

    @property
    def outage(self) -> str | None:
        """Why its connections pass no packet now; None: one of them does, or there is none."""
        return self.pump.outage

    def move(self, lon: float, lat: float, at: float | None = None) -> None:
        """As `Pump.move`."""
        self.pump.move(lon, lat, at)

    def signals(self) -> dict[str, float | str]:
        """What the modem shows, by the catalogue's wire keys: rsrp, rat and cell, as far as there are."""
        found = self.link.reception
        shown = {"rsrp": found.rsrp_dbm, "rat": found.rat, "cell": found.cell}
        return {key: value for key, value in shown.items() if value is not None}

    async def finish(self, within_s: float) -> None:
        """Let what was sent arrive, at most so long; then drop what is left."""
        await self.pump.finish(within_s)

    def drop(self) -> None:
        """Lose all connections at once, but those that a fault has orphaned."""
        self.pump.drop()

    def close(self) -> None:
        """Lose all connections at once."""
        self.pump.close()


class LinkedTransport(asyncio.Transport):
    """The unit's end of a connection; `established` is done when the other end has answered."""

    def __init__(self, connection: Connection, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._protocol = protocol
        self._closing = False

    # -- what the protocol calls ------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._connection.send(Direction.UP, bytes(data))

    def close(self) -> None:
        self._close(Mark.FIN)

    def abort(self) -> None:
        self._close(Mark.RST)

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The link's own buffer decides (`Profile.buffer_bytes`)."""

    # -- what the link calls ----------------------------------------------------------------------

    def deliver(self, data: bytes) -> None:
        if not self._closing:
            self._protocol.data_received(data)

    def mark(self, mark: Mark) -> None:
        if mark is Mark.SYN:
            if not self.established.done():
                self._protocol.connection_made(self)
                self.established.set_result(None)
        elif not self.established.done():
            self.established.set_exception(ConnectionRefusedError("connection refused"))
            self._closing = True
            self._connection.closed(Direction.UP, None)
        else:
            lost = ConnectionResetError("connection reset") if mark is Mark.RST else None
            self._close(None, lost)

    def hold(self) -> None:
        if not self._closing and self.established.done():
            self._protocol.pause_writing()

    def go_on(self) -> None:
        if not self._closing and self.established.done():
            self._protocol.resume_writing()

    # -- inside -----------------------------------------------------------------------------------

    def _close(self, last: Mark | None, lost: Exception | None = None) -> None:
        if self._closing:
            return
        self._closing = True
        self._connection.closed(Direction.UP, last)
        answer = self.established
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, lost)
