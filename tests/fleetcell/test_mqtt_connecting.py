"""The MQTT bridge on its way to a session: greetings, refusals, silence, TLS, its own address."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from fleetcell.mqtt import MqttBridge, TlsOptions, parse_url
from fleetcell.mqtt.address import source_problem
from fleetcell.mqtt.session import Session
from fleetcell.mqtt.wire import WebSocketWire
from tests.fleetcell.mqtt_bridges import PATIENCE_S, QUICK, Inbox, Losses, attempts, running
from tests.mosquitto_server import Mosquitto

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
