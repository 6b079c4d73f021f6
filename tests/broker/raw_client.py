"""A small MQTT client of our own, over TCP or WebSocket, that can send anything and tells all it gets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 2, 3, 4, 5, 6, 7
SUBACK, UNSUBACK, PINGRESP = 9, 11, 13
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
PATIENCE_S = 60.0  # ends at the event; so long only on a machine that is busy with other things


class Packet(NamedTuple):
    """A packet from the broker."""

    kind: int
    flags: int
    body: bytes

    @property
    def packet_id(self) -> int:
        """Of an acknowledgement."""
        return int.from_bytes(self.body[:2], "big")


class Message(NamedTuple):
    """A PUBLISH from the broker."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int


def string(value: str | bytes) -> bytes:
    """A string or binary field: two bytes of length before it."""
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    """Fixed header and body."""
    head, length = bytearray((first,)), len(body)
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


@dataclass(frozen=True)
class Will:
    """A last will."""

    topic: str
    payload: bytes = b"lost"
    qos: int = 1
    retain: bool = False


def connect_packet(
    client_id: str,
    username: str | None,
    password: str | None,
    *,
    clean: bool = True,
    keep_alive: int = 0,
    will: Will | None = None,
    level: int = 4,
    name: str = "MQTT",
) -> bytes:
    """CONNECT; level 5 gets the empty properties of MQTT 5."""
    flags = (
        (2 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    )
    properties = b"\0" if level == 5 else b""
    payload = string(client_id)
    if will is not None:
        flags |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
        payload += properties + string(will.topic) + string(will.payload)
    for field in (username, password):
        if field is not None:
            payload += string(field)
    head = string(name) + bytes((level, flags)) + keep_alive.to_bytes(2, "big") + properties
    return packet(0x10, head + payload)


def publish_packet(
    topic: str | bytes,
    payload: bytes,
    qos: int = 0,
    *,
    retain: bool = False,
    packet_id: int = 1,
    dup: bool = False,
) -> bytes:
    """PUBLISH."""
    first = 0x30 | qos << 1 | int(retain) | (8 if dup else 0)
    return packet(first, string(topic) + (packet_id.to_bytes(2, "big") if qos else b"") + payload)


def subscribe_packet(filters: list[tuple[str, int]], packet_id: int = 1) -> bytes:
    """SUBSCRIBE."""
    body = b"".join(string(name) + bytes((qos,)) for name, qos in filters)
    return packet(0x82, packet_id.to_bytes(2, "big") + body)


def unsubscribe_packet(filters: list[str], packet_id: int = 1) -> bytes:
    """UNSUBSCRIBE."""
    return packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(string(name) for name in filters))


