"""The sockets: WebSocket as RFC 6455 and MQTT 3.1.1 (chapter 6) have it, full listeners, slow clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from broker.limits import Limits
from tests.broker.conftest import ORIGIN, Clients, RunningBroker, secret
from tests.broker.raw_client import (
    CONNACK,
    PATIENCE_S,
    PINGREQ_PACKET,
    PINGRESP,
    PUBACK,
    RawClient,
    connect_packet,
    frame,
    publish_packet,
    subscribe_packet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TELEMETRY = "fleet/v1/helsinki/veh1/telemetry"
LIVE = "fleet/v1/helsinki/live/positions"
COMMAND = "fleet/v1/helsinki/veh1/command"


async def test_a_packet_cut_over_websocket_messages_arrives_as_it_was_sent(clients: Clients) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 1))
    unit = await clients.login("veh1", ws=True)
    payload = bytes(range(256)) * 4
    whole = publish_packet(TELEMETRY, payload, 1)
    for cut in (1, 2, 3, 40, 41, 700, len(whole) - 1):
        unit.send(whole[:cut])
        await unit.writer.drain()
        await asyncio.sleep(0.01)  # two reads at the broker
        unit.send(whole[cut:])
        await unit.expect(PUBACK)
        message = await gateway.message()
        assert message.payload == payload
        gateway.acknowledge(message)


async def test_fragments_of_a_websocket_message_are_put_together(clients: Clients) -> None:
    unit = await clients.login("veh1", ws=True)
    pings = PINGREQ_PACKET * 3
    unit.writer.write(
        frame(pings[:1], 2, fin=False)
        + frame(pings[1:4], 0, fin=False)
        + frame(b"hi", 9)
        + frame(pings[4:], 0)
    )
    for _ in range(3):
        await unit.expect(PINGRESP)


async def test_many_packets_in_one_websocket_message(clients: Clients) -> None:
    client = await clients.ws()
    client.send(
        connect_packet("veh1", "veh1", secret("veh1")) + subscribe_packet([(COMMAND, 1)]) + PINGREQ_PACKET
    )
    assert [(await client.read() or pytest.fail("closed")).kind for _ in range(3)] == [CONNACK, 9, PINGRESP]


async def test_a_websocket_ping_is_answered(clients: Clients) -> None:
    client = await clients.ws()
    client.writer.write(frame(b"are you there", 9))
    assert await client.read_frame() == (10, b"are you there")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(b"text", 1), 1003, id="text"),
        pytest.param(frame(b"\xc0\x00", mask=False), 1002, id="not masked"),
        pytest.param(frame(b"", 3), 1002, id="reserved opcode"),
        pytest.param(b"\x82\xff" + (2**40).to_bytes(8, "big"), 1009, id="over-long"),
        pytest.param(frame(b"\x03\xe8", 8), 1000, id="close"),
    ],
)
async def test_other_frames_close_the_websocket(clients: Clients, sent: bytes, code: int) -> None:
    client = await clients.ws()
    client.writer.write(sent)
    await client.wait_closed()
    assert client.close_code == code


@pytest.mark.parametrize(
    ("path", "subprotocol", "headers", "status"),
    [
        pytest.param("/mqtt", "mqtt", {}, 101, id="no origin"),
        pytest.param("/mqtt?vehicle=1", "mqttv3.1, mqtt", {}, 101, id="query and a list"),
        pytest.param("/mqtt", "mqtt", {"Origin": ORIGIN}, 101, id="allowed origin"),
        pytest.param("/mqtt", "mqtt", {"Origin": ORIGIN + ".evil.example"}, 403, id="longer origin"),
        pytest.param("/mqtt", None, {}, 400, id="no subprotocol"),
        pytest.param("/mqtt", "wamp", {}, 400, id="other subprotocol"),
        pytest.param("/", "mqtt", {}, 404, id="other path"),
        pytest.param("/mqtt", "mqtt", {"Sec-WebSocket-Version": "12"}, 400, id="old version"),
        pytest.param("/mqtt", "mqtt", {"Sec-WebSocket-Version": "\xff3"}, 400, id="no version"),
    ],
)
async def test_the_upgrade(
    clients: Clients,
    running: RunningBroker,
    path: str,
    subprotocol: str | None,
    headers: dict[str, str],
    status: int,
) -> None:
    client, found = await RawClient.upgrade(running.ws_port, path, subprotocol, **headers)
    clients.keep(client)
    assert found == status


@pytest.mark.parametrize("limits", [Limits(connections=2, connect_timeout_s=PATIENCE_S)])
@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_a_full_listener_refuses_instead_of_blocking(
    clients: Clients, running: RunningBroker, ws: bool
) -> None:
    first = await clients.login("veh1", ws=ws)
    await clients.login("veh2", ws=ws)
    third = RawClient(
        *await asyncio.open_connection("127.0.0.1", running.ws_port if ws else running.mqtt_port), ws=False
    )
    clients.keep(third)
    await third.wait_closed()
    assert running.do(lambda: running.broker.counters.sockets_refused["listener full"]) == 1
    await clients.login("veh3", ws=not ws)  # the other listener has places of its own
    first.abort()
    gate = running.broker.gates["websocket" if ws else "default"]
    await running.until(lambda: gate.open == 1)
    await clients.login("veh4", ws=ws)


@pytest.mark.parametrize("limits", [Limits(connections=7, connect_timeout_s=PATIENCE_S)])
@pytest.mark.parametrize(  # amqtt's own way to say it
    "configure", [lambda found: found["listeners"]["websocket"].update(max_connections=3)]
)
async def test_a_listener_may_have_a_limit_of_its_own(running: RunningBroker) -> None:
    assert [running.broker.gates[name].limit for name in ("default", "websocket")] == [7, 3]


@pytest.mark.parametrize("limits", [Limits(connections=3, connect_timeout_s=5)])
async def test_sockets_that_never_ask_for_the_websocket_count_and_lose_their_places(
    clients: Clients, running: RunningBroker
) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", running.ws_port) for _ in range(3)]
    for (_, writer), sent in zip(silent, (b"", b"GET /mq", b"GET / HTTP/1.1\r\nHost: x\r\n"), strict=True):
        writer.write(sent)
    await running.until(lambda: running.broker.gates["websocket"].open == 3)
    refused = RawClient(*await asyncio.open_connection("127.0.0.1", running.ws_port), ws=False)
    clients.keep(refused)
    await refused.wait_closed()
    await running.until(lambda: running.broker.gates["websocket"].open == 0)
    await clients.login("veh1", ws=True)
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize("limits", [Limits(connections_per_address=3, connect_timeout_s=PATIENCE_S)])
async def test_the_connections_of_an_address_are_bounded_over_both_listeners(
    clients: Clients, running: RunningBroker
) -> None:
    await clients.login("veh1")
    second = await clients.login("veh2", ws=True)
    await clients.login("veh3")
    fourth = await clients.tcp()
    await fourth.wait_closed()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", running.mqtt_port, local_addr=("127.0.0.2", 0)
    )
    other = clients.keep(RawClient(reader, writer, ws=False))
    assert (await other.login("veh4", secret("veh4"))).body[1] == 0
    second.abort()
    await running.until(lambda: running.broker.gates["websocket"].open == 0)
    await clients.login("veh5")
    assert running.do(lambda: running.broker.counters.sockets_refused["address full"]) == 1


@pytest.mark.parametrize("limits", [Limits(messages_per_s=1_000, connect_timeout_s=PATIENCE_S)])
@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_a_client_that_sends_too_much_is_read_later_and_loses_nothing(
    clients: Clients, running: RunningBroker, ws: bool
) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 0))
    unit = await clients.login("veh1", ws=ws)
    start = asyncio.get_running_loop().time()
    unit.send(b"".join(publish_packet(TELEMETRY, b"%d" % number) for number in range(4_000)))
    found = [int((await gateway.message()).payload) for _ in range(4_000)]
    assert found == list(range(4_000))
    assert asyncio.get_running_loop().time() - start >= 1.4  # 2,000 go at once
    assert running.do(lambda: running.broker.counters.throttled) > 0
    await unit.ping()


# -- clients that do not read --------------------------------------------------------------------------------


@pytest.fixture
def limits() -> Limits:
    return Limits(
        connect_timeout_s=PATIENCE_S,
        hold_s=2 * PATIENCE_S,
        messages_per_s=0,
        window=20,
        queue_messages=300,
        drop_messages=50,
        drop_bytes=50 * 8_192,
    )


@pytest.fixture
def silent() -> Iterator[Callable[[int], socket.socket]]:
    """Opens sockets with a small buffer that nobody reads."""
    opened: list[socket.socket] = []

    def connect(port: int) -> socket.socket:
        found = socket.socket()
        opened.append(found)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.connect(("127.0.0.1", port))
        return found

    yield connect
    for found in opened:
        found.close()


async def test_qos_0_for_a_slow_client_is_dropped_oldest_first_and_counted(
    clients: Clients, running: RunningBroker, silent: Callable[[int], socket.socket]
) -> None:
    slow = silent(running.mqtt_port)
    slow.sendall(
        connect_packet("dashboard", "dashboard", secret("dashboard")) + subscribe_packet([(LIVE, 0)])
    )
    await running.until(lambda: running.broker.core.router.tree.match(LIVE) != {})
    gateway = await clients.login("gateway")
    total = 3_000
    for number in range(total):
        gateway.publish(LIVE, number.to_bytes(4, "big") + bytes(8_000))
        if number % 100 == 99:
            await gateway.ping()
    kept = running.do(lambda: running.broker.core.sessions["dashboard"])
    dropped = running.do(lambda: kept.dropped)
    assert dropped > 0
    assert running.do(lambda: kept.waiting) <= 50
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    data = bytearray()
    expected = (total - dropped) * (8_004 + 2 + len(LIVE) + 3)
    while len(data) < expected:
        data += await asyncio.wait_for(loop.sock_recv(slow, 65_536), PATIENCE_S)
    assert (total - 1).to_bytes(4, "big") in data[-8_100:]  # the newest came


async def test_a_slow_client_loses_its_session_before_it_loses_a_qos_1_message(
    clients: Clients, running: RunningBroker, silent: Callable[[int], socket.socket]
) -> None:
    slow = silent(running.mqtt_port)
    slow.sendall(connect_packet("veh1", "veh1", secret("veh1")) + subscribe_packet([(COMMAND, 1)]))
    await running.until(lambda: running.broker.core.router.tree.match(COMMAND) != {})
    gateway = await clients.login("gateway")
    healthy = await clients.login("veh2")
    for _ in range(320):  # the window of 20 and the queue of 300
        gateway.publish(COMMAND, b"x", 1)
    await gateway.ping()
    assert running.do(lambda: running.broker.core.sessions["veh1"].waiting) == 320
    gateway.publish(COMMAND, b"one too many", 1)
    await running.until(lambda: "veh1" not in running.broker.core.sessions)
    assert running.do(lambda: running.broker.counters.ended["too slow"]) == 1
    await healthy.ping()


async def test_a_window_moves_on_with_its_acknowledgements(clients: Clients) -> None:
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1))
    for number in range(100):
        gateway.publish(COMMAND, b"%d" % number, 1)
    await gateway.ping()
    first = await unit.all_messages()
    assert len(first) == 20
    for message in first:
        unit.acknowledge(message)
    found = first + await unit.all_messages()
    while len(found) < 100:
        for message in found[-20:]:
            unit.acknowledge(message)
        found += await unit.all_messages()
    assert [int(message.payload) for message in found] == list(range(100))


def fill(flood: socket.socket, data: bytes) -> None:
    """Send until the socket takes no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            flood.send(data)


