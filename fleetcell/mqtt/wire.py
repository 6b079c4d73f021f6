"""The byte stream under an MQTT session: an asyncio connection that looks like a socket to paho.

paho reads from and writes to memory here, so nothing it does can block. What it writes in one turn of the
event loop goes out together; else each acknowledgement would cost a frame and a system call of its own.
asyncio does the I/O and TLS, the websockets library's sans-I/O protocol does the framing. paho's own
WebSocket is not used: it blocks during its handshake, reads one byte a system call and masks in a Python
loop.
"""

from __future__ import annotations

import asyncio
import time
import typing
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from fleetcell.flag import Flag
from fleetcell.mqtt.types import ssl_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fleetcell.mqtt.address import BrokerAddress
    from fleetcell.mqtt.types import TlsOptions

_WRITE_HIGH_WATER = 256 * 1024  # bytes waiting for the kernel; above it, publishers wait
_GATHERED = 64 * 1024  # bytes that wait for the end of a turn, at most
_HEAD_END = b"\r\n\r\n"
_SWITCHING = b"HTTP/1.1 101"
_MOST_HEAD = 16 * 1024  # bytes of a server's answer
_MAX_FRAME = 4 * 1024 * 1024  # bytes; a broker never sends more in one frame


class Wire(asyncio.Protocol):
    """A TCP (or TLS) stream. paho calls recv, send, close, fileno and setblocking."""

    def __init__(self) -> None:
        self.on_data: Callable[[], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.writable = True
        self.last_received = 0.0  # time.monotonic(), as paho's own clock
        self.last_sent = 0.0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = Flag()
        self._transport: asyncio.Transport | None = None
        self.inbound = bytearray()
        self._outbound: bytearray | None = None  # None: empty
        self._lost: str | None = None

    # -- what paho sees -----------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        if not self.inbound:
            raise BlockingIOError
        data = bytes(self.inbound[:size])
        del self.inbound[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        if self._transport is None or self._lost is not None or not self._is_open:
            raise BrokenPipeError
        if self._outbound is None:
            self._outbound = bytearray(data)
            asyncio.get_running_loop().call_soon(self._send_gathered)
        else:
            self._outbound += data
        if len(self._outbound) >= _GATHERED:
            self._send_gathered()
        self.last_sent = time.monotonic()
        return len(data)

    def close(self) -> None:
        """Close after what was written has been sent."""
        self._send_gathered()
        self._finish()
        if self._transport is not None:
            self._transport.close()

    def fileno(self) -> int:
        return -1  # there is none to wait on: asyncio does the waiting

    def setblocking(self, flag: bool) -> None:
        """Nothing here blocks."""

    # -- what the session sees ----------------------------------------------------------------

    def drop(self, size: int) -> None:
        """So many bytes of `inbound` were taken."""
        del self.inbound[:size]

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""
        self._outbound = None
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        self.last_received = self.last_sent = time.monotonic()
        self._begin()

    def data_received(self, data: bytes) -> None:
        self.last_received = time.monotonic()
        self._decode(data)
        if self.inbound and self.on_data is not None:
            self.on_data()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.on_writable is not None:
            self.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = f"connection lost: {exc}" if exc else self._why_closed()
        self.gone.set()
        self._settle(self._lost)
        if self.on_lost is not None:
            self.on_lost(self._lost)

    def _settle(self, problem: str | None = None) -> None:
        """`opened` is decided, unless it is already, or nobody waits for it any more."""
        if self.opened.done():
            return
        if problem is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(ConnectionError(problem))
            self.opened.exception()  # if nobody asks for it, that is no fault

    def _send_gathered(self) -> None:
        data, self._outbound = self._outbound, None
        if data and self._lost is None and self._is_open:
            self._write(bytes(data))

    # -- framing: none on TCP -----------------------------------------------------------------

    @property
    def _is_open(self) -> bool:
        """Whether data can be sent; not so when one of the two sides is closing, which is not over yet."""
        return True

    def _finish(self) -> None:
        """What is said last."""

    def _begin(self) -> None:
        self._settle()

    def _decode(self, data: bytes) -> None:
        self.inbound += data

    def _why_closed(self) -> str:
        return "connection closed by the broker"

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


class _Opening:
    """A WebSocket handshake, and the bytes of its answer that have come.

    It is dropped when it is over: a ClientProtocol would keep request and answer as long as the connection.
    """

    def __init__(self, uri: WebSocketURI) -> None:
        self.framing = ClientProtocol(uri, subprotocols=[Subprotocol("mqtt")], max_size=_MAX_FRAME)
        self._head: bytearray | None = bytearray()

    def take(self, data: bytes) -> bytes:
        """Hand on what belongs to the answer; gives the rest, empty while the answer is not whole."""
        if self._head is None:
            self.framing.receive_data(data)
            return b""
        self._head += data
        head, end, rest = self._head.partition(_HEAD_END)
        if self._head[: len(_SWITCHING)] != _SWITCHING[: len(self._head)] or len(head) > _MOST_HEAD:
            self.framing.receive_data(bytes(self._head))  # it says what is wrong, with the body that follows
            self._head = None
            return b""
        if not end:
            return b""
        self.framing.receive_data(bytes(head + end))
        return bytes(rest)


class WebSocketWire(Wire):
    """The same over WebSocket binary frames, subprotocol `mqtt`."""

    def __init__(self, address: BrokerAddress) -> None:
        super().__init__()
        path, _, query = (address.path or "/mqtt").partition("?")
        uri = WebSocketURI(address.tls, address.host, address.port, path, query)
        self._opening: _Opening | None = _Opening(uri)
        self._framing: Protocol = self._opening.framing

    @property
    def _is_open(self) -> bool:
        return self._framing.state is State.OPEN

    def _finish(self) -> None:
        if self.opened.done() and self._lost is None:
            self._framing.fail(1000)
            self._flush()

    def _begin(self) -> None:
        assert self._opening is not None
        self._opening.framing.send_request(self._opening.framing.connect())
        self._flush()

    def _decode(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._finish_handshake(self._opening, data)
        self._framing.receive_data(data)
        for event in self._framing.events_received():
            if isinstance(event, Frame):
                if event.opcode in {Opcode.BINARY, Opcode.CONT}:
                    self.inbound += event.data
                elif event.opcode is Opcode.CLOSE:
                    self.close()
        self._flush()

    def _write(self, data: bytes) -> None:
        self._framing.send_binary(data)
        self._flush()

    def _why_closed(self) -> str:
        framing = self._framing
        if framing.parser_exc is not None:
            return f"WebSocket failed: {framing.parser_exc!r}"
        if framing.close_rcvd is not None:
            return f"WebSocket closed by the broker: {framing.close_rcvd}"
        return super()._why_closed()

    def _finish_handshake(self, opening: _Opening, data: bytes) -> bytes:
        """Take the server's answer from the beginning of the stream; what is behind it are frames."""
        frames = opening.take(data)
        framing = opening.framing
        if framing.handshake_exc is not None:
            self._settle(f"WebSocket handshake refused: {framing.handshake_exc}")
        elif framing.state is State.OPEN:
            self._opening = None
            self._framing = Protocol(Side.CLIENT, state=State.OPEN, max_size=_MAX_FRAME)
            is_mqtt = framing.subprotocol == "mqtt"
            self._settle(None if is_mqtt else "the server does not speak MQTT on this WebSocket path")
        return frames

    def _flush(self) -> None:
        assert self._transport is not None
        for chunk in self._framing.data_to_send():
            if chunk:
                self._transport.write(chunk)
            else:  # the protocol has nothing more to say
                self._transport.close()


class Connect(typing.Protocol):
    """How to get a connection: `loop.create_connection` by default, something in between for a simulation."""

    async def __call__(
        self,
        factory: Callable[[], Wire],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        source: str | None,
    ) -> Wire:
        """Connect; returns when `connection_made` was called. Raises OSError."""


async def open_wire(
    address: BrokerAddress, tls: TlsOptions, source: str | None = None, connect: Connect | None = None
) -> Wire:
    """Connect, with TLS and the WebSocket handshake where the address asks for them.

    Args:
        address: of the broker.
        tls: how it is trusted.
        source: the address of this machine to connect from, for which there is no `source_problem`.
        connect: another way to get the connection.

    Raises:
        OSError: no connection, no trust (ssl.SSLError), or a refused handshake.
    """
    loop = asyncio.get_running_loop()
    context = await asyncio.to_thread(ssl_context, tls) if address.tls else None

    def factory() -> Wire:
        return Wire() if address.path is None else WebSocketWire(address)

    if connect is not None:
        wire = await connect(factory, address.host, address.port, tls=context, source=source)
    else:
        local = None if source is None else (source, 0)
        _, wire = await loop.create_connection(
            factory, address.host, address.port, ssl=context, local_addr=local
        )
    try:
        await wire.opened
    except BaseException:
        wire.abort()
        raise
    return wire
