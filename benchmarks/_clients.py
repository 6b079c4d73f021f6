"""MQTT clients for load: a plain socket each, packets encoded beforehand, no library and no event loop.

A client writes each packet as a unit does: over WebSocket in a frame of its own, masked (with key 0, so that
what is sent can be encoded once). What comes is unframed and counted, not decoded: all messages of one
measurement have the same length.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE_S: Final = 60.0
_OPENING: Final = 400  # connections that are being opened at a time
_BUFFER: Final = 262_144
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST, so that no port waits

_CONNACK: Final = b"\x20\x02\x00\x00"
_SUBACK: Final = 0x90


class LoadError(Exception):
    """The broker did not do what the load needs."""


class Target(NamedTuple):
    """A listener."""

    port: int
    ws: bool


class Account(NamedTuple):
    """A client id, which is the user name too, and its secret."""

    name: str
    secret: str


def string(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    head, length = bytearray((first,)), len(body)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def connect_packet(account: Account, will_topic: str | None = None) -> bytes:
    will = b"" if will_topic is None else string(will_topic) + string("lost")
    flags = 0xC2 if will_topic is None else 0xC2 | 0x04 | 0x08
    body = string("MQTT") + bytes((4, flags, 0, 0)) + string(account.name) + will
    return packet(0x10, body + string(account.name) + string(account.secret))


def subscribe_packet(topic_filter: str, qos: int) -> bytes:
    return packet(0x82, b"\x00\x01" + string(topic_filter) + bytes((qos,)))


def publish_packet(topic: str, payload: bytes, qos: int, packet_id: int = 1) -> bytes:
    body = string(topic) + (packet_id.to_bytes(2, "big") if qos else b"") + payload
    return packet(0x30 | qos << 1, body)


def frame(data: bytes) -> bytes:
    """A binary frame of a client, masked with key 0."""
    size = len(data)
    if size < 126:
        return bytes((0x82, 0x80 | size)) + bytes(4) + data
    if size < 65536:
        return b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + data
    return b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + data


def puback_packets(high: bytes, low: bytes) -> bytes:
    """PUBACKs of packet ids given by their high and low bytes."""
    acks = bytearray(b"\x40\x02\x00\x00" * len(high))
    acks[2::4] = high
    acks[3::4] = low
    return bytes(acks)


class Client:
    """One connection. `topic_filter` is subscribed at QoS 1 when it opens."""

    __slots__ = ("_answers", "_rest", "account", "awaited", "load", "socket", "steps", "stream", "target")

    def __init__(
        self,
        target: Target,
        account: Account,
        topic_filter: str | None = None,
        will_topic: str | None = None,
    ) -> None:
        self.target = target
        self.account = account
        self.socket = socket.socket()
        self.load = b""  # what it publishes in one go
        self.awaited = 0  # bytes of PUBACKs
        self.stream = b""  # the beginning of a message
        self._rest = b""  # the beginning of a frame
        self.steps: deque[bytes] = deque((self.framed(connect_packet(account, will_topic)),))
        self._answers = 1
        if topic_filter is not None:
            self.steps.append(self.framed(subscribe_packet(topic_filter, 1)))
            self._answers = 2

    def framed(self, data: bytes) -> bytes:
        """As it goes over the wire."""
        return frame(data) if self.target.ws else data

    def start(self) -> None:
        """Begin to connect; `go_on` when something came, until it says True."""
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(("127.0.0.1", self.target.port))
        if self.target.ws:
            key = "AAAAAAAAAAAAAAAAAAAAAA=="
            request = (
                f"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:{self.target.port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            self.steps.appendleft(request.encode())

    def connected(self) -> None:
        """The socket is open: send the first of the steps."""
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise LoadError(f"{self.account.name} cannot connect: errno {error}")
        self.send(self.steps.popleft())

    def go_on(self) -> bool:
        """Something came while the connection opens; whether it is open now."""
        if self.target.ws and len(self.steps) == self._answers:  # the upgrade is not answered yet
            self._rest += self._received()
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 101"):
                raise LoadError(f"no WebSocket: {head[:80]!r}")
            self._rest = rest
            self.send(self.steps.popleft())
            return False
        self.stream += self.receive()
        while self.stream:
            size = 4 if self.stream[0] == _CONNACK[0] else 5
            if len(self.stream) < size:
                return False
            answer, self.stream = self.stream[:size], self.stream[size:]
            if answer != _CONNACK and (answer[0] != _SUBACK or answer[4] == 0x80):
                raise LoadError(f"{self.account.name} is refused: {answer.hex()}")
            if not self.steps:
                return True
            self.send(self.steps.popleft())
        return False

    def _received(self) -> bytes:
        try:
            data = self.socket.recv(_BUFFER)
        except BlockingIOError:
            return b""
        if not data:
            raise LoadError(f"the broker closed {self.account.name}")
        return data

    def receive(self) -> bytes:
        """The bytes of MQTT that came."""
        data = self._received()
        if not self.target.ws:
            return data
        if self._rest:
            data = self._rest + data
        parts = []
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = data[at + 1], at + 2
            if length >= 126:
                body = at + (4 if length == 126 else 10)
                if body > size:
                    break
                length = int.from_bytes(data[at + 2 : body], "big")
            end = body + length
            if end > size:
                break
            if data[at] & 0x0F == 8:
                raise LoadError(f"the broker closed {self.account.name}: {data[body:end]!r}")
            parts.append(data[body:end])
            at = end
        self._rest = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, data: bytes) -> None:
        """Send all of it; what is under way is bounded, so that this hardly ever waits."""
        sent = 0
        while True:
            try:
                sent += self.socket.send(data[sent:] if sent else data)
            except BlockingIOError:
                if not select.select([], [self.socket], [], PATIENCE_S)[1]:
                    raise LoadError(f"the broker does not read {self.account.name}") from None
            if sent == len(data):
                return

    def take_messages(self) -> int:
        """How many messages came; those of QoS 1 are acknowledged in one write."""
        stream = self.stream + self.receive()
        if len(stream) < 5:
            self.stream = stream
            return 0
        size = 3 + (stream[1] & 0x7F | stream[2] << 7)  # two bytes of length: 128 to 16,383
        count = len(stream) // size
        whole = count * size
        self.stream = stream[whole:]
        if stream[0] & 6 and count:
            at = 5 + (stream[3] << 8 | stream[4])
            acks = puback_packets(stream[at:whole:size], stream[at + 1 : whole : size])
            self.send(self.framed(acks))
        return count

    def close(self) -> None:
        """Reset the connection: to the broker the client is lost."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()


def open_all(clients: Iterable[Client]) -> float:
    """Connect (and subscribe) all; seconds until the last has its answer.

    Raises:
        LoadError: one is refused, or not all are open in time.
    """
    started = time.perf_counter()
    waiting = deque(clients)
    poll = select.epoll()
    opening: dict[int, Client] = {}
    connecting: set[int] = set()
    while waiting or opening:
        while waiting and len(opening) < _OPENING:
            client = waiting.popleft()
            client.start()
            number = client.socket.fileno()
            opening[number] = client
            connecting.add(number)
            poll.register(number, select.EPOLLOUT)
        for number, _ in poll.poll(1.0):
            client = opening[number]
            if number in connecting:
                connecting.remove(number)
                client.connected()
                poll.modify(number, select.EPOLLIN)
            elif client.go_on():
                poll.unregister(number)
                del opening[number]
        if time.perf_counter() - started > PATIENCE_S:
            raise LoadError(f"{len(waiting) + len(opening)} clients not connected after {PATIENCE_S:.0f} s")
    poll.close()
    return time.perf_counter() - started
