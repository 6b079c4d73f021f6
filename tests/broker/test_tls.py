"""TLS listeners, and vehicles that come with a certificate in place of a secret."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from broker.app import run
from broker.errors import BrokerError
from broker.limits import Limits
from broker.tls import ServerTls
from fleetcell.certs import make
from fleetcell.mqtt import Message, MqttBridge, TlsOptions
from tests.broker.conftest import ORIGIN, Accounts, Clients, RunningBroker, secret
from tests.broker.raw_client import CONNACK, PATIENCE_S, RawClient, connect_packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PRESENCE = "fleet/v1/helsinki/veh1/presence"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with the broker's certificate and some units'; and another authority beside it."""
    folder = tmp_path_factory.mktemp("certs")
    make(folder / "ours", ["127.0.0.1"], ["veh1", "veh2", "dashboard", "unknown"], 1)
    make(folder / "theirs", ["127.0.0.1"], ["veh1"], 1)
    return folder


@pytest.fixture
def client_ca() -> bool:
    """Whether the broker knows the authority of units."""
    return True


@pytest.fixture
def limits() -> Limits:
    return Limits(connect_timeout_s=PATIENCE_S, connections=20)


@pytest.fixture
def running(accounts: Accounts, limits: Limits, certs: Path, client_ca: bool) -> Iterator[RunningBroker]:
    broker = RunningBroker(
        accounts,
        limits,
        tls_cert_file=certs / "ours/server.pem",
        tls_key_file=certs / "ours/server.key",
        tls_client_ca_file=certs / "ours/ca.pem" if client_ca else None,
    )
    broker.start()
    yield broker
    broker.stop()


class Tls:
    """Opens connections with TLS."""

    def __init__(self, certs: Path, running: RunningBroker, clients: Clients) -> None:
        self._certs = certs
        self._running = running
        self._clients = clients

    def context(self, certificate: str | None = None) -> ssl.SSLContext:
        """Trusts our authority; with a certificate such as `ours/units/veh1`."""
        context = ssl.create_default_context(cafile=self._certs / "ours/ca.pem")
        if certificate is not None:
            context.load_cert_chain(self._certs / f"{certificate}.pem", self._certs / f"{certificate}.key")
        return context

    async def open(self, certificate: str | None = None, *, ws: bool = False) -> RawClient:
        """A connection without CONNECT."""
        context = self.context(certificate)
        return self._clients.keep(
            await RawClient.open_ws(self._running.wss_port, context)
            if ws
            else await RawClient.open_tcp(self._running.mqtts_port, context)
        )

    async def login(self, certificate: str | None, *connect: str | None, ws: bool = False) -> int:
        """The return code of a CONNECT with client id, user name, password."""
        client = await self.open(certificate, ws=ws)
        client_id, username, password = connect
        client.send(connect_packet(client_id or "", username, password))
        return (await client.expect(CONNACK)).body[1]


@pytest.fixture
def tls(certs: Path, running: RunningBroker, clients: Clients) -> Tls:
    return Tls(certs, running, clients)


@pytest.mark.parametrize("ws", [False, True], ids=["mqtts", "wss"])
async def test_a_password_is_as_good_over_tls(tls: Tls, ws: bool) -> None:
    assert await tls.login(None, "veh1", "veh1", secret("veh1"), ws=ws) == 0
    assert await tls.login(None, "veh1", "veh1", "guessed", ws=ws) == 5


@pytest.mark.parametrize("ws", [False, True], ids=["mqtts", "wss"])
async def test_a_certificate_stands_in_for_the_password(tls: Tls, ws: bool) -> None:
    assert await tls.login("ours/units/veh1", "veh1", None, None, ws=ws) == 0
    assert await tls.login("ours/units/veh1", "veh1", "veh1", None, ws=ws) == 0


@pytest.mark.parametrize(
    ("certificate", "connect"),
    [
        pytest.param(None, ("veh1", None, None), id="nothing"),
        pytest.param(None, ("veh1", "veh1", None), id="no certificate, no password"),
        pytest.param("ours/units/veh2", ("veh1", None, None), id="another's client id"),
        pytest.param("ours/units/veh2", ("veh1", "veh1", None), id="another's name"),
        pytest.param("ours/units/veh2", ("veh1", "veh1", "secret-of-veh1"), id="another's name and secret"),
        pytest.param("ours/units/veh1", ("veh1", "veh1", "guessed"), id="a wrong password beside it"),
        pytest.param("ours/units/unknown", ("unknown", None, None), id="no such vehicle"),
        pytest.param("ours/units/dashboard", ("dashboard", None, None), id="a service"),
        pytest.param("ours/units/veh1", ("", None, None), id="no client id"),
    ],
)
async def test_who_may_not_connect(
    tls: Tls, certificate: str | None, connect: tuple[str | None, str | None, str | None]
) -> None:
    assert await tls.login(certificate, *connect) == 5


@pytest.mark.parametrize("certificate", ["theirs/units/veh1", "ours/server"], ids=["other CA", "a server's"])
async def test_a_certificate_that_is_not_a_units_of_ours_ends_the_handshake(
    tls: Tls, running: RunningBroker, certificate: str
) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError, asyncio.IncompleteReadError)):
        await tls.login(certificate, "veh1", "veh1", secret("veh1"))
    assert running.do(lambda: running.broker.core.sessions) == {}
    await running.until(lambda: running.broker.gates["mqtts"].open == 0)


@pytest.mark.parametrize("client_ca", [False])
async def test_without_an_authority_no_certificate_counts(tls: Tls) -> None:
    assert await tls.login("ours/units/veh1", "veh1", None, None) == 5
    assert await tls.login("ours/units/veh1", "veh1", "veh1", secret("veh1")) == 0


