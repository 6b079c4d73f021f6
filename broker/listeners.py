"""The sockets: TCP as an asyncio protocol, WebSocket by picows; both carry a `Link`.

The shell decides nothing: it hands bytes to the core and writes what the link has to send.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol, cast

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSListener,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

# Not among picows' documented names: `ws_create_server` accepts sockets by itself, so that sockets which
# never ask for a WebSocket could not be counted. Its version is pinned for this.
from picows.api import WSProtocol  # type: ignore[attr-defined]

from broker.accept import Acceptor
from broker.session import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from picows import WSFrame, WSTransport, WSUpgradeRequest

    from broker.accept import Gate, Place
    from broker.core import Core
    from broker.tls import ServerTls

WEBSOCKET_PATH: Final = "/mqtt"
SUBPROTOCOL: Final = "mqtt"
_BINARY: Final = WSMsgType.BINARY  # looked up once: an enumeration's attribute costs 50 ns
_CONTINUATION: Final = WSMsgType.CONTINUATION
LARGEST_FRAME: Final = 1024 * 1024  # bytes; clients have limits, ours 4 MiB
_COPIED: Final = 8192  # bytes; picows copies messages up to this size, with their headers
_HIGH_WATER: Final = 256 * 1024  # bytes in a socket's buffer from which a client counts as slow

# picows logs each connection and each fault of a client by itself; the core logs what matters.
_quiet: Final = logging.getLogger("broker.picows")
_quiet.setLevel(logging.CRITICAL + 1)


class Carrier(Protocol):
    """What carries a link."""

    def write(self, data: bytes) -> None:
        """Send these bytes."""

    def read_or_not(self) -> None:
        """Read on, unless the socket is full or packets are waiting for their turn."""

    def close(self) -> None:
        """Close after what was written."""

    def abort(self) -> None:
        """Close now."""


class Listener:
    """What the connections of one listener share.

    Args:
        gate: Counts its sockets.
        carriers: The carrier of each open link.
    """

    def __init__(
        self, core: Core, mark: Callable[[Link], None], carriers: dict[Link, Carrier], gate: Gate
    ) -> None:
        self.core = core
        self.carriers = carriers
        self.gate = gate
        self._mark = mark
        self._loop = asyncio.get_running_loop()

    def accept(self, carrier: Carrier, transport: asyncio.BaseTransport, place: Place) -> Link:
        """A link for a socket whose handshakes are done."""
        peer = transport.get_extra_info("peername")
        address = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and len(peer) >= 2 else ("", 0)
        link = Link(self.core.limits.max_packet, address, self._mark, place.at, datetime.now(UTC))
        link.tls = transport.get_extra_info("ssl_object")
        self.carriers[link] = carrier
        self.core.opened(link)
        return link

    def received(self, link: Link, data: bytes) -> None:
        """Bytes of the client."""
        if link.end is not None:
            return
        waiting = link.backlog is not None
        self.core.received(link, data, self._loop.time())
        if link.backlog is not None and not waiting:
            self.carriers[link].read_or_not()
            self._later(link)

    def _later(self, link: Link) -> None:
        if link.wait_s:
            self._loop.call_later(link.wait_s, self._go_on, link)
        else:
            self._loop.call_soon(self._go_on, link)

    def _go_on(self, link: Link) -> None:
        self.core.go_on(link, self._loop.time())
        if link.backlog is not None:
            self._later(link)
        elif (carrier := self.carriers.get(link)) is not None:
            carrier.read_or_not()

    def gone(self, link: Link) -> None:
        """The socket is closed."""
        if self.carriers.pop(link, None) is not None:
            self.core.lost(link)


class Paced(ABC):
    """A connection that does not read its client while that does not read, or has to wait.

    What a client that does not read could ask for would only pile up.
    """

    __slots__ = ()

    _listener: Listener
    _link: Link | None

    @property
    @abstractmethod
    def _socket(self) -> asyncio.Transport | None:
        """The transport of its socket; None when it is closed."""

    def pause_writing(self) -> None:
        """The socket is full."""
        if self._link is not None:
            self._link.paused = True
            self.read_or_not()

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        if self._link is not None:
            self._listener.core.resumed(self._link)
            self.read_or_not()

    def read_or_not(self) -> None:
        """Read on, unless the socket is full or packets are waiting for their turn."""
        transport, link = self._socket, self._link
        if transport is None or link is None or transport.is_closing():
            return
        wanted = not link.paused and link.backlog is None
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()


class TcpConnection(Paced, asyncio.Protocol):
    """One MQTT connection over TCP (or TLS)."""

    __slots__ = ("_link", "_listener", "_place", "_transport")

    def __init__(self, listener: Listener, place: Place) -> None:
        self._listener = listener
        self._place = place
        self._transport: asyncio.Transport | None = None
        self._link: Link | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._link = self._listener.accept(self, transport, self._place)

    def data_received(self, data: bytes) -> None:
        if self._link is not None:
            self._listener.received(self._link, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._place.leave()
        if self._link is not None:
            self._listener.gone(self._link)

    @property
    def _socket(self) -> asyncio.Transport | None:
        return self._transport

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _head(size: int) -> bytes:
    """The header of a server's binary frame (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((0x82, size))
    if size < 65_536:
        return b"\x82\x7e" + size.to_bytes(2, "big")
    return b"\x82\x7f" + size.to_bytes(8, "big")


