"""The MQTT bridge against a real Mosquitto."""

import asyncio
import contextlib
import itertools
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from fleetcell.mqtt import Backoff, Message, MqttBridge, NotConnectedError, TlsOptions, Will, parse_url
from fleetcell.mqtt.address import source_problem
from fleetcell.mqtt.session import Session
from fleetcell.mqtt.wire import WebSocketWire
from tests.mosquitto_server import Mosquitto

PATIENCE_S = 60.0
QUICK = Backoff(first=0.01, cap=0.05)


class Inbox:
    """Receives; a test can wait for the n-th message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._grew = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._grew.set()

    async def until(self, count: int) -> list[Message]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.messages) < count:
                self._grew.clear()
                await self._grew.wait()
        return self.messages

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@asynccontextmanager
async def running(*bridges: MqttBridge) -> AsyncIterator[None]:
    """The bridges, connected; afterwards each is disconnected cleanly, and its `run` has returned."""
    tasks = [asyncio.create_task(bridge.run()) for bridge in bridges]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(bridge.wait_connected() for bridge in bridges))
        yield
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(bridge.disconnect() for bridge in bridges))
            await asyncio.gather(*tasks)


class Losses:
    """Notes why sessions ended; a test can wait for the next end."""

    def __init__(self) -> None:
        self.reasons: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, reason: str) -> None:
        self.reasons.put_nowait(reason)

    async def next(self) -> str:
        return await asyncio.wait_for(self.reasons.get(), PATIENCE_S)


@pytest.fixture(params=["mqtt", "ws"])
def url(request: pytest.FixtureRequest, mosquitto: Mosquitto) -> str:
    return mosquitto.ws_url if request.param == "ws" else mosquitto.mqtt_url


async def test_a_session_subscribes_to_more_and_less(url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="follower", subscriptions=[("kept", 0)], receive=inbox)
    assert not bridge.subscribe_nowait([("more/#", 0)])  # not connected yet
    async with running(bridge):
        assert bridge.subscribe_nowait([("more/1", 0), ("more/2", 0)])
        for topic in ("more/1", "more/2"):
            await bridge.publish(topic, topic.encode())
        await inbox.until(2)
        assert bridge.unsubscribe_nowait(["more/1"])
        for topic in ("more/1", "more/2", "kept"):
            await bridge.publish(topic, topic.encode())
        assert [message.topic for message in await inbox.until(4)] == ["more/1", "more/2", "more/2", "kept"]


@pytest.mark.both_loops
async def test_messages_go_round(url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="a", subscriptions=[("t/#", 1)], receive=inbox)
    big = bytes(range(256)) * 80  # Mosquitto's WebSocket takes 4 kB each 0.1 s
    async with running(bridge):
        await bridge.publish("t/small", b"1", qos=1)
        await bridge.publish("t/empty", b"")
        await bridge.publish("t/big", big, qos=1)
        assert bridge.publish_nowait("t/kept", b"k", qos=1, retain=True)
        received = await inbox.until(4)
        late = Inbox()
        async with running(MqttBridge(url, client_id="b", subscriptions=[("t/#", 0)], receive=late)):
            await late.until(1)
    assert received == [
        Message("t/small", b"1", 1, retain=False),
        Message("t/empty", b"", 0, retain=False),
        Message("t/big", big, 1, retain=False),
        Message("t/kept", b"k", 1, retain=False),
    ]
    assert late.messages == [Message("t/kept", b"k", 0, retain=True)]
    assert not bridge.connected


async def test_an_echo_comes_after_all_that_was_sent_before_it(mosquitto: Mosquitto, url: str) -> None:
    inbox = Inbox()
    client = MqttBridge(url, client_id="client", subscriptions=[("numbers", 1)], receive=inbox)
    with pytest.raises(NotConnectedError):
        await client.echo()
    async with running(client):
        for number in range(50):
            await client.publish("numbers", b"%d" % number, qos=1)
            await client.echo()
            assert len(inbox.messages) == number + 1
        mosquitto.freeze()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.echo()
        finally:
            mosquitto.thaw()
        await asyncio.wait_for(client.echo(), PATIENCE_S)


async def test_bad_topic_is_refused_and_the_session_lives(url: str) -> None:
    bridge = MqttBridge(url, client_id="a")
    async with running(bridge):
        with pytest.raises(ValueError, match="wildcards"):
            await bridge.publish("t/#", b"", qos=1)
        await bridge.publish("t", b"", qos=1)


async def test_receive_that_raises_does_not_stop_the_next(mosquitto: Mosquitto) -> None:
    inbox = Inbox()

    def receive(message: Message) -> None:
        if message.payload == b"bad":
            raise ValueError(message)
        inbox(message)

    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", subscriptions=[("t", 1)], receive=receive)
    async with running(bridge):
        await bridge.publish("t", b"bad", qos=1)
        await bridge.publish("t", b"good", qos=1)
        await inbox.until(1)
    assert inbox.payloads == [b"good"]


# -- the connection is lost ------------------------------------------------------------------


@pytest.mark.both_loops
async def test_reconnects_and_subscribes_again_after_the_broker_was_killed(
    mosquitto: Mosquitto, url: str
) -> None:
    inbox, losses = Inbox(), Losses()
    bridge = MqttBridge(
        url, client_id="a", subscriptions=[("t", 1)], receive=inbox, on_disconnect=losses, backoff=QUICK
    )
    async with running(bridge):
        for round_ in (b"1", b"2"):
            mosquitto.kill()
            assert await losses.next()
            assert not bridge.connected
            assert not bridge.publish_nowait("t", b"lost", qos=1)
            with pytest.raises(NotConnectedError):
                await bridge.publish("t", b"lost", qos=1)
            mosquitto.start()
            await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)
            await bridge.publish("t", round_, qos=1)
        await inbox.until(2)
    assert inbox.payloads == [b"1", b"2"]


@pytest.mark.both_loops
async def test_publish_without_puback_fails_and_is_not_repeated(mosquitto: Mosquitto, url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="a", subscriptions=[("t", 1)], receive=inbox, backoff=QUICK)
    async with running(bridge):
        mosquitto.freeze()
        pending = [asyncio.create_task(bridge.publish("t", b"unacknowledged", qos=1)) for _ in range(2000)]
        abandoned = pending.pop()
        await asyncio.sleep(0)  # each has been handed over, or waits for room
        abandoned.cancel()
        mosquitto.kill()
        outcomes = await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), PATIENCE_S)
        assert {type(outcome) for outcome in outcomes} == {NotConnectedError}
        mosquitto.start()
        await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)
        await bridge.publish("t", b"after", qos=1)
        await inbox.until(1)
    assert inbox.payloads == [b"after"]


@pytest.mark.both_loops
async def test_will_is_asked_for_before_each_connect(url: str) -> None:
    wills = Inbox()
    epochs = itertools.count(1)
    watcher = MqttBridge(url, client_id="watcher", subscriptions=[("will", 1)], receive=wills)
    losses = Losses()
    unit = MqttBridge(
        url,
        client_id="unit",
        will=lambda: Will("will", b"%d" % next(epochs)),
        on_disconnect=losses,
        backoff=QUICK,
    )
    async with running(watcher, unit):
        for epoch in (1, 2, 3):
            await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
            unit.drop("tunnel")
            assert await losses.next() == "tunnel"
            await wills.until(epoch)
        await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
        await unit.disconnect()
        await watcher.publish("will", b"end", qos=1)
        await wills.until(4)
    assert wills.payloads == [b"1", b"2", b"3", b"end"]  # the fourth session ended cleanly


@pytest.mark.both_loops
async def test_cancelled_run_is_a_lost_link(mosquitto: Mosquitto) -> None:
    wills, losses = Inbox(), Losses()
    watcher = MqttBridge(mosquitto.mqtt_url, client_id="w", subscriptions=[("will", 1)], receive=wills)
    unit = MqttBridge(
        mosquitto.mqtt_url, client_id="u", will=lambda: Will("will", b"gone"), on_disconnect=losses
    )
    async with running(watcher):
        task = asyncio.create_task(unit.run())
        await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wills.until(1)
    assert not unit.connected
    assert await losses.next() == "stopped"


async def test_idle_session_is_kept_alive(mosquitto: Mosquitto, url: str) -> None:
    bridge = MqttBridge(url, client_id="idle", keep_alive=1, on_disconnect=(losses := Losses()))
    async with running(bridge):
        while mosquitto.log_file.read_text().count("Received PINGREQ from idle") < 2:
            await asyncio.sleep(0.05)
        assert losses.reasons.empty()


async def test_silent_broker_is_given_up(mosquitto: Mosquitto, url: str) -> None:
    losses = Losses()
    bridge = MqttBridge(url, client_id="a", keep_alive=1, on_disconnect=losses, backoff=QUICK)
    async with running(bridge):
        mosquitto.freeze()
        assert await losses.next() == "the broker was silent for 1.5 s"
        mosquitto.thaw()
        await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)


@pytest.mark.both_loops
async def test_full_connection_makes_publishers_wait(mosquitto: Mosquitto) -> None:
    inbox = Inbox()
    payload = bytes(100_000)
    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", subscriptions=[("t", 0)], receive=inbox)
    async with running(bridge):
        mosquitto.freeze()
        sent = 0
        while bridge.publish_nowait("t", payload):
            sent += 1
            assert sent < 1000, "100 MB were buffered for a broker that does not read"
        waiting = [asyncio.create_task(bridge.publish("t", b"waited", qos=qos)) for qos in (0, 1, 0)]
        done, _ = await asyncio.wait(waiting, timeout=0.1)
        assert not done
        mosquitto.thaw()
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
        await inbox.until(sent + 3)
    assert inbox.payloads[-3:] == [b"waited"] * 3


async def test_inbox_overflow_is_counted(mosquitto: Mosquitto) -> None:
    received: list[bytes] = []
    total = 2000

    def slow(message: Message) -> None:
        time.sleep(0.001)
        received.append(message.payload)

    bridge = MqttBridge(
        mosquitto.mqtt_url, client_id="slow", subscriptions=[("t", 0)], receive=slow, inbox_size=10
    )
    sender = MqttBridge(mosquitto.mqtt_url, client_id="sender")
    async with running(bridge, sender), asyncio.timeout(PATIENCE_S):
        for number in range(total):
            await sender.publish("t", b"%d" % number)
        while len(received) + bridge.dropped < total:
            await asyncio.sleep(0.01)
    assert bridge.dropped > 0
    numbers = [int(payload) for payload in received]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 10


# -- connecting ------------------------------------------------------------------------------


async def test_on_connect_runs_with_a_session_each_time(mosquitto: Mosquitto) -> None:
    inbox, losses = Inbox(), Losses()

    async def greet() -> None:
        await bridge.publish("t", b"hello", qos=1)

    bridge = MqttBridge(
        mosquitto.ws_url,
        client_id="a",
        subscriptions=[("t", 1)],
        receive=inbox,
        on_connect=greet,
        on_disconnect=losses,
        backoff=QUICK,
    )
    async with running(bridge):
        await inbox.until(1)
        bridge.drop()
        await losses.next()
        await inbox.until(2)


async def test_error_in_on_connect_ends_run(mosquitto: Mosquitto) -> None:
    losses = Losses()

    async def greet() -> None:
        raise LookupError("a bug")

    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", on_connect=greet, on_disconnect=losses)
    with pytest.raises(LookupError, match="a bug"):
        await asyncio.wait_for(bridge.run(), PATIENCE_S)
    assert not bridge.connected
    assert await losses.next() == "stopped"


async def test_on_connect_is_cancelled_with_its_session(mosquitto: Mosquitto) -> None:
    outcomes: asyncio.Queue[str] = asyncio.Queue()

    async def greet() -> None:
        outcomes.put_nowait("begun")
        try:
            await asyncio.Event().wait()
        finally:
            outcomes.put_nowait("ended")

    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", on_connect=greet, backoff=QUICK)
    async with running(bridge), asyncio.timeout(PATIENCE_S):
        assert await outcomes.get() == "begun"
        bridge.drop()
        assert [await outcomes.get(), await outcomes.get()] == ["ended", "begun"]


@contextlib.asynccontextmanager
async def attempts(bridge: MqttBridge) -> AsyncIterator[asyncio.Task[None]]:
    """A bridge that cannot connect, running until its first failure is known."""
    task = asyncio.create_task(bridge.run())
    async with asyncio.timeout(PATIENCE_S):
        while bridge.last_error is None:
            await asyncio.sleep(0.005)
        yield task
        await bridge.disconnect()
        await task


async def test_wrong_password_is_said_and_tried_again(
    tmp_path: Path, free_port: Callable[[], int], capfd: pytest.CaptureFixture[str]
) -> None:
    passwords = tmp_path / "passwords"
    passwords.touch()
    server = Mosquitto(tmp_path / "m", mqtt_port=free_port(), ws_port=free_port(), password_file=passwords)
    server.start()
    try:
        async with attempts(
            MqttBridge(server.ws_url, client_id="a", username="a", password="hunter2", backoff=QUICK)
        ) as task:
            while server.log_file.read_text().count("(0, 5)") < 2:
                await asyncio.sleep(0.01)
            assert not task.done()
    finally:
        server.kill()
    said = capfd.readouterr().out
    assert "Not authorized" in said
    assert "hunter2" not in said


async def test_refusal_reasons_are_told(free_port: Callable[[], int]) -> None:
    async with attempts(MqttBridge(f"ws://127.0.0.1:{free_port()}", client_id="a", backoff=QUICK)) as task:
        assert not task.done()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(4096)
        writer.write(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" if b"GET" in request else b"\xff" * 9
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        bridge = MqttBridge(f"ws://127.0.0.1:{port}/wrong", client_id="a", backoff=QUICK)
        async with attempts(bridge):
            assert "404" in (bridge.last_error or "")
        bridge = MqttBridge(f"mqtt://127.0.0.1:{port}", client_id="a", backoff=QUICK)
        async with attempts(bridge) as task:
            assert not task.done()


@pytest.mark.both_loops
async def test_black_hole_ends_by_timeout_and_by_close(free_port: Callable[[], int]) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for scheme in ("ws", "mqtt"):
            bridge = MqttBridge(
                f"{scheme}://127.0.0.1:{port}", client_id="a", connect_timeout=0.05, backoff=QUICK
            )
            async with attempts(bridge):
                assert bridge.last_error == "no answer from the broker in time"
            hung = MqttBridge(f"{scheme}://127.0.0.1:{port}", client_id="a", connect_timeout=3600)
            task = asyncio.create_task(hung.run())
            await asyncio.sleep(0.02)
            await asyncio.wait_for(hung.disconnect(), 60)
            await asyncio.wait_for(task, 60)


@pytest.mark.both_loops
async def test_told_to_end_when_the_last_answer_of_connecting_has_just_come_it_ends(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_session = Session.open

    async def open_and_close(session: Session, *arguments: Any) -> None:
        await open_session(session, *arguments)
        bridge.close()

    monkeypatch.setattr(Session, "open", open_and_close)
    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", subscriptions=[("x", 1)], backoff=QUICK)
    await asyncio.wait_for(bridge.run(), PATIENCE_S)
    assert not bridge.connected


@pytest.mark.both_loops
async def test_told_to_end_twice_while_it_prepares_it_ends_once(mosquitto: Mosquitto) -> None:
    preparing, prepared = asyncio.Event(), asyncio.Event()

    async def prepare() -> None:
        preparing.set()
        try:
            await asyncio.Future()
        finally:  # something that takes a while to leave alone
            bridge.close()
            prepared.set()

    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", prepare=prepare, backoff=QUICK)
    task = asyncio.create_task(bridge.run())
    await asyncio.wait_for(preparing.wait(), PATIENCE_S)
    await asyncio.wait_for(bridge.disconnect(), PATIENCE_S)
    await asyncio.wait_for(task, PATIENCE_S)
    assert prepared.is_set()


@pytest.mark.both_loops
async def test_an_answer_that_comes_when_nobody_waits_any_more_does_no_harm() -> None:
    class Sent(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.data = b""

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.data += data

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            pass

    wire, transport = WebSocketWire(parse_url("ws://broker/mqtt")), Sent()
    wire.connection_made(transport)
    server = ServerProtocol(subprotocols=[Subprotocol("mqtt")])
    server.receive_data(transport.data)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    wire.opened.cancel()  # the time for connecting was over in this moment
    wire.data_received(b"".join(server.data_to_send()))
    assert wire.opened.cancelled()


async def test_what_is_sent_while_the_websocket_closes_is_a_lost_link(mosquitto: Mosquitto) -> None:
    address = parse_url(mosquitto.ws_url)
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(lambda: WebSocketWire(address), address.host, address.port)
    await asyncio.wait_for(wire.opened, PATIENCE_S)
    wire.close()
    with pytest.raises(BrokenPipeError):  # the only kind of error that paho takes for the end of a link
        wire.send(b"\xc0\x00")
    await asyncio.wait_for(wire.gone.wait(), PATIENCE_S)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_mosquitto(tmp_path: Path, free_port: Callable[[], int], authority: trustme.CA) -> Iterator[Mosquitto]:
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    server = Mosquitto(tmp_path / "tls", mqtt_port=free_port(), ws_port=free_port(), tls=(chain, key))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
async def test_tls(tls_mosquitto: Mosquitto, authority: trustme.CA, tmp_path: Path, scheme: str) -> None:
    url = tls_mosquitto.ws_url if scheme == "wss" else tls_mosquitto.mqtt_url
    assert url.startswith(scheme)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    inbox = Inbox()
    trusting = MqttBridge(
        url, client_id="a", subscriptions=[("t", 1)], receive=inbox, tls=TlsOptions(ca_file=ca_file)
    )
    big = bytes(20_000)
    async with running(trusting):
        await trusting.publish("t", big, qos=1)
        await trusting.publish("t", b"end", qos=1)
        await inbox.until(2)
    assert inbox.payloads == [big, b"end"]

    distrusting = MqttBridge(url, client_id="b", backoff=QUICK)
    async with attempts(distrusting):
        assert "certificate" in (distrusting.last_error or "").lower()
    async with running(MqttBridge(url, client_id="c", tls=TlsOptions(insecure=True))):
        pass


async def test_missing_ca_file_is_said(tmp_path: Path) -> None:
    bridge = MqttBridge("wss://localhost:1", client_id="a", tls=TlsOptions(ca_file=tmp_path / "none.pem"))
    async with attempts(bridge):
        assert "No such file" in (bridge.last_error or "")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=__file__)


# -- many ------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_two_hundred_clients_need_no_threads(url: str) -> None:
    inboxes = [Inbox() for _ in range(200)]
    bridges = [
        MqttBridge(url, client_id=f"unit-{i}", subscriptions=[(f"t/{i}", 1)], receive=inbox)
        for i, inbox in enumerate(inboxes)
    ]
    async with running(*bridges):
        await asyncio.gather(
            *(bridge.publish(f"t/{i}", b"%d" % i, qos=1) for i, bridge in enumerate(bridges))
        )
        await asyncio.gather(*(inbox.until(1) for inbox in inboxes))
        assert threading.active_count() < 20  # asyncio resolves names in a small pool
    assert [inbox.payloads for inbox in inboxes] == [[b"%d" % i] for i in range(200)]


# -- the address that a client connects from -------------------------------------------------------


@pytest.fixture
async def seen_from() -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """A port of 127.0.0.1, and the addresses that connect to it."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.put_nowait(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