async def test_a_certificate_of_a_revoked_vehicle_is_worth_nothing(
    tls: Tls, accounts: Accounts, running: RunningBroker
) -> None:
    unit = await tls.open("ours/units/veh1")
    unit.send(connect_packet("veh1", None, None))
    assert (await unit.expect(CONNACK)).body[1] == 0
    del accounts.units["veh1"]
    accounts.write()
    await unit.wait_closed()
    assert await tls.login("ours/units/veh1", "veh1", None, None) == 5


async def test_with_password_or_certificate_it_is_the_same_account(tls: Tls, clients: Clients) -> None:
    by_certificate = await tls.open("ours/units/veh1")
    by_certificate.send(connect_packet("veh1", None, None))
    assert (await by_certificate.expect(CONNACK)).body[1] == 0
    by_password = await clients.login("veh1")
    await by_certificate.wait_closed()  # taken over
    await by_password.ping()


@pytest.mark.parametrize("scheme", ["wss", "mqtts"])
async def test_our_own_client_with_a_certificate(certs: Path, running: RunningBroker, scheme: str) -> None:
    port = running.wss_port if scheme == "wss" else running.mqtts_port
    url = f"{scheme}://127.0.0.1:{port}" + ("/mqtt" if scheme == "wss" else "")
    got: asyncio.Queue[Message] = asyncio.Queue()
    ours = certs / "ours"
    unit = MqttBridge(
        url,
        client_id="veh1",
        subscriptions=[("fleet/v1/helsinki/veh1/command", 1)],
        receive=got.put_nowait,
        tls=TlsOptions(ours / "ca.pem", ours / "units/veh1.pem", ours / "units/veh1.key"),
    )
    gateway = await RawClient.open_tcp(running.mqtt_port)
    await gateway.login("gateway", secret("gateway"))
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(unit.run())
        await unit.wait_connected()
        gateway.publish("fleet/v1/helsinki/veh1/command", bytes(100_000), 1)
        assert (await got.get()).payload == bytes(100_000)
        await unit.disconnect()
    await gateway.aclose()


async def test_a_foreign_origin_is_refused_over_tls_too(tls: Tls, running: RunningBroker) -> None:
    for origin, status in (("https://evil.example", 403), (ORIGIN, 101)):
        client, found = await RawClient.upgrade(
            running.wss_port, "/mqtt", "mqtt", tls.context(), Origin=origin
        )
        assert found == status
        await client.aclose()


@pytest.mark.parametrize("limits", [Limits(connect_timeout_s=2)], ids=["2 s"])
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"\x10\x00"], ids=["nothing", "half", "no TLS"])
async def test_a_socket_without_its_handshake_has_a_place_and_loses_it(
    running: RunningBroker, sent: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", running.mqtts_port)) as silent:
        await running.until(lambda: running.broker.gates["mqtts"].open <= 1)
        silent.sendall(sent)
        if sent != b"\x10\x00":
            await running.until(lambda: running.broker.gates["mqtts"].open == 1)
        await running.until(lambda: running.broker.gates["mqtts"].open == 0)


@pytest.mark.parametrize("limits", [Limits(connect_timeout_s=2, connections=20)], ids=["2 s"])
async def test_sockets_without_their_handshake_fill_a_listener_for_a_moment_only(
    running: RunningBroker, tls: Tls
) -> None:
    silent = [socket.create_connection(("127.0.0.1", running.mqtts_port)) for _ in range(25)]
    try:
        await running.until(lambda: running.broker.counters.sockets_refused["listener full"] == 5)
        await running.until(lambda: running.broker.gates["mqtts"].open == 0)
        assert await tls.login("ours/units/veh1", "veh1", None, None) == 0
    finally:
        for found in silent:
            found.close()


# -- the files ----------------------------------------------------------------------------------------


@pytest.fixture
def server_files(certs: Path, tmp_path: Path) -> Path:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).write_bytes((certs / "ours" / name).read_bytes())
    return tmp_path


def server_tls(folder: Path) -> ServerTls:
    return ServerTls(folder / "server.pem", folder / "server.key", folder / "ca.pem")


def test_a_renewed_certificate_is_taken_up(server_files: Path, certs: Path) -> None:
    found = server_tls(server_files)
    first = found.context
    found.refresh()
    assert found.context is first
    (server_files / "server.pem").write_bytes((certs / "theirs/server.pem").read_bytes())
    found.refresh()  # the key is still that of the other
    assert (found.context, found.failures) == (first, 1)
    (server_files / "server.key").write_bytes((certs / "theirs/server.key").read_bytes())
    found.refresh()
    assert found.context is not first


@pytest.mark.parametrize(
    ("spoil", "variable"),
    [
        pytest.param(lambda folder: (folder / "server.pem").unlink(), "TLS_CERT_FILE", id="no certificate"),
        pytest.param(lambda folder: (folder / "server.key").write_bytes(b"x"), "TLS_KEY_FILE", id="no key"),
        pytest.param(lambda folder: (folder / "ca.pem").write_bytes(b"x"), "TLS_CLIENT_CA_FILE", id="no CA"),
    ],
)
def test_a_wrong_file_is_named(server_files: Path, spoil: Callable[[Path], Any], variable: str) -> None:
    spoil(server_files)
    with pytest.raises(BrokerError, match=f"FLEETCELL_{variable}"):
        server_tls(server_files)


async def test_a_broker_with_a_wrong_file_does_not_start(accounts: Accounts, server_files: Path) -> None:
    (server_files / "server.key").write_bytes(b"no key")
    settings = accounts.settings(
        tls_cert_file=server_files / "server.pem", tls_key_file=server_files / "server.key"
    )
    with pytest.raises(BrokerError, match="FLEETCELL_TLS_KEY_FILE"):
        await run(settings)
