"""The WebSocket listener as RFC 6455 has it, with wsproto as the peer: it refuses what the RFC forbids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from broker.listeners import LARGEST_FRAME
from tests.broker.conftest import ORIGIN, RunningBroker, secret
from tests.broker.raw_client import PATIENCE_S, PINGREQ_PACKET, connect_packet, frame, publish_packet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.broker.conftest import Clients

PINGRESP = b"\xd0\x00"
PING = PINGREQ_PACKET
TELEMETRY = "fleet/v1/helsinki/veh1/telemetry"


class Peer:
    """wsproto over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.wsproto = WSConnection(ConnectionType.CLIENT)
        self.data = b""

    def send(self, *events: Event) -> None:
        """What wsproto makes of them."""
        for event in events:
            self._writer.write(self.wsproto.send(event))

    def send_raw(self, data: bytes) -> None:
        """What wsproto would not send."""
        self._writer.write(data)

    async def event(self) -> Event:
        """The next thing that the broker did, as wsproto reads it (it raises at a bad frame)."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.wsproto.events():
                    return event
                data = await self._reader.read(65_536)
                self.wsproto.receive_data(data or None)

    async def receive(self, size: int) -> bytes:
        """So many bytes of MQTT."""
        while len(self.data) < size:
            event = await self.event()
            assert isinstance(event, BytesMessage), event
            self.data += event.data
        found, self.data = self.data[:size], self.data[size:]
        return found

    async def closed(self) -> int:
        """The code of the broker's CLOSE; then it closes the socket."""
        while not isinstance(event := await self.event(), CloseConnection):
            assert isinstance(event, BytesMessage | Pong), event
        async with asyncio.timeout(PATIENCE_S):
            assert await self._reader.read() == b""
        return int(event.code)

    def close(self) -> None:
        """Go."""
        self._writer.close()


@pytest.fixture
async def dial(running: RunningBroker) -> AsyncIterator[Callable[..., Awaitable[Peer]]]:
    """Asks for a WebSocket; the answer is still to be read."""
    peers: list[Peer] = []

    async def ask(target: str = "/mqtt", subprotocols: tuple[str, ...] = ("mqtt",), **more: object) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", running.ws_port))
        peers.append(peer)
        request = Request(host="127.0.0.1", target=target, subprotocols=list(subprotocols), **more)  # type: ignore[arg-type]
        peer.send(request)
        return peer

    yield ask
    for peer in peers:
        peer.close()


@pytest.fixture
async def peer(dial: Callable[..., Awaitable[Peer]]) -> Peer:
    """An open WebSocket."""
    found = await dial()
    assert isinstance(await found.event(), AcceptConnection)
    return found


@pytest.fixture
async def unit(peer: Peer) -> Peer:
    """A vehicle that is connected."""
    peer.send(BytesMessage(connect_packet("veh1", "veh1", secret("veh1"))))
    assert await peer.receive(4) == b"\x20\x02\x00\x00"
    return peer


# -- opening handshake (4) ----------------------------------------------------------------------------


async def test_accepts_with_the_key_and_the_subprotocol(dial: Callable[..., Awaitable[Peer]]) -> None:
    peer = await dial(subprotocols=("mqttv3.1", "mqtt"))
    event = await peer.event()  # wsproto has checked Sec-WebSocket-Accept
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == "mqtt"
    assert not event.extensions


async def test_takes_no_extension_that_is_offered(dial: Callable[..., Awaitable[Peer]]) -> None:
    event = await (await dial(extensions=[PerMessageDeflate()])).event()
    assert isinstance(event, AcceptConnection)
    assert not event.extensions


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"target": "/elsewhere"}, 404, id="path"),
        pytest.param({"subprotocols": ()}, 400, id="no subprotocol"),
        pytest.param({"subprotocols": ("chat",)}, 400, id="another subprotocol"),
        pytest.param({"extra_headers": [(b"Origin", b"https://elsewhere.example")]}, 403, id="origin"),
    ],
)
async def test_refuses(dial: Callable[..., Awaitable[Peer]], asked: dict[str, object], status: int) -> None:
    event = await (await dial(**asked)).event()
    assert isinstance(event, RejectConnection)
    assert event.status_code == status


async def test_an_origin_that_is_allowed(dial: Callable[..., Awaitable[Peer]]) -> None:
    peer = await dial(extra_headers=[(b"Origin", ORIGIN.encode())])
    assert isinstance(await peer.event(), AcceptConnection)


# -- data and control frames (5) ----------------------------------------------------------------------


async def test_a_message_in_fragments_with_pings_between(unit: Peer) -> None:
    pings = PINGREQ_PACKET * 3
    unit.send(
        BytesMessage(pings[:1], message_finished=False),
        Ping(b"between"),
        BytesMessage(pings[1:4], message_finished=False),
        BytesMessage(b"", message_finished=False),
        BytesMessage(pings[4:]),
    )
    pongs: list[bytes] = []
    answers = b""
    while len(answers) < 6 or not pongs:
        event = await unit.event()
        if isinstance(event, Pong):
            pongs.append(bytes(event.payload))
        else:
            assert isinstance(event, BytesMessage)
            answers += event.data
    assert pongs == [b"between"]
    assert answers == PINGRESP * 3


