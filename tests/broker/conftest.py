"""A real broker on real sockets, on its own uvloop in a thread, for each test.

`FLEETCELL_TEST_BROKER=stock` starts amqtt's own broker with the same plugins in its place: the tests of
test_promises.py must fail then.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvloop
from amqtt.broker import Broker as StockBroker

from broker.app import amqtt_config
from broker.broker import Broker
from broker.limits import Limits
from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac
from fleetcell.contract.topics import Role
from fleetcell.settings import BrokerSettings
from tests.broker.raw_client import PATIENCE_S, RawClient, Will

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

T = TypeVar("T")
Change = Callable[[dict[str, Any]], None]

STOCK = os.environ.get("FLEETCELL_TEST_BROKER") == "stock"
KEY = bytes(range(32))
REGION = "helsinki"
ORIGIN = "https://fleet.example"


def secret(name: str) -> str:
    """The secret of an account of the tests."""
    return f"secret-of-{name}"


class Accounts:
    """The credentials file, written as ingest does: whole, then put in place."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "credentials.json"
        self.key_file = folder / "credentials.key"
        self.key_file.write_bytes(KEY)
        self.units = {f"veh{number}": mac(KEY, secret(f"veh{number}")) for number in range(1, 6)}
        self.services = {
            "gateway": ServiceCredential(Role.GATEWAY, mac(KEY, secret("gateway")), REGION),
            "dashboard": ServiceCredential(Role.DASHBOARD, mac(KEY, secret("dashboard"))),
        }
        self.write()

    def write(self) -> None:
        """Replace the file."""
        new = self.file.with_suffix(".new")
        new.write_bytes(encode_file(CredentialsFile(units=self.units, services=self.services)))
        new.replace(self.file)

    def settings(self, **changes: Any) -> BrokerSettings:
        """Settings of a broker that reads them, on free ports."""
        fields = {
            "ws_port": 0,
            "mqtt_port": 0,
            "wss_port": 0,
            "mqtts_port": 0,
            "credentials_file": self.file,
            "credentials_key_file": self.key_file,
            "allowed_origins": [ORIGIN],
            **changes,
        }
        return BrokerSettings(**fields)


class RunningBroker:
    """A broker in a thread."""

    def __init__(
        self, accounts: Accounts, limits: Limits, change: Change | None = None, **settings: Any
    ) -> None:
        self.accounts = accounts
        self._change = change
        self._settings = settings
        self._limits = limits
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self.broker: Any = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        self._thread.start()
        self._ready.result(PATIENCE_S)

    def stop(self) -> None:
        """Stop, and wait for the end."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def mqtt_port(self) -> int:
        """Of the TCP listener."""
        return self.port("default")

    @property
    def ws_port(self) -> int:
        """Of the WebSocket listener."""
        return self.port("websocket")

    @property
    def mqtts_port(self) -> int:
        """Of the TCP listener with TLS."""
        return self.port("mqtts")

    @property
    def wss_port(self) -> int:
        """Of the WebSocket listener with TLS."""
        return self.port("wss")

    def do(self, action: Callable[[], T]) -> T:
        """Call something on the broker's own loop."""

        async def call() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE_S)

    async def until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds in the broker."""
        async with asyncio.timeout(patience_s):
            while not self.do(condition):
                await asyncio.sleep(0.01)

    def port(self, name: str) -> int:
        """Of a listener."""
        port: int = self.broker._servers[name].instance.sockets[0].getsockname()[1]
        return port

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            config = amqtt_config(self.accounts.settings(**self._settings))
            if self._change is not None:
                self._change(config)
            self.broker = StockBroker(config) if STOCK else Broker(config, self._limits, origins=[ORIGIN])
            await self.broker.start()
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        self._ready.set_result(None)
        await self._stop.wait()
        await self.broker.shutdown()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path)


@pytest.fixture
def limits() -> Limits:
    """Overridden by tests that want others."""
    return Limits(connect_timeout_s=PATIENCE_S)


@pytest.fixture
def configure() -> Change | None:
    """Changes amqtt's configuration before the broker starts; given by tests that want it."""
    return None


@pytest.fixture
def running(accounts: Accounts, limits: Limits, configure: Change | None) -> Iterator[RunningBroker]:
    broker = RunningBroker(accounts, limits, configure)
    broker.start()
    yield broker
    broker.stop()


class Clients:
    """Opens raw clients and closes them at the end of the test."""

    def __init__(self, running: RunningBroker) -> None:
        self._running = running
        self._open: list[RawClient] = []

    async def tcp(self) -> RawClient:
        """A TCP connection without a CONNECT."""
        return self.keep(await RawClient.open_tcp(self._running.mqtt_port))

    async def ws(self, **headers: str) -> RawClient:
        """A WebSocket without a CONNECT."""
        return self.keep(await RawClient.open_ws(self._running.ws_port, **headers))

    async def login(
        self,
        name: str,
        *filters: tuple[str, int],
        ws: bool = False,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        client_id: str | None = None,
    ) -> RawClient:
        """A client that is connected and subscribed."""
        client = await (self.ws() if ws else self.tcp())
        answer = await client.login(
            name, secret(name), clean=clean, keep_alive=keep_alive, will=will, client_id=client_id
        )
        assert answer.body[1] == 0, f"CONNACK {answer.body[1]}"
        if filters:
            assert await client.subscribe(*filters) == [qos for _, qos in filters]
        return client

    def keep(self, client: RawClient) -> RawClient:
        """Close it at the end."""
        self._open.append(client)
        return client

    async def close(self) -> None:
        """Close all."""
        for client in self._open:
            await client.aclose()


@pytest.fixture
async def clients(running: RunningBroker) -> AsyncIterator[Clients]:
    opened = Clients(running)
    yield opened
    await opened.close()