@pytest.mark.both_loops
@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("127.21.3.4", "127.21.3.4"),
        ("203.0.113.7", "127.0.0.1"),  # no address of this machine
        ("::1", "127.0.0.1"),  # of another family than the broker's
        ("nowhere", "127.0.0.1"),
        (None, "127.0.0.1"),
    ],
)
async def test_a_client_connects_from_the_address_it_was_given_where_there_is_one(
    seen_from: tuple[int, asyncio.Queue[str]], scheme: str, source: str | None, wanted: str
) -> None:
    if source == "127.21.3.4" and source_problem(source, parse_url("mqtt://127.0.0.1")):
        wanted = "127.0.0.1"  # only Linux has all of 127/8
    port, seen = seen_from
    bridge = MqttBridge(f"{scheme}://127.0.0.1:{port}", client_id="roamer", source=source, backoff=QUICK)
    task = asyncio.create_task(bridge.run())
    try:
        assert await asyncio.wait_for(seen.get(), PATIENCE_S) == wanted
    finally:
        bridge.close()
        await asyncio.wait_for(task, PATIENCE_S)


def test_why_an_address_is_not_usable_is_told() -> None:
    here, elsewhere = parse_url("ws://localhost:9001"), parse_url("wss://fleet.example.org")
    assert source_problem("127.0.0.1", here) is None
    assert "cannot be reached" in (source_problem("127.0.0.1", elsewhere) or "")
    assert "has no address" in (source_problem("203.0.113.7", elsewhere) or "")
    assert "no IP address" in (source_problem("here", here) or "")