@pytest.mark.parametrize("size", [0, 1, 125])
async def test_a_ping_is_answered_with_its_own_data(unit: Peer, size: int) -> None:
    unit.send(Ping(bytes(size)))
    event = await unit.event()
    assert isinstance(event, Pong)
    assert bytes(event.payload) == bytes(size)


async def test_a_pong_that_was_not_asked_for_means_nothing(unit: Peer) -> None:
    unit.send(Pong(b"unasked"), BytesMessage(PINGREQ_PACKET))
    assert await unit.receive(2) == PINGRESP


@pytest.mark.parametrize("size", [125, 126, 127, 65_535, 65_536, 200_000])
async def test_lengths_of_each_form(unit: Peer, running: RunningBroker, size: int) -> None:
    head = len(publish_packet(TELEMETRY, b"x" * size)) - size
    message = publish_packet(TELEMETRY, b"x" * (size - head))
    message += PINGREQ_PACKET * ((size - len(message)) // 2)  # a shorter length may need a byte less
    unit.send(BytesMessage(message), BytesMessage(PINGREQ_PACKET))
    assert await unit.receive(2) == PINGRESP
    assert len(message) in (size, size - 1)
    assert running.do(lambda: running.broker.core.counters.received) == 1


async def test_text_is_not_taken(unit: Peer) -> None:
    unit.send(TextMessage("hello"))
    assert await unit.closed() == 1003


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(PING, mask=False), 1002, id="not masked"),
        pytest.param(frame(PING, 3), 1002, id="reserved data opcode"),
        pytest.param(frame(b"", 0xB), 1002, id="reserved control opcode"),
        pytest.param(bytes((0xC2,)) + frame(PING)[1:], 1002, id="RSV1 without an extension"),
        pytest.param(bytes((0xA2,)) + frame(PING)[1:], 1002, id="RSV2"),
        pytest.param(bytes((0x92,)) + frame(PING)[1:], 1002, id="RSV3"),
        pytest.param(bytes((0xC9,)) + frame(b"", 9)[1:], 1002, id="RSV1 on a ping"),
        pytest.param(frame(PING, 0), 1002, id="continuation of nothing"),
        pytest.param(frame(PING, fin=False) + frame(PING), 1002, id="message within a message"),
        pytest.param(frame(PING, fin=False) + frame(b"text", 1), 1003, id="text within a message"),
        pytest.param(frame(b"", 9, fin=False), 1002, id="fragmented ping"),
        pytest.param(frame(bytes(126), 9), 1002, id="ping of 126 bytes"),
        pytest.param(b"\x82\xfe\x00\x02" + bytes(4) + PING, 1002, id="16-bit length that is too long a form"),
        pytest.param(b"\x82\xff" + bytes(7) + b"\x02" + bytes(4) + PING, 1002, id="64-bit, likewise"),
        pytest.param(b"\x82\xff\x80" + bytes(7) + bytes(4), 1002, id="length with the highest bit"),
        pytest.param(b"\x82\xff" + (2**40).to_bytes(8, "big"), 1009, id="over-long"),
        pytest.param(frame(b"\x03", 8), 1002, id="CLOSE of one byte"),
        pytest.param(frame((1005).to_bytes(2, "big"), 8), 1002, id="CLOSE with a code that is not sent"),
        pytest.param(frame(b"\x03\xe8\xff", 8), 1007, id="CLOSE with a reason that is not UTF-8"),
    ],
)
async def test_a_frame_that_is_forbidden_fails_the_connection(unit: Peer, sent: bytes, code: int) -> None:
    unit.send_raw(sent)
    assert await unit.closed() == code


# -- closing handshake (7) ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_is_answered_and_the_broker_closes_first(unit: Peer, code: int) -> None:
    unit.send(CloseConnection(code, "bye"))
    assert await unit.closed() == 1000


async def test_a_close_without_a_code(unit: Peer) -> None:
    unit.send_raw(frame(b"", 8))
    assert await unit.closed() == 1000


async def test_nothing_counts_after_a_close(unit: Peer, running: RunningBroker) -> None:
    unit.send_raw(frame(b"\x03\xe8", 8) + frame(PING))
    assert await unit.closed() == 1000
    assert unit.data == b""
    await running.until(lambda: not running.broker.core.links)


async def test_the_broker_closes_after_disconnect(unit: Peer) -> None:
    unit.send(BytesMessage(b"\xe0\x00"))
    assert await unit.closed() == 1000


async def test_what_has_piled_up_comes_in_frames_that_clients_take(clients: Clients) -> None:
    """A gateway that did not read for a while: its own client closes at a frame of more than 4 MiB."""
    count, size = 32, 200_000
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 1), ws=True)
    unit = await clients.login("veh1")
    for number in range(count):
        unit.publish(TELEMETRY, bytes(size), 1, packet_id=number + 1)
    await unit.ping()  # the broker has all of them
    left = count * size
    lengths = []
    async with asyncio.timeout(PATIENCE_S):
        while left > 0:
            opcode, data = await gateway.read_frame()
            assert opcode == 2
            lengths.append(len(data))
            left -= len(data)
    assert max(lengths) == LARGEST_FRAME
