"""A platform for the tests of units: our broker as a process, and a gateway that keeps all in memory.

One broker process serves many tests, each in a region of its own; a test that kills it has its own. The
gateway follows the contract (presence fold, ledger, acknowledgement after storing); that the real
ingest does so too is tested in tests/integration.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from fleetcell.contract import ledger, topics
from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac, new_secret
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import (
    Ack,
    Claim,
    Event,
    GatewayStatus,
    Rejected,
    Sample,
    Telemetry,
    decode,
    encode,
    ranges_from_wire,
)
from fleetcell.contract.presence import Registration, Timers, fold, to_state
from fleetcell.contract.topics import Channel, Role
from fleetcell.layout import Layout, UpFile, environment_of, write_private
from fleetcell.mqtt import Backoff, Message, MqttBridge
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

KEY = bytes(range(48, 80))
ADMIN_KEY = "admin-key-of-the-tests"


class BrokerProcess:
    """Our broker, as `fleetcell broker` runs it, and its credentials file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ws_port, self.mqtt_port = free_ports(2)
        self.units: dict[str, str] = {}  # vehicle -> MAC
        self._services: dict[str, ServiceCredential] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.ws_port}/mqtt"

    def start(self) -> None:
        """Start it; returns when it listens."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "credentials.key").write_bytes(KEY)
        self.write()
        settings = {
            "host": "127.0.0.1",
            "ws_port": self.ws_port,
            "mqtt_port": self.mqtt_port,
            "credentials_file": self.directory / "credentials.json",
            "credentials_key_file": self.directory / "credentials.key",
        }
        argv = [sys.executable, "-m", "fleetcell", "broker"]
        with (self.directory / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment_of(settings))
        while not _listens(self.ws_port):
            assert self._process.poll() is None, (self.directory / "broker.log").read_text()
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def let_in(self, gateway: str, region: str, secret: str) -> None:
        """Add a gateway's service account."""
        self._services[gateway] = ServiceCredential(Role.GATEWAY, mac(KEY, secret), region)
        self.write()

    def write(self) -> None:
        """Replace the credentials file, which the broker watches."""
        content = CredentialsFile(units=self.units, services=self._services)
        write_private(self.directory / "credentials.json", encode_file(content))