async def test_a_client_that_reads_nothing_of_its_answers_is_not_read(
    clients: Clients, running: RunningBroker, silent: Callable[[int], socket.socket]
) -> None:
    # Each question of a few bytes is answered with 16 KB: with small answers it would take millions of them,
    # and so seconds of processor time, until the buffers of both sockets are full.
    running.do(lambda: running.broker.core.publish(COMMAND, bytes(16_000), 0, retain=True))
    flood = silent(running.ws_port)
    flood.sendall(
        b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: mqtt\r\n\r\n" + frame(connect_packet("veh1", "veh1", secret("veh1")))
    )
    await running.until(lambda: "veh1" in running.broker.core.sessions)
    flood.setblocking(False)
    questions = frame(subscribe_packet([(COMMAND, 0)]) * 50)
    loop = asyncio.get_running_loop()
    link = running.broker.core.sessions["veh1"].link

    async def flood_on() -> None:
        while True:
            await loop.sock_sendall(flood, questions)

    task = asyncio.create_task(flood_on())
    await running.until(lambda: link.paused and link.backlog is None)
    task.cancel()
    heard = link.heard
    fill(flood, questions)
    healthy = await clients.login("veh2")
    await healthy.ping()
    assert (link.heard, link.paused, link.end) == (heard, True, None)


@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_units_wait_for_a_gateway_that_is_behind_and_nothing_is_lost(
    clients: Clients, running: RunningBroker, ws: bool
) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 1))
    unit = await clients.login("veh1", ws=ws, keep_alive=60)
    total = 900  # three times what the gateway's queue takes
    unit.send(b"".join(publish_packet(TELEMETRY, b"%d" % n, 1, packet_id=n + 1) for n in range(total)))
    await running.until(lambda: running.broker.counters.held == 1)
    assert running.do(lambda: running.broker.core.sessions["gateway"].waiting) == 20 + 150
    other = await clients.login("veh2")
    await other.ping()  # whoever does not publish to it does not wait
    core = running.broker.core
    running.do(lambda: core.sweep(core.router.now + 100))  # 1.5 keep-alives: it is not read, so not silent
    assert running.do(lambda: core.sessions["veh1"].link.end) is None
    found = []
    for _ in range(total):
        message = await gateway.message()
        gateway.acknowledge(message)
        found.append(int(message.payload))
    assert found == list(range(total))
    for _ in range(total):
        await unit.expect(PUBACK)
    await unit.ping()
