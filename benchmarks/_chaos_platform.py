"""What the chaos harness breaks: PostgreSQL, the broker, two ingest workers and the units, each a process.

Proxies stand between each two of them. A process that ends without being told to is started again, as
`fleetcell up` does, and that is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from benchmarks._chaos_disks import Disk
from benchmarks._chaos_proxy import Proxy
from benchmarks._chaos_services import Postgres, Service, Standby
from benchmarks._chaos_units import Crew, News, Order
from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac
from fleetcell.contract.topics import Role
from fleetcell.layout import environment_of
from fleetcell.up.ports import claim_port
from ingest.database import connect, migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ingest.database import Connection

REGION: Final = "chaos"
KEY: Final = bytes(range(32))
INTERVAL_S: Final = 3.0  # of the units' updates
KEEP_ALIVE_S: Final = 2
GRACE_S: Final = 1.0
START_S: Final = 90.0
WORKERS: Final = (1, 2)
_TIMERS: Final = {
    "update_interval_s": INTERVAL_S,
    "grace_s": GRACE_S,
    "linger_s": 0.5,
    "detach_s": 2,
    "keep_alive_s": KEEP_ALIVE_S,
    "hysteresis_s": 0,
}


def secret(name: str) -> str:
    """The secret of an account."""
    return f"secret-of-{name}"


class Units(Service):
    """The process of the units: takes orders, and tells news."""

    def __init__(self, crew: Crew, log: Path, heard: Callable[[News], None]) -> None:
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__("units", lambda: ([sys.executable, "-m", "benchmarks._chaos_units"], pipe), log)
        self._crew = crew
        self.heard = heard
        self._reader: asyncio.Task[None] | None = None
        self.again: Callable[[], Order | None] = lambda: None  # the first order to a new process

    async def started(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        self._reader = asyncio.create_task(self._read(process))
        with contextlib.suppress(OSError, RuntimeError):
            process.stdin.write(msgspec.json.encode(self._crew) + b"\n")
        if (order := self.again()) is not None:
            self.order(order)
        await self._reader  # what it said before it ended is all heard

    def order(self, order: Order) -> None:
        """Tell it; a process that has just ended does not hear it."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the pipe is closed (uvloop)
                process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if line.endswith(b"\n"):
                self.heard(msgspec.json.decode(line, type=News))