def _is_again(claim: Claim, known: Claim) -> bool:
    return (claim.kind, claim.epoch, claim.n, claim.boot) == (known.kind, known.epoch, known.n, known.boot)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Gateway:
    """Registrar and ingest of one region, in memory. While `deaf` it takes nothing, as when it hangs."""

    def __init__(self, url: str, region: str, password: str) -> None:
        self.region = region
        self.registrations: dict[str, Registration] = {}
        self.claims: list[tuple[str, Claim]] = []  # one that a unit repeats, on a busy machine, only once
        self.readings: dict[tuple[str, str], dict[int, Sample]] = defaultdict(dict)
        self.events: dict[tuple[str, str], dict[int, Event]] = defaultdict(dict)
        self.received: Counter[tuple[str, str, int]] = Counter()
        self.evicted: dict[tuple[str, str], ledger.Ranges] = defaultdict(tuple)
        self.epochs: dict[str, set[int]] = defaultdict(set)
        self.responses: list[dict[str, Any]] = []
        self.deaf = False
        self.silent = False  # hears claims, but its states do not come out
        self.rejects: Callable[[Telemetry], bool] = lambda _: False
        self.changed = asyncio.Condition()
        self._cursor = 0
        self.bridge = MqttBridge(
            url,
            client_id=f"gateway-{region}",
            username=f"gateway-{region}",
            password=password,
            subscriptions=[
                (name, 1)
                for name in (
                    *topics.telemetry_filters(region),
                    *topics.presence_filters(region),
                    f"{topics.PREFIX}/{region}/+/response",
                )
            ],
            receive=self._receive,
            on_connect=self._hello,
            backoff=Backoff(0.02, 0.2),
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after each message."""
        async with self.changed:
            await self.changed.wait_for(holds)

    def stored(self, vehicle: str) -> int:
        """How many readings and events of a vehicle are stored, all boots."""
        keys = {key for key in self.readings.keys() | self.events.keys() if key[0] == vehicle}
        return sum(len(self.readings[key]) + len(self.events[key]) for key in keys)

    def state(self, vehicle: str) -> tuple[str, str]:
        """State and reason."""
        held = self.registrations.get(vehicle, Registration())
        return held.state.value, str(held.reason)

    def say_storing(self, storing: bool) -> None:
        """Publish the gateway's status."""
        status = GatewayStatus(storing, datetime.now(UTC))
        self.bridge.publish_nowait(topics.gateway_topic(self.region), encode(status), qos=1, retain=True)

    def send(self, vehicle: str, channel: Channel, message: Any) -> None:
        """Send something to a vehicle."""
        payload = message if isinstance(message, bytes) else encode(message)
        topic = topics.vehicle_topic(self.region, vehicle, channel)
        self.bridge.publish_nowait(topic, payload, qos=1, retain=channel is Channel.STATE)

    async def _hello(self) -> None:
        self.say_storing(storing=True)

    def _receive(self, message: Message) -> None:
        if not self.deaf:
            topic = topics.parse(message.topic)
            assert isinstance(topic, topics.VehicleTopic)
            match topic.channel:
                case Channel.PRESENCE:
                    self._claim(topic.vehicle, decode(Claim, message.payload))
                case Channel.TELEMETRY:
                    self._telemetry(topic.vehicle, message.payload)
                case Channel.EVENT:
                    self._event(topic.vehicle, decode(Event, message.payload))
                case Channel.RESPONSE:
                    self.responses.append(decode(dict[str, Any], message.payload))
        self._tasks = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _claim(self, vehicle: str, claim: Claim) -> None:
        if not any(who == vehicle and _is_again(claim, known) for who, known in self.claims):
            self.claims.append((vehicle, claim))
        held = self.registrations.get(vehicle)
        now = datetime.now(UTC)
        taken, change = fold(held, claim, now, Timers(), region=self.region)
        self.registrations[vehicle] = taken
        awaited = change is not None or claim.epoch < taken.epoch or claim.update_interval is not None
        if awaited and not self.silent:
            self._cursor += 1
            self.send(vehicle, Channel.STATE, to_state(vehicle, taken, now))

    def _telemetry(self, vehicle: str, payload: bytes) -> None:
        try:
            upload = decode(Telemetry, payload)
        except PayloadError as error:
            self._reject(vehicle, payload, str(error))
            return
        if self.rejects(upload):
            self._reject(vehicle, payload, "poison")
            return
        key = (vehicle, upload.boot)
        self.epochs[vehicle].add(upload.epoch)
        for sample in upload.samples:
            self.received[(*key, sample.seq)] += 1
            self.readings[key][sample.seq] = sample
        self.evicted[key] = ledger.union(self.evicted[key], ranges_from_wire(upload.evicted))
        self._ack(vehicle, upload.boot)

    def _event(self, vehicle: str, event: Event) -> None:
        key = (vehicle, event.boot)
        self.epochs[vehicle].add(event.epoch)
        self.received[(*key, event.seq)] += 1
        self.events[key][event.seq] = event
        self._ack(vehicle, event.boot)

    def _ack(self, vehicle: str, boot: str) -> None:
        key = (vehicle, boot)
        stored = ledger.from_numbers([*self.readings[key], *self.events[key]])
        settled = ledger.union(stored, self.evicted[key])
        up_to = ledger.settled_up_to(settled)
        also = list(settled[1:] if up_to else settled)
        self.send(vehicle, Channel.ACK, Ack(boot, up_to, also or None))

    def _reject(self, vehicle: str, payload: bytes, reason: str) -> None:
        self.send(vehicle, Channel.ACK, Rejected(hashlib.sha256(payload).hexdigest(), reason))


class SmallPlatform:
    """A region on a broker, and the one API path that the simulator uses, on one data directory."""

    def __init__(self, broker: BrokerProcess, data_dir: Path, region: str) -> None:
        self.broker = broker
        self.region = region
        self.layout = Layout(data_dir)
        self.api_port = 0
        self.vehicles: set[str] = set()
        self.revoked: set[str] = set()
        self.posts: list[dict[str, Any]] = []
        self._secret = new_secret()
        self.gateway = Gateway(broker.url, region, self._secret)
        self._api: uvicorn.Server | None = None
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    async def start(self) -> None:
        """Start everything and write `up.json`."""
        self.layout.prepare()
        self.layout.admin_key.write_text(ADMIN_KEY + "\n")
        self.broker.let_in(f"gateway-{self.region}", self.region, self._secret)
        self._tasks.append(asyncio.create_task(self.gateway.bridge.run()))
        await self.gateway.bridge.wait_connected()
        await self._start_api()
        key = str(self.layout.admin_key)
        up = UpFile(os.getpid(), "now", self.api_url, self.broker.url, None, self.region, key)
        self.layout.write_up_file(up)

    async def kill_broker(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self.broker.kill)

    async def start_broker(self) -> None:
        """Start it again."""
        await asyncio.to_thread(self.broker.start)

    async def stop(self) -> None:
        """End everything but the broker."""
        self.gateway.bridge.close()
        if self._api is not None:
            self._api.should_exit = True
        await asyncio.gather(*self._tasks)

    def register(self, vehicle: str, secret: str) -> None:
        """Give a vehicle a secret."""
        self._keep(vehicle, secret)
        self.broker.write()

    def _keep(self, vehicle: str, secret: str) -> None:
        self.vehicles.add(vehicle)
        self.broker.units[vehicle] = mac(KEY, secret)

    async def _start_api(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.api_port = listener.getsockname()[1]
        config = uvicorn.Config(self._application(), log_level="error", lifespan="off")
        self._api = _Server(config)
        self._tasks.append(asyncio.create_task(self._api.serve([listener])))
        while not self._api.started:
            await asyncio.sleep(0.005)

    def _application(self) -> FastAPI:
        api = FastAPI()

        @api.middleware("http")
        async def guard(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
            if request.headers.get("Authorization") != f"Bearer {ADMIN_KEY}":
                return JSONResponse({"title": "Unauthorized"}, 401, media_type="application/problem+json")
            return await handle(request)

        @api.post("/api/v1/vehicles")
        async def provision(body: dict[str, Any]) -> dict[str, Any]:
            self.posts.append(body)
            items = []
            for vehicle in body["ids"]:
                secret = None
                revoked = vehicle in self.revoked and not body["rotate"]
                if body["rotate"] or vehicle not in self.vehicles:
                    secret = new_secret()
                    self.revoked.discard(vehicle)
                    self._keep(vehicle, secret)
                items.append({"id": vehicle, "secret": secret, "revoked": revoked})
            self.broker.write()
            return {"items": items}

        return api


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The test has its own."""