class WebSocketConnection(Paced, WSListener):
    """One MQTT connection over WebSocket: a stream of bytes in binary messages (MQTT 3.1.1, chapter 6)."""

    def __init__(self, listener: Listener, place: Place) -> None:
        self._listener = listener
        self._place = place
        self._transport: WSTransport | None = None
        self._link: Link | None = None
        self._unfinished = False  # a fragmented message is under way

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._link = self._listener.accept(self, transport.underlying_transport, self._place)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind, link = frame.msg_type, self._link
        if link is None:
            return
        if kind is _BINARY or kind is _CONTINUATION:
            # picows leaves two rules to us (RFC 6455, 5.2 and 5.4): no reserved bits, fragments in order.
            misplaced = (kind is _CONTINUATION) is not self._unfinished
            if misplaced or frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._close(WSCloseCode.PROTOCOL_ERROR)
                return
            self._unfinished = not frame.fin
            # Packets may span messages (6.0), so the pieces of a fragmented one need not be put together.
            self._listener.received(link, frame.get_payload_as_bytes())
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._close(WSCloseCode.PROTOCOL_ERROR)
        elif kind is WSMsgType.PING:
            if not link.paused:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._close(WSCloseCode.OK)
        elif kind is WSMsgType.TEXT:
            self._close(WSCloseCode.UNSUPPORTED_DATA)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        self._transport = None
        if self._link is not None:
            self._listener.gone(self._link)

    @property
    def _socket(self) -> asyncio.Transport | None:
        return self._transport.underlying_transport if self._transport is not None else None

    def write(self, data: bytes) -> None:
        if self._transport is None:
            return
        if len(data) <= _COPIED:
            self._transport.send(_BINARY, data)
            return
        # Of a larger frame picows queues the header in memory that its next frame overwrites.
        for start in range(0, len(data), LARGEST_FRAME):
            piece = data[start : start + LARGEST_FRAME]
            self._transport.underlying_transport.write(_head(len(piece)) + piece)

    def close(self) -> None:
        self._close(WSCloseCode.OK)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def _close(self, code: WSCloseCode) -> None:
        if self._transport is not None:
            if not self._transport.is_close_frame_sent:
                self._transport.send_close(code)
            self._transport.disconnect()


class _Upgrade(WSProtocol):  # type: ignore[misc] # likewise
    """picows' side of a socket, which gives its place back."""

    place: Place

    def connection_lost(self, exc: Exception | None) -> None:
        self.place.leave()
        super().connection_lost(exc)


def tcp_listener(listener: Listener, tls: ServerTls | None) -> Acceptor:
    """MQTT over TCP, or TLS."""
    return Acceptor(
        listener.gate,
        lambda place: TcpConnection(listener, place),
        tls,
        listener.core.limits.connect_timeout_s,
    )


def websocket_listener(listener: Listener, tls: ServerTls | None, origins: Collection[str]) -> Acceptor:
    """MQTT over WebSocket at `/mqtt`, for browsers of these origins and for clients that send none."""
    limits = listener.core.limits

    def make(place: Place) -> asyncio.BaseProtocol:
        def upgrade(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            refusal = _refusal(request, origins)
            if refusal is None:
                response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": SUBPROTOCOL})
                return WSUpgradeResponseWithListener(response, WebSocketConnection(listener, place))
            status, reason = refusal
            listener.core.counters.handshakes_refused[reason] += 1
            return WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_error_response(status, f"{reason}\n".encode()), None
            )

        protocol = _Upgrade(
            None,  # address and path: of clients
            None,
            False,  # a server; picows takes them by position only
            upgrade,
            _quiet,
            True,  # an error in our code ends the connection
            limits.connect_timeout_s,
            False,  # no pings of its own, so the next three mean nothing
            0.0,
            0.0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # pongs are ours
            max(2 * limits.max_packet, 1024 * 1024),  # largest frame
            None,  # headers: of clients
            4096,  # read buffer at first
        )
        protocol.place = place
        return cast("asyncio.BaseProtocol", protocol)

    return Acceptor(listener.gate, make, tls, limits.connect_timeout_s)


def _refusal(request: WSUpgradeRequest, origins: Collection[str]) -> tuple[HTTPStatus, str] | None:
    """Why a WebSocket is not opened."""
    if request.path.split(b"?")[0].decode("latin-1") != WEBSOCKET_PATH:
        return HTTPStatus.NOT_FOUND, f"MQTT is at {WEBSOCKET_PATH}"
    origin = request.headers.get("Origin")
    if origin is not None and origin not in origins:
        return HTTPStatus.FORBIDDEN, "this origin may not connect"
    # picows refuses other versions too, but fails where it quotes one that has bytes beyond ASCII.
    if request.headers.get("Sec-WebSocket-Version") != "13":
        return HTTPStatus.BAD_REQUEST, "this is WebSocket version 13"
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    if SUBPROTOCOL not in (word.strip() for word in offered.split(",")):
        return HTTPStatus.BAD_REQUEST, f"ask for the subprotocol {SUBPROTOCOL}"
    return None
