"""What the bridge writes in one turn of the event loop goes out together, in order, and before the end."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.mqtt import Message, MqttBridge, NotConnectedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fleetcell.mqtt.wire import Wire

CONNACK = b"\x20\x02\x00\x00"
LIMIT_S = 60.0


class Broker(asyncio.Transport):
    """A broker at the other end of a connection in memory: keeps each write, answers CONNECT."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self._client: Wire | None = None

    async def connect(
        self,
        factory: Callable[[], Wire],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        source: str | None,
    ) -> Wire:
        del host, port, tls, source
        self._client = factory()
        self._client.connection_made(self)
        return self._client

    def say(self, data: bytes) -> None:
        assert self._client is not None
        self._client.data_received(data)

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))
        if data[0] >> 4 == 1:
            asyncio.get_running_loop().call_soon(self.say, CONNACK)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            assert self._client is not None
            asyncio.get_running_loop().call_soon(self._client.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""


def publish(packet_id: int) -> bytes:
    body = struct.pack(">H", 1) + b"t" + struct.pack(">H", packet_id) + b"%d" % packet_id
    return bytes((0x32, len(body))) + body


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def connected(broker: Broker, heard: list[Message]) -> tuple[MqttBridge, asyncio.Task[None]]:
    bridge = MqttBridge(
        "mqtt://nowhere", client_id="a", keep_alive=0, receive=heard.append, connect=broker.connect
    )
    running = asyncio.create_task(bridge.run())
    async with asyncio.timeout(LIMIT_S):
        await bridge.wait_connected()
    broker.writes.clear()
    return bridge, running


async def test_messages_that_come_together_are_acknowledged_together(broker: Broker) -> None:
    heard: list[Message] = []
    bridge, running = await connected(broker, heard)
    stream = b"".join(publish(packet_id) for packet_id in range(1, 101))
    for start in range(0, len(stream), 37):  # in pieces that end anywhere
        broker.say(stream[start : start + 37])
    assert broker.writes == []
    async with asyncio.timeout(LIMIT_S):
        while len(heard) < 100 or not broker.writes:
            await asyncio.sleep(0)
    assert broker.writes == [b"".join(struct.pack(">BBH", 0x40, 2, packet_id) for packet_id in range(1, 101))]
    assert [message.payload for message in heard] == [b"%d" % packet_id for packet_id in range(1, 101)]
    await bridge.disconnect()
    await running


async def test_what_was_written_goes_out_before_the_end(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    assert bridge.publish_nowait("t", b"last words")
    await bridge.disconnect()
    await running
    assert b"".join(broker.writes) == b"\x30\x0d\x00\x01tlast words" + b"\xe0\x00"


async def test_a_long_turn_does_not_gather_without_bound(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    for _ in range(100):
        assert bridge.publish_nowait("t", bytes(1000))
    assert broker.writes
    assert all(len(data) < 70_000 for data in broker.writes)
    await bridge.disconnect()
    await running
    assert sum(data.count(b"\x30") for data in broker.writes) == 100


async def test_many_are_published_and_acknowledged_at_once(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    sending = asyncio.create_task(bridge.publish_all([("t", b"%d" % number) for number in range(3)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stream = b"".join(broker.writes)
    packet_ids = [stream[at + 5 : at + 7] for at in range(0, len(stream), 8)]
    assert stream == b"".join(
        b"\x32\x06\x00\x01t" + packet_id + b"%d" % number for number, packet_id in enumerate(packet_ids)
    )
    assert len(set(packet_ids)) == 3
    for packet_id in packet_ids:
        await asyncio.sleep(0)
        assert not sending.done()
        broker.say(b"\x40\x02" + packet_id)
    await asyncio.wait_for(sending, LIMIT_S)
    await bridge.publish_all([])
    await bridge.disconnect()
    await running


async def test_many_of_which_one_is_not_acknowledged_are_a_failure(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    sending = asyncio.create_task(bridge.publish_all([("t", b"1"), ("t", b"2")]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    broker.say(b"\x40\x02" + b"".join(broker.writes)[5:7])
    bridge.close()
    with pytest.raises(NotConnectedError):
        await asyncio.wait_for(sending, LIMIT_S)
    await running
    with pytest.raises(NotConnectedError):
        await bridge.publish_all([("t", b"3")])


async def test_of_many_no_more_are_under_way_than_may_be(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    sending = asyncio.create_task(bridge.publish_all([("t", b"x")] * 2000))
    seen, acknowledged = b"", 0
    async with asyncio.timeout(LIMIT_S):
        while not sending.done():
            await asyncio.sleep(0)
            seen += b"".join(broker.writes)
            broker.writes.clear()
            under_way = len(seen) // 8 - acknowledged
            assert under_way <= 512
            if under_way:
                broker.say(b"\x40\x02" + seen[8 * acknowledged + 5 :][:2])
                acknowledged += 1
    assert acknowledged == 2000
    assert bridge.publish_nowait("t", b"x", qos=1)
    await bridge.disconnect()
    await running


async def test_a_bad_topic_among_many_is_refused(broker: Broker) -> None:
    bridge, running = await connected(broker, [])
    for topic in ("", "a/+", "#"):
        with pytest.raises(ValueError, match="topic"):
            await bridge.publish_all([("t", b"1"), (topic, b"2")])
    assert bridge.connected
    await bridge.disconnect()
    await running
