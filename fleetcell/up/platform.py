"""The composition root of `fleetcell up`: database, broker, ingest, dashboard and simulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, check_key, encode_file, mac
from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.contract.topics import Role
from fleetcell.layout import Layout, UpFile, environment_of, write_private
from fleetcell.service import stop_event
from fleetcell.up.ports import claim_port
from fleetcell.up.regions import Region, in_stop_order, left_behind, make_regions, stop_signal
from fleetcell.up.supervisor import Program, Supervised, end_leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.embedded import EmbeddedPostgres

HOST: Final = "127.0.0.1"
READY_TIMEOUT_S: Final = 90.0
READY_POLL_S: Final = 0.1
SLEEPERS: Final = 0.2  # of the vehicles: a viewer soon sees some asleep, and the map stays alive

V2X: Final = ("--v2x", "cam,denm", "--cam-rate", "1")
V2X_VEHICLES: Final = 50  # with more there is none: each hears all around it, which grows with the square


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `fleetcell up` was asked for; a port of 0 means any free one."""

    vehicles: int = 25
    port: int = 8080
    ws_port: int = 9001
    mqtt_port: int = 1883
    dsn: str | None = None
    dashboard_dsn: str | None = None  # None: the role is given a password of ours
    broker_url: str | None = None
    regions: tuple[str, ...] = ("helsinki",)
    link: str = "perfect"
    seed: int | None = None
    duration_s: float | None = None
    simulate: bool = True


