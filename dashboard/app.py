"""The dashboard's composition root: makes the parts, runs them, stops them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from dashboard.auth import Role, Tokens, key_hash, make_sign_in_link, read_or_make_key
from dashboard.database import RETRY_S, Database, describe
from dashboard.errors import DatabaseUnavailableError
from dashboard.guard import Keys
from dashboard.live.feed import Feed
from dashboard.metrics import Metrics
from dashboard.passwords import Passwords
from dashboard.server import make_server
from dashboard.services import Services
from fleetcell.contract import credentials
from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import dashboard_filters
from fleetcell.mqtt import MqttBridge, TlsOptions
from fleetcell.service import stop_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from fleetcell.settings import DashboardSettings

__all__ = ["make_sign_in_link", "run"]

log = structlog.get_logger()

GRACE_S: Final = 3  # for answers under way when the server stops
ADMIN_KEY_NAME: Final = "admin.key"


async def run(settings: DashboardSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    HTTP listens at once: /healthz and /readyz answer while the database or the broker is still away.

    Raises:
        ConfigError: a key file is not usable, or the port is taken.
    """
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # `Database` says in a line what is away
    stopped = stop_event()
    dashboard = Dashboard(settings)
    async with dashboard.running() as address:
        log.info("the dashboard is up", url=address)
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait({waiting, *dashboard.tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in dashboard.tasks:
            if task.done():
                task.result()  # what ended it ends the process
        log.info("the dashboard stops")


class Dashboard:
    """One dashboard process."""

    def __init__(self, settings: DashboardSettings) -> None:
        self.settings = settings
        self.database = Database(settings.dsn.get_secret_value())
        self.feed = Feed(self.database)
        self.services: Services  # made by `running`
        self.tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Start everything; the value is the address, such as http://127.0.0.1:8080. Stops at the end."""
        settings = self.settings
        tokens = Tokens(read_or_make_key(settings.session_key_file))
        self.feed.bridges = [self._bridge(url) for url in (settings.broker_url, *settings.more_broker_urls)]
        self.services = Services(
            database=self.database,
            feed=self.feed,
            tokens=tokens,
            keys=Keys(self.database),
            passwords=Passwords(self.database),
            metrics=Metrics(self.feed),
            credentials_key=lambda: _credentials_key(settings.credentials_key_file),
            public_url=settings.public_url,
            roads_file=settings.roads_file,
        )
        listener = _listen(settings.host, settings.port)
        server = _server(make_server(self.services))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        working = asyncio.create_task(self._work(), name="work")
        self.tasks = {serving, working}
        try:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{port}"
        finally:
            self.feed.hub.close("the server stops")
            server.should_exit = True
            working.cancel()
            await asyncio.gather(serving, working, return_exceptions=True)
            await self.database.close()

    async def _work(self) -> None:
        """What goes on behind the HTTP server; when it fails the process must not pretend to live."""
        await self.database.open()
        await self._put_admin_key()
        await self.feed.run()

    async def _put_admin_key(self) -> None:
        path = self.settings.admin_key_file
        if path is None:
            return
        key = read_or_make_key(path)
        while True:
            try:
                await self.database.fetch("key_put", ADMIN_KEY_NAME, Role.ADMIN.label, key_hash(key))
            except DatabaseUnavailableError as error:
                log.warning("the admin key waits for the database", reason=describe(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _bridge(self, url: str) -> MqttBridge:
        settings = self.settings
        password = settings.broker_password
        return MqttBridge(
            url,
            client_id=f"dashboard-{secrets.token_hex(4)}",
            username=settings.broker_user,
            password=password.get_secret_value() if password is not None else None,
            subscriptions=[(topic, 0) for topic in dashboard_filters()],
            receive=self.feed.receive,
            tls=TlsOptions(ca_file=settings.broker_ca_file) if settings.broker_ca_file else None,
        )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the service stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(application: ASGIApp) -> _Server:
    config = uvicorn.Config(
        application,
        lifespan="off",
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # a frame is encoded once for all clients, not compressed for each
        ws_max_size=64 * 1024,  # clients have nothing to say
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that the port is known, and a taken one is an error in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror}; set FLEETCELL_PORT to another, or 0"
        ) from None
    listener.setblocking(False)
    return listener


def _credentials_key(path: Path) -> bytes:
    """The key of unit MACs; read when needed, so that a dashboard without it can still be looked at.

    Raises:
        ConfigError: it cannot be read, or is too short.
    """
    try:
        return credentials.check_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the credentials key {path}: {error.strerror}") from None
