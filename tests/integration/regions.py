"""Regions for tests: each a broker and an ingest, as processes, at an address of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac
from fleetcell.contract.messages import GatewayStatus, RegionEntry, decode, encode
from fleetcell.contract.topics import Role, gateway_topic
from fleetcell.layout import environment_of
from fleetcell.mqtt import Backoff, MqttBridge
from ingest.database import connect
from tests.relay import Relay
from tests.vehicle_sim.spools import open_spool
from vehicle_sim.delivery import DeliveryPolicy
from vehicle_sim.gateway_link import LinkOptions
from vehicle_sim.roaming import RoamingPolicy
from vehicle_sim.session import VehicleUnit
from vehicle_sim.tally import Tally
from vehicle_sim.unit import PresencePolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fleetcell.mqtt import Message

KEY = bytes(range(32))
PATIENCE_S = 60.0
STATEMENT_S = 4.0  # how long ingest waits for a database that says nothing: more than a busy one takes
START_S = 90.0  # four processes, on a busy machine

_listeners = itertools.count(1)


def secret(name: str) -> str:
    """The secret of an account."""
    return f"secret-of-{name}"


class Region:
    """One region: its broker, its ingest, and the network between ingest and the database."""

    def __init__(self, folder: Path, name: str, number: int, dsn: str, cells: list[str], port: int) -> None:
        self.name = name
        self.dsn = dsn
        self.host = f"127.0.1.{number}"
        self.url = f"ws://{self.host}:{port}/mqtt"
        self.entry = RegionEntry(self.url, cells, f"127.{20 + number}.0.0/16")
        self.database = Relay(_socket_of(dsn))
        self._folder = folder / name
        self._port = port
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self, directory: Path | None, mqtt_port: int) -> None:
        """Start both; `directory`: a file with the other regions, where they have databases of their own."""
        self._folder.mkdir()
        key = self._folder / "credentials.key"
        key.write_bytes(KEY)
        users = [f"ingest-{self.name}", f"registrar-{self.name}"]
        accounts = {
            user: ServiceCredential(Role.GATEWAY, mac(KEY, secret(user)), self.name) for user in users
        }
        services = self._folder / "services.json"
        services.write_bytes(encode_file(CredentialsFile(services=accounts)))
        credentials = self._folder / "credentials.json"
        credentials.write_bytes(services.read_bytes())
        await self.database.start()
        parts = urlsplit(self.dsn)
        dsn = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{self.database.port}{parts.path}"
        common = {"region": self.name, "credentials_file": credentials, "credentials_key_file": key}
        broker = {"host": self.host, "ws_port": self._port, "mqtt_port": mqtt_port}
        ingest = {
            "dsn": dsn,
            "statement_timeout_s": STATEMENT_S,
            "broker_url": self.url,
            "broker_user": users[0],
            "broker_password": secret(users[0]),
            "registrar_user": users[1],
            "registrar_password": secret(users[1]),
            "service_credentials_file": services,
            "region_cells": " ".join(self.entry.cells),
            "address_pool": self.entry.address_pool,
            "directory_file": directory,
            "batch_ms": 20,
            "linger_s": 0.3,
        }
        for service, settings in (("broker", broker), ("ingest", ingest)):
            log = (self._folder / f"{service}.log").open("wb")
            with log:
                argv = [sys.executable, "-m", "fleetcell", service]
                environment = environment_of(common | settings)
                self._processes.append(subprocess.Popen(argv, stdout=log, stderr=log, env=environment))

    async def stores(self) -> None:
        """Return when its gateway has said that it stores."""
        heard = asyncio.Event()

        def receive(message: Message) -> None:
            if decode(GatewayStatus, message.payload).storing:
                heard.set()

        async with self.listen(gateway_topic(self.name), receive):
            await heard.wait()

    async def stop(self) -> None:
        """As SIGTERM does; what does not end is killed."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                await asyncio.to_thread(process.wait, 60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        await self.database.stop()

    def logs(self) -> str:
        """What both said, for a failed test."""
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    async def ask(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """Ask its database, not through the network that a test cuts."""
        connection = await connect(self.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]
        finally:
            connection.terminate()

    async def history(self, vehicle: str) -> list[str]:
        """A vehicle's presence events, as `region: state (reason)`."""
        query = """
            SELECT region || ': ' || state || ' (' || reason || ')' FROM api.presence_events
            WHERE vehicle = $1 ORDER BY cursor
        """
        return [str(row[0]) for row in await self.ask(query, vehicle)]

    @asynccontextmanager
    async def listen(self, topic: str, receive: Callable[[Message], None]) -> AsyncIterator[None]:
        """Hear a topic of its broker."""
        user = f"ingest-{self.name}"
        bridge = MqttBridge(
            self.url,
            client_id=f"listener-{next(_listeners)}",
            username=user,
            password=secret(user),
            subscriptions=[(topic, 1)],
            receive=receive,
            backoff=Backoff(0.05, 0.2),
        )
        running = asyncio.create_task(bridge.run())
        try:
            await asyncio.wait_for(bridge.wait_connected(), START_S)
            yield
        finally:
            await bridge.disconnect()
            await running


@asynccontextmanager
async def two_regions(
    folder: Path, dsns: tuple[str, str], cells: dict[str, list[str]], free_port: Callable[[], int]
) -> AsyncIterator[tuple[Region, Region]]:
    """Two regions; where they have a database each, they know of each other by a file."""
    first, second = (
        Region(folder, name, number, dsn, cells[name], free_port())
        for number, (name, dsn) in enumerate(zip(cells, dsns, strict=True), 1)
    )
    directory: Path | None = None
    if first.dsn != second.dsn:
        directory = folder / "directory.json"
        regions = {region.name: json.loads(encode(region.entry)) for region in (first, second)}
        directory.write_text(json.dumps({"regions": regions}))
    try:
        for region in (first, second):
            await region.start(directory, free_port())
        await asyncio.wait_for(asyncio.gather(first.stores(), second.stores()), START_S)
        yield first, second
    except BaseException:
        for region in (first, second):
            sys.stderr.write(f"-- {region.name} --\n{region.logs()}\n")
        raise
    finally:
        for region in (first, second):
            await region.stop()


async def provision(dsns: set[str], *vehicles: str) -> None:
    """Let vehicles in: where regions have a database each, in each of them."""
    for dsn in dsns:
        connection = await connect(dsn)
        macs = [mac(KEY, secret(vehicle)) for vehicle in vehicles]
        await connection.execute("SELECT api.provision($1, $2)", list(vehicles), macs)
        await connection.close()


@asynccontextmanager
async def driving(folder: Path, vehicle: str, begin: Region) -> AsyncIterator[VehicleUnit]:
    """A simulated unit that knows one gateway; the directory tells it of the others."""
    spool = open_spool(folder / vehicle)
    link = LinkOptions(
        begin.url,
        begin.name,
        directory={begin.name: begin.entry},
        presence=PresencePolicy(claim_retry_first_s=0.5),
        delivery=DeliveryPolicy(window_s=0.05, retry_first_s=1.0),
        roaming=RoamingPolicy(silent_s=1.0, try_s=10.0, retry_first_s=1.0, retry_cap_s=2.0),
        backoff=Backoff(0.05, 0.5),
    )
    unit = VehicleUnit(vehicle, secret(vehicle), spool, link, Tally(), random.Random(vehicle))
    running = asyncio.create_task(unit.run())
    try:
        yield unit
    finally:
        unit.stop()
        await asyncio.wait_for(running, PATIENCE_S)


def _socket_of(dsn: str) -> str:
    """The Unix socket of the tests' PostgreSQL."""
    (folder,) = parse_qs(urlsplit(dsn).query)["host"]
    return f"{folder}/.s.PGSQL.5432"