class Platform:
    """All parts of one data directory, from start to stop."""

    def __init__(
        self,
        layout: Layout,
        options: UpOptions,
        *,
        say: Callable[[str], None],
        progress: Callable[[str], None],
    ) -> None:
        self.layout = layout
        self.options = options
        self._say = say  # the address line; everything a script reads
        self._progress = progress  # for people: what is being started, what died
        self._running: dict[str, Supervised] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ports: dict[str, int] = {}
        self._regions: list[Region] = []

    async def run(self) -> int:
        """Start everything, wait for the end, stop everything. Returns the exit status."""
        self._regions = _regions(self.options)
        self.layout.prepare()
        with self.layout.lock():
            stopped = stop_event()
            for service in end_leftovers(self.layout, left_behind(self.layout.run)):
                self._progress(f"ended {service}, left over from a killed `fleetcell up`")
            try:
                await self._start(stopped)
                await self._serve(stopped)
            finally:
                await self._stop()
                self.layout.up_file.unlink(missing_ok=True)
        return 0

    async def _start(self, stopped: asyncio.Event) -> None:
        options = self.options
        self._ports["http"] = claim_port(HOST, options.port, flag="--port")
        self._write_credentials()  # `broker-auth` of another broker reads them too
        if options.broker_url is None:
            for region in self._regions:
                self._claim_ports(region)
                self._launch(self._service(region.service("broker"), self._broker_environment(region)))
        owner_dsn, dashboard_dsn = await self._database()
        for region in self._regions:
            self._launch(self._service(region.service("ingest"), self._ingest_environment(region, owner_dsn)))
        self._launch(self._service("dashboard", self._dashboard_environment(dashboard_dsn)))
        await self._wait_ready(stopped)

    def _claim_ports(self, region: Region) -> None:
        """Those that were asked for are the first region's; the others get free ones."""
        options = self.options
        ws_port, mqtt_port = (options.ws_port, options.mqtt_port) if region.first else (0, 0)
        self._ports[f"ws {region.name}"] = claim_port(HOST, ws_port, flag="--ws-port")
        self._ports[f"mqtt {region.name}"] = claim_port(HOST, mqtt_port, flag="--mqtt-port")

    async def _database(self) -> tuple[str, str]:
        """The DSNs of ingest and of the dashboard."""
        if self.options.dsn is not None:
            from ingest.database import dashboard_login, migrate  # noqa: PLC0415 - only where it is used

            await migrate(self.options.dsn)
            if self.options.dashboard_dsn is not None:
                return self.options.dsn, self.options.dashboard_dsn
            password = self.layout.secret("dashboard-database")
            return self.options.dsn, await dashboard_login(self.options.dsn, password)
        from ingest.embedded import EmbeddedPostgres  # noqa: PLC0415 - only where it is used

        self._progress("preparing the database")
        server = EmbeddedPostgres(self.layout.postgres)
        await asyncio.to_thread(server.prepare)
        self._launch(_postgres_program(server))
        await server.wait_ready()
        return server.dsn("owner"), server.dsn("dashboard")

    async def _serve(self, stopped: asyncio.Event) -> None:
        api_url = f"http://{HOST}:{self._ports['http']}"
        first = self._regions[0]
        mqtt_port = self._ports.get(f"mqtt {first.name}")
        self.layout.write_up_file(
            UpFile(
                pid=os.getpid(),
                started_at=datetime.now(UTC).isoformat(timespec="seconds"),
                api_url=api_url,
                broker_url=self._broker_url(first),
                mqtt_url=None if mqtt_port is None else f"mqtt://{HOST}:{mqtt_port}",
                region=first.name,
                admin_key_file=str(self.layout.admin_key),
                roads_file=str(_roads_file()),
                regions={region.name: region.entry(self._broker_url(region)) for region in self._regions},
            )
        )
        from dashboard.auth import make_sign_in_link  # noqa: PLC0415 - only where it is used

        link = make_sign_in_link(api_url, self.layout.key("session").read_text())
        self._say(f"fleetcell is at {api_url}  sign in: {link}")
        if self.options.simulate and self.options.vehicles > 0:
            self._launch(self._simulator())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._until_stopped(stopped), self.options.duration_s)

    async def _until_stopped(self, stopped: asyncio.Event) -> None:
        """Return when asked to stop; raise what a supervisor task raised."""
        waiting = asyncio.create_task(stopped.wait())
        try:
            while not waiting.done():
                tasks = [task for task in self._tasks.values() if not task.done()]
                done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {waiting}:
                    task.result()
        finally:
            waiting.cancel()

    async def _stop(self) -> None:
        for service in in_stop_order(self._running):
            self._progress(f"stopping {service}")
            await self._running[service].stop()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # -- programs and their environments ---------------------------------------------------------

    def _launch(self, program: Program) -> None:
        supervised = Supervised(program, self.layout, notify=self._progress)
        self._running[program.name] = supervised
        self._tasks[program.name] = asyncio.create_task(supervised.run())

    def _service(self, name: str, environment: dict[str, Any], *arguments: str) -> Program:
        return Program(
            name=name,
            argv=(sys.executable, "-m", "fleetcell", *(arguments or (name.partition("-")[0],))),
            environment=environment_of(self._common | environment),
            stop_signal=stop_signal(name),
        )

    @property
    def _common(self) -> dict[str, Any]:
        return {"data_dir": self.layout.root, "region": self._regions[0].name, "metrics_port": None}

    def _broker_url(self, region: Region) -> str:
        return self.options.broker_url or f"ws://{HOST}:{self._ports[f'ws {region.name}']}/mqtt"

    @property
    def _own_accounts(self) -> bool:
        return self.options.broker_url is None or "FLEETCELL_BROKER_USER" not in os.environ

    def _account(self, user: str, region: Region) -> dict[str, Any]:
        """The account of a service at a broker: ours, or with --broker one that the environment names."""
        account: dict[str, Any] = {"broker_url": self._broker_url(region)}
        if self._own_accounts:
            account |= {"broker_user": user, "broker_password": self.layout.secret(user)}
        return account

    def _broker_environment(self, region: Region) -> dict[str, Any]:
        return {
            "host": HOST,
            "region": region.name,
            "ws_port": self._ports[f"ws {region.name}"],
            "mqtt_port": self._ports[f"mqtt {region.name}"],
            "credentials_file": self.layout.credentials,
            "credentials_key_file": self.layout.key("credentials"),
        }

    def _ingest_environment(self, region: Region, dsn: str) -> dict[str, Any]:
        registrar = f"registrar-{region.name}"
        environment = self._account(f"ingest-{region.name}", region) | {
            "dsn": dsn,
            "region": region.name,
            "address_pool": region.address_pool,
            "credentials_file": self.layout.credentials,
            "service_credentials_file": self.layout.service_credentials,
        }
        if region.cells:  # else those that the environment may name
            environment["region_cells"] = " ".join(region.cells)
        if self._own_accounts:
            environment |= {"registrar_user": registrar, "registrar_password": self.layout.secret(registrar)}
        return environment

    def _dashboard_environment(self, dsn: str) -> dict[str, Any]:
        self.layout.read_admin_key()
        first, *others = self._regions
        return self._account("dashboard", first) | {
            "dsn": dsn,
            "more_broker_urls": " ".join(self._broker_url(region) for region in others) or None,
            "host": HOST,
            "port": self._ports["http"],
            "session_key_file": self.layout.key("session"),
            "admin_key_file": self.layout.admin_key,
            "credentials_key_file": self.layout.key("credentials"),
            "roads_file": _roads_file(),
        }

    def _simulator(self) -> Program:
        options = self.options
        seed = () if options.seed is None else ("--seed", str(options.seed))
        vehicles = ("--vehicles", str(options.vehicles), "--sleepers", str(SLEEPERS))
        v2x = V2X if options.vehicles <= V2X_VEHICLES else ()
        return self._service("sim", {}, "sim", "run", *vehicles, "--link", options.link, *v2x, *seed)

    def _write_credentials(self) -> None:
        """The service accounts, and a first file for the broker with what it held before.

        Ingest writes the whole file as soon as it runs; until then units of the last run are let in.
        """
        key = check_key(self.layout.key("credentials").read_bytes())
        accounts = {"dashboard": ServiceCredential(Role.DASHBOARD, mac(key, self.layout.secret("dashboard")))}
        for region in self._regions:
            for user in (f"ingest-{region.name}", f"registrar-{region.name}"):
                secret = self.layout.secret(user)
                accounts[user] = ServiceCredential(Role.GATEWAY, mac(key, secret), region.name)
        services = encode_file(CredentialsFile(services=accounts))
        write_private(self.layout.service_credentials, services)
        units: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, KeyError):
            units = json.loads(self.layout.credentials.read_bytes())["units"]
        write_private(self.layout.credentials, encode_file(CredentialsFile(units=units, services=accounts)))

    # -- readiness -------------------------------------------------------------------------------

    async def _wait_ready(self, stopped: asyncio.Event) -> None:
        """Wait until the dashboard says that database, broker and ingest work.

        Raises:
            FleetcellError: they did not within 90 s; the message has the ends of their logs.
        """
        url = f"http://{HOST}:{self._ports['http']}/readyz"
        last = "it did not answer"
        self._progress("starting broker, ingest and dashboard")
        loop = asyncio.get_running_loop()
        give_up = loop.time() + READY_TIMEOUT_S
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while loop.time() < give_up and not stopped.is_set():
                for task in self._tasks.values():
                    if task.done():
                        task.result()
                try:
                    answer = await client.get(url)
                    if answer.status_code == httpx.codes.OK:
                        return
                    last = answer.text[:500]
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(READY_POLL_S)
        if stopped.is_set():
            return
        tails = "\n".join(
            f"-- {name} (restarted {supervised.restarts} times) --\n{supervised.last_lines()}"
            for name, supervised in self._running.items()
        )
        raise FleetcellError(f"the platform was not ready within {READY_TIMEOUT_S:.0f} s: {last}\n{tails}")


def _postgres_program(server: EmbeddedPostgres) -> Program:
    return Program(
        name="postgres",
        argv=server.argv(),
        environment=server.environment(),
        stop_signal=server.stop_signal,
        stop_timeout_s=30,
        options=server.popen_options(),
    )


def _regions(options: UpOptions) -> list[Region]:
    """The regions; several share the roads.

    Raises:
        ConfigError: they cannot be, or not with the other options.
    """
    if len(options.regions) == 1:
        return make_regions(options.regions, None)
    if options.broker_url is not None:
        raise ConfigError("--regions: each region has a broker of its own, so --broker can name only one's")
    from vehicle_sim import roads  # noqa: PLC0415 - only where it is used

    return make_regions(options.regions, roads.load(None).bounds)


def _roads_file() -> str:
    from vehicle_sim.roads import HELSINKI  # noqa: PLC0415 - only where it is used

    return str(HELSINKI)
