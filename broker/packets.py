"""MQTT 3.1.1 on the wire: bytes to packets and back, no socket and no clock.

All packets are read here straight from the buffer, not by amqtt's classes: those decode leniently (trailing
bytes, bytes that are not UTF-8), and took a seventh of the time of a connect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from broker.errors import PacketTooLargeError, ProtocolError, UnsupportedVersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
UNSUBSCRIBE: Final = 10
PINGRESP: Final = b"\xd0\x00"
REFUSED: Final = 0x80  # the return code of a SUBACK for a filter that was not granted

RETAIN: Final = 0x01  # flags of a PUBLISH's first byte
DUP: Final = 0x08

_FLAGS: Final = {PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
_ACKNOWLEDGE: Final = {
    kind: bytes((kind << 4 | _FLAGS[kind], 2)) for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP)
}
_NAME_AND_LEVEL: Final = b"\x00\x04MQTT\x04"


_make: Final = tuple.__new__  # a named tuple of a tuple, without the call in Python that its class makes


class Publish(NamedTuple):
    """PUBLISH: the topic as its UTF-8 bytes, not checked yet; packet id 0 at QoS 0."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


class Acknowledge(NamedTuple):
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    kind: int
    packet_id: int


class Will(NamedTuple):
    """The message to publish when the connection ends without DISCONNECT."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """CONNECT; the client id is empty when the client leaves it to the broker."""

    client_id: str
    clean: bool
    keep_alive: int
    will: Will | None
    username: str | None
    password: str | None


class Subscribe(NamedTuple):
    """SUBSCRIBE: filters with the QoS asked for."""

    packet_id: int
    filters: list[tuple[str, int]]


class Unsubscribe(NamedTuple):
    """UNSUBSCRIBE."""

    packet_id: int
    filters: list[str]


class Ping(NamedTuple):
    """PINGREQ."""


class Disconnect(NamedTuple):
    """DISCONNECT."""


Packet = Publish | Acknowledge | Connect | Subscribe | Unsubscribe | Ping | Disconnect


class Decoder:
    """The packets of one connection, however its bytes are cut."""

    __slots__ = ("_limit", "_need", "_rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._need = 0

    def feed(self, data: bytes) -> Iterator[Packet]:  # noqa: PLR0912 - hot: calls would cost more
        """Yield the packets that are complete with this piece.

        Raises:
            ProtocolError: after the packets before the wrong one.
        """
        if self._rest:
            # Joined only once the packet is complete: a large packet in many small pieces costs its
            # own length, not its square.
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
        at, size = 0, len(data)
        self._need = 2
        while size - at >= 2:
            first, length, body = data[at], data[at + 1], at + 2
            if length >= 0x80:
                if size - at > 2 and data[at + 2] < 0x80:  # two bytes: nearly all that are not one
                    length, body = length & 0x7F | data[at + 2] << 7, at + 3
                else:
                    length, body = _long_length(data, at)
                if not body:
                    self._need = size - at + 1
                    break
            if length > self._limit:
                raise PacketTooLargeError(f"a packet of {length} bytes; the limit is {self._limit}")
            end = body + length
            if end > size:
                self._need = end - at
                break
            if first >> 4 == 3:
                yield _publish(data, first, body, end)
            elif first == 0x40 and length == 2 and (data[body] or data[body + 1]):  # PUBACK, shortened
                yield _make(Acknowledge, (PUBACK, data[body] << 8 | data[body + 1]))
            else:
                yield _other(first, data[body:end])
            at = end
        if at < size:
            self._rest += data[at:]


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """Remaining length of two to four bytes and where the body starts; (0, 0) when it is cut."""
    length = 0
    for index in range(4):
        if at + 1 + index >= len(data):
            return 0, 0
        byte = data[at + 1 + index]
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return length, at + 2 + index
    raise ProtocolError("a remaining length has four bytes at most")


def _publish(data: bytes, first: int, body: int, end: int) -> Publish:
    qos = (first >> 1) & 3
    if qos == 3 or (first & DUP and not qos):
        raise ProtocolError("PUBLISH with QoS 3, or with DUP at QoS 0")
    start = body + 2
    if start > end:
        raise ProtocolError("PUBLISH without a topic")
    payload = topic_end = start + (data[body] << 8 | data[body + 1])
    packet_id = 0
    if qos:
        payload += 2
        if payload > end:
            raise ProtocolError("PUBLISH is cut short")
        packet_id = data[topic_end] << 8 | data[topic_end + 1]
        if not packet_id:
            raise ProtocolError("packet id 0")
    if payload > end:
        raise ProtocolError("PUBLISH is cut short")
    fields = data[start:topic_end], data[payload:end], qos, bool(first & RETAIN), packet_id
    return _make(Publish, fields)


def _other(first: int, body: bytes) -> Packet:
    kind, flags = first >> 4, first & 0x0F
    if flags != _FLAGS.get(kind, 0):
        raise ProtocolError(f"packet type {kind} with flags {flags:#x}")
    if PUBACK <= kind <= PUBCOMP:
        return _make(Acknowledge, (kind, _packet_id(body, exactly=True)))
    match kind:
        case 1:  # CONNECT
            return _connect(body)
        case 8:  # SUBSCRIBE
            return _subscribe(body)
        case 10:  # UNSUBSCRIBE
            return _unsubscribe(body)
        case 12 | 14 if body:
            raise ProtocolError("PINGREQ and DISCONNECT have no body")
        case 12:
            return Ping()
        case 14:
            return Disconnect()
        case _:
            raise ProtocolError(f"packet type {kind} does not go to a server")


def _packet_id(body: bytes, *, exactly: bool = False) -> int:
    if len(body) < 2 or (exactly and len(body) != 2):
        raise ProtocolError("the packet has no packet id, or more than that")
    packet_id = body[0] << 8 | body[1]
    if not packet_id:
        raise ProtocolError("packet id 0")
    return packet_id


def _binary(body: bytes, at: int) -> tuple[bytes, int]:
    """A field of two bytes of length and its content, and where the next one starts."""
    start = at + 2
    if start > len(body):
        raise ProtocolError("the packet is cut short")
    end = start + (body[at] << 8 | body[at + 1])
    if end > len(body):
        raise ProtocolError("the packet is cut short")
    return body[start:end], end


def _text(body: bytes, at: int) -> tuple[str, int]:
    raw, end = _binary(body, at)
    try:
        return raw.decode(), end
    except UnicodeDecodeError as error:
        raise ProtocolError(f"a string is not UTF-8: {error.reason}") from error


def _connect(body: bytes) -> Connect:
    if not body.startswith(_NAME_AND_LEVEL):
        if body.startswith((_NAME_AND_LEVEL[:-1], b"\x00\x06MQIsdp")):
            raise UnsupportedVersionError
        raise ProtocolError("not a CONNECT of MQTT")
    if len(body) < 10:
        raise ProtocolError("the packet is cut short")
    flags, keep_alive = body[7], body[8] << 8 | body[9]
    if flags & 0x01 or (flags & 0x40 and not flags & 0x80):
        raise ProtocolError("CONNECT with its reserved flag, or with a password but no user name")
    client_id, at = _text(body, 10)
    will = username = password = None
    if flags & 0x04:
        qos = flags >> 3 & 3
        if qos == 3:
            raise ProtocolError("a will with QoS 3")
        topic, at = _text(body, at)
        payload, at = _binary(body, at)
        will = Will(topic, payload, qos, bool(flags & 0x20))
    elif flags & 0x38:
        raise ProtocolError("will flags without a will")
    if flags & 0x80:
        username, at = _text(body, at)
    if flags & 0x40:
        password, at = _text(body, at)
    if at != len(body):
        raise ProtocolError("CONNECT has more bytes than fields")
    if "\0" in client_id or "\0" in (username or ""):
        raise ProtocolError("NUL in a string")
    return Connect(client_id, bool(flags & 0x02), keep_alive, will, username, password)


def _subscribe(body: bytes) -> Subscribe:
    packet_id, at = _packet_id(body), 2
    filters = []
    while at < len(body):
        topic_filter, at = _text(body, at)
        if at == len(body) or body[at] > 2:
            raise ProtocolError("SUBSCRIBE without a QoS, or with QoS 3")
        filters.append((topic_filter, body[at]))
        at += 1
    if not filters:
        raise ProtocolError("SUBSCRIBE without a filter")
    return Subscribe(packet_id, filters)


def _unsubscribe(body: bytes) -> Unsubscribe:
    packet_id, at = _packet_id(body), 2
    filters = []
    while at < len(body):
        topic_filter, at = _text(body, at)
        filters.append(topic_filter)
    if not filters:
        raise ProtocolError("UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, filters)


# -- what the broker sends --------------------------------------------------------------------------


def connack(code: int, *, session_present: bool = False) -> bytes:
    """CONNACK with a return code of amqtt.mqtt.connack."""
    return bytes((0x20, 2, session_present, code))


def suback(packet_id: int, codes: list[int]) -> bytes:
    """SUBACK with a code a filter: the QoS granted, or REFUSED."""
    return _head(0x90, 2 + len(codes)) + packet_id.to_bytes(2, "big") + bytes(codes)


def unsuback(packet_id: int) -> bytes:
    """UNSUBACK."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


def acknowledgement(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return _ACKNOWLEDGE[kind] + packet_id.to_bytes(2, "big")


def publish_head(topic: bytes, payload_size: int, qos: int, flags: int = 0) -> bytes:
    """PUBLISH up to its packet id; `topic` with its two bytes of length, `flags` of RETAIN and DUP."""
    length = len(topic) + payload_size + (2 if qos else 0)
    return _head(0x30 | qos << 1 | flags, length) + topic


def _head(first: int, length: int) -> bytes:
    if length < 0x80:
        return bytes((first, length))
    if length < 0x4000:
        return bytes((first, length & 0x7F | 0x80, length >> 7))
    head = bytearray((first,))
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head)