class Platform:
    """All of it, in one folder.

    Args:
        folder: an empty one.
        heard: is told the news of the units.
        replicated: whether a second server follows the first; workers find the one that can be written to,
            past the proxies.
        crew: how the units are otherwise.
    """

    def __init__(
        self, folder: Path, heard: Callable[[News], None], *, replicated: bool = False, **crew: Any
    ) -> None:
        self.folder = folder
        self._crew = crew
        self.disks = {"units": Disk(folder / "spools", 64), "database": Disk(folder / "postgres", 512)}
        self.database = Postgres(folder / "postgres" / "server", folder / "database.log")
        self.standby: Standby | None = None
        if replicated:
            copy = folder / "standby" / "server"
            self.standby = Standby(self.database.embedded, copy, folder / "standby.log")
        self.links: dict[str, Proxy] = {}
        self.services: dict[str, Service] = {"database": self.database}
        self._health_ports: list[int] = []
        self._heard = heard

    async def start(self) -> None:
        """Start everything, and wait until it serves."""
        for disk in self.disks.values():
            disk.make()
        self._write_credentials()
        self.database.start()
        async with asyncio.timeout(START_S):
            await self.database.wait_running()
            await self.database.embedded.wait_ready(START_S)
        await migrate(self.database.embedded.dsn("owner"))
        if self.standby is not None:
            await self.standby.follow(START_S)
        ws, mqtt = (claim_port("127.0.0.1", 0, flag="--port") for _ in range(2))
        self._run("broker", {"ws_port": ws, "mqtt_port": mqtt})
        socket = f"{self.database.embedded.socket_directory}/.s.PGSQL.5432"
        for number in WORKERS:
            await self._link(f"units-broker-{number}", ("127.0.0.1", ws))
            broker = await self._link(f"ingest-{number}-broker", ("127.0.0.1", mqtt))
            database = await self._link(f"ingest-{number}-database", socket, is_database=True)
            self._run(f"ingest-{number}", self._ingest(number, broker.port, database.port))
        crew = Crew(
            [f"ws://127.0.0.1:{self.links[f'units-broker-{number}'].port}/mqtt" for number in WORKERS],
            REGION,
            str(self.disks["units"].path),
            INTERVAL_S,
            KEEP_ALIVE_S,
            **self._crew,
        )
        self.units = Units(crew, self.folder / "units.log", self._heard)
        self.services["units"] = self.units
        self.units.start()
        async with asyncio.timeout(START_S):
            while not all([await self.healthy(number) for number in WORKERS]):  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.1)
            await self.units.wait_running()

    async def stop(self) -> None:
        """End everything and give the disks back."""
        for name in ("units", "ingest-1", "ingest-2", "broker"):
            if name in self.services:
                await self.services[name].stop()
        for server in (self.standby, self.database):
            if server is not None:
                await server.stop(signal.SIGQUIT)
        for link in self.links.values():
            await link.stop()
        for disk in self.disks.values():
            disk.remove()

    @property
    def dsn(self) -> str:
        """Of the database, past the proxies: of whichever server can be written to."""
        dsn = self.database.embedded.dsn("owner")
        if self.standby is None:
            return dsn
        return f"{dsn},{self.standby.embedded.socket_directory}&target_session_attrs=read-write"

    async def provision(self, names: Sequence[str]) -> None:
        """Let these vehicles in."""
        connection = await connect(self.dsn)
        try:
            macs = [mac(KEY, secret(name)) for name in names]
            await connection.execute("SELECT api.provision($1, $2)", list(names), macs)
        finally:
            connection.terminate()
        last = names[-1].encode()
        async with asyncio.timeout(START_S):
            while last not in self._credentials.read_bytes():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    async def connection(self, within_s: float) -> Connection:
        """To the database, past the proxies, as soon as it can be had."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await connect(self.dsn, timeout_s=within_s)
                except Exception:  # noqa: BLE001 - whatever a server says that is just starting
                    await asyncio.sleep(0.05)

    async def healthy(self, number: int) -> bool:
        """Whether a worker says that it stores and has its broker."""
        writer = None
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._health_ports[number - 1])
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()

    @property
    def deaths(self) -> dict[str, int]:
        """Processes that ended by themselves, and how often."""
        return {name: service.deaths for name, service in self.services.items() if service.deaths}

    # -- inside ---------------------------------------------------------------------------------------

    @property
    def _credentials(self) -> Path:
        return self.folder / "credentials.json"

    def _write_credentials(self) -> None:
        (self.folder / "credentials.key").write_bytes(KEY)
        accounts = {
            name: ServiceCredential(Role.GATEWAY, mac(KEY, secret(name)), REGION)
            for name in (f"ingest-{REGION}", f"registrar-{REGION}")
        }
        (self.folder / "services.json").write_bytes(encode_file(CredentialsFile(services=accounts)))
        self._credentials.write_bytes((self.folder / "services.json").read_bytes())

    async def _link(self, name: str, server: tuple[str, int] | str, *, is_database: bool = False) -> Proxy:
        self.links[name] = link = Proxy(name, server, is_database=is_database)
        await link.start()
        return link

    def _ingest(self, number: int, broker_port: int, database_port: int) -> dict[str, Any]:
        parts = urlsplit(self.dsn)
        account = f"{parts.username}:{parts.password}"
        link = f"postgresql://{account}@127.0.0.1:{database_port}{parts.path}?sslmode=disable"
        self._health_ports.append(claim_port("127.0.0.1", 0, flag="--port"))
        return {
            "dsn": link if self.standby is None else self.dsn,
            "worker": f"worker-{number}",
            "broker_url": f"mqtt://127.0.0.1:{broker_port}",
            "broker_user": f"ingest-{REGION}",
            "broker_password": secret(f"ingest-{REGION}"),
            "registrar_user": f"registrar-{REGION}",
            "registrar_password": secret(f"registrar-{REGION}"),
            "service_credentials_file": self.folder / "services.json",
            "metrics_port": self._health_ports[-1],
            "statement_timeout_s": 1,
            "batch_ms": 50,
            **_TIMERS,
        }

    def _run(self, name: str, settings: dict[str, Any]) -> None:
        common = {
            "region": REGION,
            "credentials_file": self._credentials,
            "credentials_key_file": self.folder / "credentials.key",
        }
        environment = environment_of(common | settings)
        command = [sys.executable, "-m", "fleetcell", name.partition("-")[0]]
        self.services[name] = service = Service(
            name, lambda: (command, {"env": environment}), self.folder / f"{name}.log"
        )
        service.start()
