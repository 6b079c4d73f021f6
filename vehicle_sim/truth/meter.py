"""Counts what passes between units and the broker, by layer: application, MQTT, WebSocket, TCP/IP.

A tap sits between a unit's MQTT connection and its transport. It reads the lengths in the WebSocket frame
headers, nothing else; the payloads are told by the link. TLS lies below and is not counted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from vehicle_sim.links.line import HEADER_BYTES, SEGMENT_BYTES
from vehicle_sim.truth.records import Bytes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from fleetcell.mqtt.wire import Connect, Wire
    from vehicle_sim.links.link import Link

_HTTP: Final = (b"G", b"H")  # GET, HTTP/1.1: what a WebSocket begins with; no MQTT connection does
_END_OF_HEAD: Final = b"\r\n\r\n"
_CONTROL: Final = 0x08  # of an opcode: close, ping, pong


class Frames:
    """Tells how many bytes of a stream are MQTT, and how many WebSocket. Pure; fed piece by piece."""

    def __init__(self) -> None:
        self.mqtt = 0
        self.websocket = 0
        self._plain: bool | None = None  # None: not known yet
        self._in_head = True
        self._left = 0  # of the frame's body
        self._body_is_mqtt = True
        self._rest = b""  # bytes of a header that is not whole

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self._plain is None and data:
            self._plain = data[:1] not in _HTTP
        if self._plain:
            self.mqtt += len(data)
            return
        data = self._rest + data
        self._rest = b""
        at = self._head(data) if self._in_head else 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._count(taken)
                self._left -= taken
                at += taken
                continue
            size = self._header(data, at)
            if size is None:
                self._rest = data[at:]
                return
            at += size

    def _head(self, data: bytes) -> int:
        end = data.find(_END_OF_HEAD)
        if end < 0:
            self._rest = data
            return len(data)
        self._in_head = False
        self.websocket += end + len(_END_OF_HEAD)
        return end + len(_END_OF_HEAD)

    def _header(self, data: bytes, at: int) -> int | None:
        """Take a frame's header; its size, None where it is not whole."""
        if len(data) < at + 2:
            return None
        length, size = data[at + 1] & 0x7F, 2
        extended = {126: 2, 127: 8}.get(length, 0)
        if len(data) < at + 2 + extended:
            return None
        if extended:
            length = int.from_bytes(data[at + 2 : at + 2 + extended], "big")
        size += extended + (4 if data[at + 1] & 0x80 else 0)
        if len(data) < at + size:
            return None
        self.websocket += size
        self._left = length
        self._body_is_mqtt = not data[at] & _CONTROL
        return size

    def _count(self, size: int) -> None:
        if self._body_is_mqtt:
            self.mqtt += size
        else:
            self.websocket += size


class Meter:
    """Of all units of a run."""

    def __init__(self) -> None:
        self._payload = [0, 0]
        self._messages = [0, 0]
        self._segments = [0, 0]
        self._frames = [0, 0]  # MQTT
        self._websocket = [0, 0]
        self._open: set[_Tap] = set()

    def published(self, payload: int) -> None:
        """A message went up; its payload's bytes."""
        self._payload[0] += payload
        self._messages[0] += 1

    def received(self, payload: int) -> None:
        """A message came down."""
        self._payload[1] += payload
        self._messages[1] += 1

    def around(self, connect: Connect | None) -> Connect:
        """The same way to get connections, counted."""

        async def counted(
            factory: Callable[[], Wire],
            host: str,
            port: int,
            *,
            tls: ssl.SSLContext | None,
            source: str | None,
        ) -> Wire:
            def tapped() -> _Tap:
                return _Tap(factory(), self)

            if connect is None:
                local = None if source is None else (source, 0)
                loop = asyncio.get_running_loop()
                _, tap = await loop.create_connection(tapped, host, port, ssl=tls, local_addr=local)
                return tap.wire
            # What makes the protocol is given back as it was made; the bridge never sees the tap.
            found = await connect(cast("Callable[[], Wire]", tapped), host, port, tls=tls, source=source)
            return cast("_Tap", found).wire

        return counted

    def opened(self, tap: _Tap) -> None:
        """A connection stands: SYN, and later FIN, each way."""
        self._open.add(tap)
        for direction in (0, 1):
            self._segments[direction] += 2

    def passed(self, direction: int, size: int) -> None:
        """Data went up (0) or came down (1)."""
        self._segments[direction] += -(-size // SEGMENT_BYTES)

    def closed(self, tap: _Tap) -> None:
        """A connection is over."""
        if tap in self._open:
            self._open.remove(tap)
            for direction, frames in enumerate(tap.frames):
                self._frames[direction] += frames.mqtt
                self._websocket[direction] += frames.websocket

    def read(self, links: Iterable[Link] = ()) -> tuple[Bytes, Bytes]:
        """Uplink and downlink until now. With links, the packets are those that they have counted."""
        found = []
        packets = [[link.passed[direction].packets for link in links] for direction in (0, 1)]
        for direction in (0, 1):
            open_frames = [tap.frames[direction] for tap in self._open]
            mqtt = self._frames[direction] + sum(frames.mqtt for frames in open_frames)
            websocket = self._websocket[direction] + sum(frames.websocket for frames in open_frames)
            measured = bool(packets[direction])
            count = sum(packets[direction]) if measured else self._segments[direction]
            payload = self._payload[direction]
            found.append(
                Bytes(
                    messages=self._messages[direction],
                    payload=payload,
                    mqtt=max(0, mqtt - payload),  # what no connection took any more is not on the air
                    websocket=websocket,
                    packets=count,
                    tcp_ip=count * HEADER_BYTES,
                    measured=measured,
                )
            )
        return found[0], found[1]


class _Tap(asyncio.Protocol):
    """Between a wire and its transport."""

    def __init__(self, wire: Wire, meter: Meter) -> None:
        self.wire = wire
        self.frames = (Frames(), Frames())
        self._meter = meter

    def sent(self, data: bytes | bytearray | memoryview) -> None:
        """The wire writes."""
        self.frames[0].feed(bytes(data))
        self._meter.passed(0, len(data))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._meter.opened(self)
        self.wire.connection_made(_Tapped(cast("asyncio.Transport", transport), self))

    def data_received(self, data: bytes) -> None:
        self.frames[1].feed(data)
        self._meter.passed(1, len(data))
        self.wire.data_received(data)

    def pause_writing(self) -> None:
        self.wire.pause_writing()

    def resume_writing(self) -> None:
        self.wire.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._meter.closed(self)
        self.wire.connection_lost(exc)


class _Tapped(asyncio.Transport):
    """A transport that tells its tap what is written; `Wire` uses no more of it than this."""

    def __init__(self, transport: asyncio.Transport, tap: _Tap) -> None:
        super().__init__()
        self._transport = transport
        self._tap = tap

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._tap.sent(data)
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)
