"""The embedded broker and an ingest service in the test's own loop, and units that speak to them."""

from __future__ import annotations

import asyncio
import traceback
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from broker.app import amqtt_config
from broker.broker import Broker
from broker.limits import Limits
from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac
from fleetcell.contract.messages import (
    Ack,
    Claim,
    ClaimKind,
    Command,
    GatewayStatus,
    Response,
    ResponseState,
    State,
    decode,
    encode,
)
from fleetcell.contract.topics import Channel, Role, gateway_topic, unit_filters, vehicle_topic
from fleetcell.mqtt import Backoff, MqttBridge, Will
from fleetcell.settings import BrokerSettings, IngestSettings
from ingest.app import Service
from ingest.database import connect
from tests.ingest.units import REGION
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from fleetcell.mqtt import Message
    from ingest.database import Connection

KEY = bytes(range(32))
T = TypeVar("T")


def secret(name: str) -> str:
    """The secret of an account of the tests."""
    return f"secret-of-{name}"


class Platform:
    """A broker and an ingest service. `settings` changes the service's; `units_url` names another broker."""

    def __init__(self, dsn: str, directory: Path, units_url: str | None = None, **settings: Any) -> None:
        self.dsn = dsn
        self._other_url = units_url
        self.credentials_file = directory / "run" / "credentials.json"
        self._key_file = directory / "credentials.key"
        self._services_file = directory / "services.json"
        self._changes = settings
        self._ports = free_ports(2)  # the same after a restart
        self._broker: Broker | None = None
        self._serving: asyncio.Task[None] | None = None
        self._units: list[Unit] = []
        self.service: Service | None = None
        self.url = units_url or ""

    async def start(self, *, service: bool = True) -> None:
        self._key_file.write_bytes(KEY)
        services = {
            name: ServiceCredential(Role.GATEWAY, mac(KEY, secret(name)), REGION)
            for name in (f"ingest-{REGION}", f"registrar-{REGION}")
        }
        self._services_file.write_bytes(encode_file(CredentialsFile(services=services)))
        self.credentials_file.parent.mkdir(exist_ok=True)
        self.credentials_file.write_bytes(self._services_file.read_bytes())
        if self._other_url is None:
            await self.start_broker()
        if service:
            await self.start_service()

    async def start_broker(self) -> None:
        fields: dict[str, Any] = {
            "ws_port": self._ports[0],
            "mqtt_port": self._ports[1],
            "credentials_file": self.credentials_file,
            "credentials_key_file": self._key_file,
        }
        settings = BrokerSettings(**fields)
        self._broker = Broker(amqtt_config(settings), Limits())
        await self._broker.start()
        self.url = f"mqtt://127.0.0.1:{self._ports[1]}"

    async def stop_broker(self) -> None:
        assert self._broker is not None
        await self._broker.shutdown()
        self._broker = None

    async def start_service(self) -> Service:
        self.service = service = Service(self.settings())
        self._serving = asyncio.create_task(service.run())
        self._serving.add_done_callback(_complain)
        await self.until(lambda: service.healthy() is None and service.registrar.leading)
        await asyncio.wait_for(service.registrar.wait_hearing(), 60)
        return service

    async def stop_service(self) -> None:
        """As SIGTERM does."""
        assert self.service is not None
        await self._cancel()
        await self.service.stop()

    async def kill_service(self) -> None:
        """End it at once, as SIGKILL does: nothing is flushed, its connections just end."""
        service = self.service
        assert service is not None
        await self._cancel()
        if service._link is not None:
            service._link.cancel()
            await asyncio.gather(service._link, return_exceptions=True)
        service.database.terminate()

    async def _cancel(self) -> None:
        assert self._serving is not None
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._serving = None

    async def stop(self) -> None:
        for unit in self._units:
            await unit.disconnect()
        if self._serving is not None:
            await self.stop_service()
        if self._broker is not None:
            await self.stop_broker()

    def settings(self) -> IngestSettings:
        fields: dict[str, Any] = {
            "dsn": self.dsn,
            "region": REGION,
            "broker_url": self.url,
            "broker_user": f"ingest-{REGION}",
            "broker_password": secret(f"ingest-{REGION}"),
            "registrar_user": f"registrar-{REGION}",
            "registrar_password": secret(f"registrar-{REGION}"),
            "credentials_file": self.credentials_file,
            "service_credentials_file": self._services_file,
            "batch_ms": 20,
            "linger_s": 0.3,
            **self._changes,
        }
        return IngestSettings(**fields)

    async def unit(self, name: str) -> Unit:
        """A provisioned vehicle, connected."""
        connection = await connect(self.dsn)
        await connection.execute("SELECT api.provision($1, $2)", [name], [mac(KEY, secret(name))])
        await connection.close()
        unit = Unit(name, lambda: self.url)
        self._units.append(unit)
        await unit.connect()
        return unit

    async def history(self, vehicle: str, wanted: Sequence[str]) -> None:
        """Wait until the vehicle's presence events are these, as `state (reason)`."""
        connection = await connect(self.dsn)
        query = """
            SELECT state || ' (' || reason || ')' FROM api.presence_events WHERE vehicle = $1 ORDER BY cursor
        """
        found: list[str] = []
        try:
            async with asyncio.timeout(60):
                while found != list(wanted):
                    found = [row[0] for row in await connection.fetch(query, vehicle)]
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{vehicle}: {found}, wanted {list(wanted)}") from None
        finally:
            connection.terminate()

    async def becomes(self, connection: Connection, query: str) -> None:
        """Wait until a query says true."""
        async with asyncio.timeout(60):
            while not await connection.fetchval(query):
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def watch(self, topic_filter: str, receive: Callable[[bytes], None]) -> AsyncIterator[MqttBridge]:
        """A gateway account that listens to a topic."""
        bridge = MqttBridge(
            self.url,
            client_id="watcher",
            username=f"ingest-{REGION}",
            password=secret(f"ingest-{REGION}"),
            subscriptions=[(topic_filter, 1)],
            receive=lambda message: receive(message.payload),
            backoff=Backoff(first=0.05, cap=0.2),
        )
        running = asyncio.create_task(bridge.run())
        await asyncio.wait_for(bridge.wait_connected(), 60)
        yield bridge
        await bridge.disconnect()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        """Wait for something that only a look can tell."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.005)


def _complain(serving: asyncio.Task[None]) -> None:
    """A service that ends by itself has failed; its tests would only wait."""
    if not serving.cancelled() and (error := serving.exception()) is not None:
        traceback.print_exception(error)


class Unit:
    """A vehicle unit as far as ingest sees it: claims, uploads, and what it is told."""

    def __init__(self, name: str, url: Callable[[], str]) -> None:
        self.name = name
        self.epoch = 0
        self.n = 0
        self._url = url
        self._bridge: MqttBridge | None = None
        self._running: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._received: defaultdict[str, list[bytes]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Connect with the next epoch; the will carries it."""
        self.epoch += 1
        self.n = 0
        self._bridge = MqttBridge(
            self._url(),
            client_id=self.name,
            username=self.name,
            password=secret(self.name),
            subscriptions=[(topic_filter, 1) for topic_filter in unit_filters(REGION, self.name)],
            receive=self._receive,
            will=self._will,
            backoff=Backoff(first=0.05, cap=0.2),
        )
        self._running = asyncio.create_task(self._bridge.run())
        await asyncio.wait_for(self._bridge.wait_connected(), 60)

    async def disconnect(self) -> None:
        """End with a DISCONNECT."""
        if self._bridge is not None and self._running is not None:
            await self._bridge.disconnect()
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def not_again(self) -> None:
        """When the connection ends, leave it at that."""
        assert self._bridge is not None
        self._bridge._closing.set()

    async def vanish(self) -> None:
        """Lose the connection: the broker publishes the will."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def claim(self, kind: ClaimKind, **fields: Any) -> Claim:
        """Make the next claim."""
        self.n += 1
        claim = Claim(kind, self.epoch, datetime.now(UTC), n=self.n, **fields)
        await self.send(Channel.PRESENCE, encode(claim))
        return claim

    async def tell(self, topic: str, payload: bytes) -> None:
        """Publish to any topic; returns when the broker has taken it."""
        assert self._bridge is not None
        await self._bridge.publish(topic, payload, qos=1)

    async def send(self, channel: Channel, payload: bytes) -> None:
        assert self._bridge is not None
        await self._bridge.publish(vehicle_topic(REGION, self.name, channel), payload, qos=1)

    async def attach(self, **fields: Any) -> State:
        """Claim, and wait to see the claim in `state`."""
        claim = await self.claim(ClaimKind.ATTACH, **fields)
        return await self.state(lambda state: (state.epoch, state.n) == (claim.epoch, claim.n))

    async def state(self, wanted: Callable[[State], bool]) -> State:
        """The first `state` that is as wanted, among those received and to come."""
        return await self._next(Channel.STATE, lambda payload: decode(State, payload), wanted)

    async def command(self, wanted: Callable[[Command], bool] = lambda _: True) -> Command:
        """The first command that is as wanted, among those received and to come."""
        return await self._next(Channel.COMMAND, lambda payload: decode(Command, payload), wanted)

    def commands(self) -> list[Command]:
        """Every command so far."""
        topic = vehicle_topic(REGION, self.name, Channel.COMMAND)
        return [decode(Command, payload) for payload in self._received[topic]]

    async def respond(self, command_id: str, state: ResponseState, **fields: Any) -> None:
        """Answer a command, as this session."""
        response = Response(command_id, state, **{"epoch": self.epoch, **fields})
        await self.send(Channel.RESPONSE, encode(response))

    async def ack(self, wanted: Callable[[Ack], bool]) -> Ack:
        return await self._next(Channel.ACK, lambda payload: decode(Ack, payload), wanted)

    async def gateway(self, wanted: Callable[[GatewayStatus], bool]) -> GatewayStatus:
        return await self._wait(
            gateway_topic(REGION), lambda payload: decode(GatewayStatus, payload), wanted, timeout_s=60
        )

    async def raw(self, channel: Channel) -> bytes:
        """The newest payload of a channel, when there is one."""
        return await self._next(channel, lambda payload: payload, lambda _: True)

    def heard(self, channel: Channel) -> bool:
        """Whether anything came on a channel."""
        return bool(self._received[vehicle_topic(REGION, self.name, channel)])

    def forget(self) -> None:
        """Only what comes from now on counts."""
        self._received.clear()

    async def _next(self, channel: Channel, read: Callable[[bytes], T], wanted: Callable[[T], bool]) -> T:
        return await self._wait(vehicle_topic(REGION, self.name, channel), read, wanted, timeout_s=60)

    async def _wait(
        self, topic: str, read: Callable[[bytes], T], wanted: Callable[[T], bool], *, timeout_s: float
    ) -> T:
        seen = 0
        async with asyncio.timeout(timeout_s), self._news:
            while True:
                payloads = self._received[topic]
                for payload in payloads[seen:]:
                    if wanted(value := read(payload)):
                        return value
                seen = len(payloads)
                await self._news.wait()

    def _receive(self, message: Message) -> None:
        self._received[message.topic].append(message.payload)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _will(self) -> Will:
        claim = Claim(ClaimKind.DETACH, self.epoch, datetime.now(UTC), reason="lost")
        return Will(vehicle_topic(REGION, self.name, Channel.PRESENCE), encode(claim))