def acknowledgement_packet(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP."""
    return packet(kind << 4 | (2 if kind == PUBREL else 0), packet_id.to_bytes(2, "big"))


def split(data: bytes) -> list[Packet]:
    """The packets in bytes that end with one."""
    found, at = [], 0
    while at < len(data):
        first, length, shift = data[at], 0, 0
        while True:
            at += 1
            length |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1
        found.append(Packet(first >> 4, first & 0x0F, data[at : at + length]))
        at += length
    assert at == len(data), "cut"
    return found


def frame(data: bytes, opcode: int = 2, *, fin: bool = True, mask: bool = True) -> bytes:
    """A WebSocket frame of a client."""
    head = bytearray((opcode | (0x80 if fin else 0),))
    bit = 0x80 if mask else 0
    if len(data) < 126:
        head.append(bit | len(data))
    elif len(data) < 65536:
        head.append(bit | 126)
        head += len(data).to_bytes(2, "big")
    else:
        head.append(bit | 127)
        head += len(data).to_bytes(8, "big")
    if not mask:
        return bytes(head) + data
    key = os.urandom(4)
    return bytes(head) + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


class RawClient:
    """One connection; `ws` wraps what is sent in binary frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, ws: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.ws = ws
        self._buffer = bytearray()
        self.close_code: int | None = None
        self.messages: list[Message] = []

    @classmethod
    async def open_tcp(cls, port: int, tls: ssl.SSLContext | None = None) -> RawClient:
        """A TCP connection, with TLS where wanted."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls), ws=False)

    @classmethod
    async def open_ws(cls, port: int, tls: ssl.SSLContext | None = None, /, **headers: str) -> RawClient:
        """A WebSocket at /mqtt; fails when the broker does not answer 101."""
        client, status = await cls.upgrade(port, "/mqtt", "mqtt", tls, **headers)
        assert status == 101, status
        return client

    @classmethod
    async def upgrade(
        cls,
        port: int,
        path: str = "/mqtt",
        subprotocol: str | None = "mqtt",
        tls: ssl.SSLContext | None = None,
        /,
        **headers: str,
    ) -> tuple[RawClient, int]:
        """Ask for a WebSocket; the answer's status too."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        fields = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **({"Sec-WebSocket-Protocol": subprotocol} if subprotocol else {}),
            **headers,
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        client = cls(reader, writer, ws=True)
        return client, int(head.split(b" ")[1])

    # -- out ------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send packets."""
        self.writer.write(frame(data) if self.ws else data)

    async def login(
        self,
        name: str,
        secret: str | None,
        *,
        client_id: str | None = None,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
    ) -> Packet:
        """CONNECT and its CONNACK."""
        self.send(
            connect_packet(
                name if client_id is None else client_id,
                name,
                secret,
                clean=clean,
                keep_alive=keep_alive,
                will=will,
            )
        )
        return await self.expect(CONNACK)

    async def subscribe(self, *filters: tuple[str, int]) -> list[int]:
        """SUBSCRIBE and the codes of its SUBACK."""
        self.send(subscribe_packet(list(filters), 7))
        return list((await self.expect(SUBACK)).body[2:])

    def publish(
        self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False, packet_id: int = 1
    ) -> None:
        """PUBLISH."""
        self.send(publish_packet(topic, payload, qos, retain=retain, packet_id=packet_id))

    def acknowledge(self, message: Message) -> None:
        """PUBACK."""
        self.send(acknowledgement_packet(PUBACK, message.packet_id))

    async def ping(self) -> None:
        """PINGREQ and PINGRESP: all that the broker had to send before has come."""
        self.send(PINGREQ_PACKET)
        await self.expect(PINGRESP, passing=PUBACK)

    def abort(self) -> None:
        """Drop the connection without DISCONNECT."""
        self.writer.transport.abort()

    async def disconnect(self) -> None:
        """DISCONNECT, and wait for the end."""
        self.send(DISCONNECT_PACKET)
        await self.wait_closed()

    # -- in -------------------------------------------------------------------------------------------

    async def expect(self, kind: int, *, passing: int | None = None) -> Packet:
        """The next packet of this type; messages before it are kept in `messages`, `passing` ones are not."""
        while True:
            found = await self.read()
            assert found is not None, "the broker closed the connection"
            if found.kind == kind:
                return found
            if found.kind == passing:
                continue
            assert found.kind == PUBLISH, f"packet type {found.kind} instead of {kind}"
            self.messages.append(to_message(found))

    async def message(self) -> Message:
        """The next message."""
        if self.messages:
            return self.messages.pop(0)
        return to_message(await self.expect(PUBLISH))

    async def all_messages(self) -> list[Message]:
        """What came until now: everything before the answer to a PINGREQ."""
        await self.ping()
        found, self.messages = self.messages, []
        return found

    async def wait_closed(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until the broker closes; messages until then are kept."""

        async def drain() -> None:
            while (found := await self._read()) is not None:
                if found.kind == PUBLISH:
                    self.messages.append(to_message(found))

        await asyncio.wait_for(drain(), patience_s)

    async def read(self) -> Packet | None:
        """The next packet; None at the end."""
        return await asyncio.wait_for(self._read(), PATIENCE_S)

    async def _read(self) -> Packet | None:
        try:
            first = (await self._take(1))[0]
            length = shift = 0
            while True:
                byte = (await self._take(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            return Packet(first >> 4, first & 0x0F, await self._take(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _take(self, size: int) -> bytes:
        if not self.ws:
            return await self.reader.readexactly(size) if size else b""
        while len(self._buffer) < size:
            await self._read_frame()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _read_frame(self) -> None:
        opcode, data = await self.read_frame()
        if opcode == 8:
            self.close_code = int.from_bytes(data[:2], "big")
            raise asyncio.IncompleteReadError(b"", None)
        if opcode in (0, 2):
            self._buffer += data

    async def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        head = await self.reader.readexactly(2)
        length = head[1] & 0x7F
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self.reader.readexactly(8), "big")
        return head[0] & 0x0F, await self.reader.readexactly(length)

    async def aclose(self) -> None:
        """Close the socket."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def to_message(found: Packet) -> Message:
    """The message of a PUBLISH."""
    qos = found.flags >> 1 & 3
    size = int.from_bytes(found.body[:2], "big")
    rest = found.body[2 + size :]
    packet_id = int.from_bytes(rest[:2], "big") if qos else 0
    topic = found.body[2 : 2 + size].decode()
    return Message(
        topic, rest[2 if qos else 0 :], qos, bool(found.flags & 1), bool(found.flags & 8), packet_id
    )
