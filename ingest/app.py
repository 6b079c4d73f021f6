"""The ingest service: its parts put together from the settings, and nothing else."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import structlog

from fleetcell.contract.errors import TopicError
from fleetcell.contract.presence import Reason
from fleetcell.contract.topics import (
    Channel,
    VehicleTopic,
    gateway_topic,
    parse,
    presence_filters,
    response_filter,
    telemetry_filters,
)
from fleetcell.contract.v2x.cells import denm_filter
from fleetcell.mqtt import Backoff, MqttBridge, TlsOptions
from fleetcell.service import stop_event
from ingest.answers import Answers
from ingest.commands import CHANNEL as COMMANDS_CHANNEL
from ingest.commands import Commands
from ingest.credentials import CredentialsExporter
from ingest.database import Tier, migrate
from ingest.derive.messages import Orders
from ingest.derive.process import DeriveProcess
from ingest.derive.rules import Rules
from ingest.directory import CHANNEL as DIRECTORY_CHANNEL
from ingest.directory import RegionDirectory, own_entry
from ingest.erasure import CHANNEL as ERASE_CHANNEL
from ingest.erasure import Eraser
from ingest.failures import FAILURES, reason
from ingest.gateway import Gateway
from ingest.hazards.service import Hazards
from ingest.identities import IdentityWatch
from ingest.inbox import Arrival, Inbox
from ingest.metrics import Metrics, serve_metrics
from ingest.notifications import Notifications
from ingest.pools import Database
from ingest.publisher import Publisher
from ingest.registrar import Registrar
from ingest.retention import DeadLetterBounds, Retention
from ingest.retries import retries
from ingest.sessions import SESSION_FILTER, SESSION_PREFIX
from ingest.sharing import decide, shared_filters
from ingest.signs import CHANNEL, Signs
from ingest.vehicles import Vehicles
from ingest.writer import Writer

if TYPE_CHECKING:
    from pydantic import SecretStr

    from fleetcell.mqtt import Message
    from fleetcell.settings import IngestSettings
    from ingest.decode import Upload

log = structlog.get_logger()

FROM_UNITS: Final = frozenset({Channel.TELEMETRY, Channel.TELEMETRY_MP, Channel.EVENT})
RESPONSE_LEVEL: Final = f"/{Channel.RESPONSE}"
STALE_US: Final = 5_000_000  # a message that has waited this long is no sign of life any more
FLUSH_S: Final = 5.0  # for what is waiting, at a clean stop
TOLD_S: Final = 1.0  # a broker that tells where clients are has told of the registrar itself by then
QOS: Final = 1


async def run(settings: IngestSettings) -> None:
    """Serve until SIGTERM or SIGINT; then store what is waiting, as far as that is quick.

    Raises:
        ConfigError: the DSN is not one.
        DatabaseError: the database is too old, or was migrated by a newer release.
        OSError: the port of the metrics is taken.
    """
    stop = asyncio.create_task(stop_event().wait())
    service = Service(settings)
    serving = asyncio.create_task(service.run())
    try:
        await asyncio.wait((stop, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        stop.cancel()
        serving.cancel()
        await asyncio.gather(stop, serving, return_exceptions=True)
        await service.stop()


class Service:
    """One ingest service of one region."""

    def __init__(self, settings: IngestSettings) -> None:
        self.settings = settings
        region = settings.region
        self.metrics = Metrics()
        self.inbox = Inbox()
        self.vehicles = Vehicles()
        self.database = Database(
            settings.dsn.get_secret_value(),
            application=f"fleetcell ingest {region}",
            size=7,
            timeout_s=settings.statement_timeout_s,
        )
        self.directory = RegionDirectory(
            region,
            own_entry(settings),
            settings.directory_file,
            self.database,
            storing=lambda: self.gateway.storing,
            speaks=lambda: self.registrar.in_office,
            metrics=self.metrics,
        )
        self.gateway = Gateway(
            region,
            settings.address_pool,
            self.database,
            self.lag_s,
            self.metrics,
            lambda: self.registrar.in_office,
            changed=self.directory.wake,
        )
        self._worker = settings.worker or secrets.token_hex(4)  # several workers are several clients
        self._shared: bool | None = None  # not known before there is a broker
        self.bridge = self._make_bridge(
            "ingest", receive=self.receive, will=self.gateway.will, on_connect=self._connected
        )
        self.answers = Answers(region, self.bridge, self.metrics)
        self.publisher = Publisher(region, self.database, self.metrics)
        self.commands = Commands(
            region, self.database, self.metrics, settings.command_retry_s, self._heard_response
        )
        self.hazards = Hazards(
            region,
            self.database,
            self.metrics,
            lambda receive: self._make_bridge(
                "hazards", optional=[(denm_filter(region), 0)], receive=receive
            ),
            per_s=settings.hazards_per_s,
            most_active=settings.hazards_active,
        )
        self.registrar = Registrar(
            region,
            settings.timers(),
            self.database,
            self.vehicles,
            self.publisher,
            self._registrar_bridge,
            self.metrics,
            self._take_role,
            duties=[self.commands, self.hazards],
        )
        self.signs = Signs(region, self.database, self._heard_elsewhere)
        self.writer = Writer(
            self.inbox,
            self.database,
            self.vehicles,
            batch_rows=settings.batch_rows,
            linger_s=settings.batch_ms / 1000,
            gather_s=settings.batch_gather_ms / 1000,
            heard=self._heard,
            answer=self.answers.put,
            health=self.gateway,
            metrics=self.metrics,
        )
        self.credentials = CredentialsExporter(
            self.database, settings.credentials_file, settings.service_credentials_file
        )
        self.deriver = DeriveProcess(
            Orders(
                settings.dsn.get_secret_value(),
                f"fleetcell derive {region}",
                rules_of(settings),
                settings.derive_delay_s,
                settings.statement_timeout_s,
                settings.log_level,
                settings.log_json,
            ),
            self.metrics.derivation,
            self.metrics.derive_restarts.inc,
        )
        self.eraser = Eraser(self.database, self.metrics)
        self.letter_bounds = DeadLetterBounds(
            self.database, self.metrics, days=settings.dead_letter_days, mebibytes=settings.dead_letter_mb
        )
        self.notifications = Notifications(
            self.database,
            {
                "fleetcell_credentials": lambda _: self._credentials_changed(),
                "fleetcell_presence": lambda _: self.publisher.wake(),
                COMMANDS_CHANNEL: lambda _: self.commands.wake(),
                DIRECTORY_CHANNEL: lambda _: self.directory.wake(),
                ERASE_CHANNEL: lambda _: self._erasing(),
                CHANNEL: lambda payload: self.signs.receive(payload) if payload else None,
            },
        )

        self._link: asyncio.Task[None] | None = None

    def lag_s(self) -> float:
        """The age of the oldest message that waits, in seconds."""
        oldest = self.inbox.oldest_us
        return 0.0 if oldest is None else max(0.0, _now_us() - oldest) / 1e6

    def healthy(self) -> str | None:
        """None, or what is wrong."""
        if not self.gateway.storing:
            return "the database cannot store"
        if not self.bridge.connected:
            return f"no broker: {self.bridge.last_error or 'not connected yet'}"
        return None

    async def run(self) -> None:
        """Serve until cancelled."""
        tier = await self._migrate()
        log.info("ingest", region=self.settings.region, database=tier.value)
        self._link = asyncio.create_task(self._run_link())  # not of the group: it is needed at the stop
        async with asyncio.TaskGroup() as tasks:
            for work in (
                self._keep_link(self._link),
                self.credentials.run(),
                self.notifications.run(),
                self.gateway.run(self.bridge),
                self.directory.run(self.bridge),
                self.writer.run(),
                self.answers.run(),
                self.registrar.run(),
                self.signs.run(),
                Retention(self.database, self.settings.retention_days).run(),
                self._derive(),
                self.letter_bounds.run(),
                self.eraser.run(),
                IdentityWatch(self.database, self.metrics).run(),
                self._watch_inbox(),
            ):
                tasks.create_task(work)
            if self.settings.metrics_port is not None:
                tasks.create_task(self._show_metrics(self.settings.metrics_host, self.settings.metrics_port))

    async def _show_metrics(self, host: str, port: int) -> None:
        async with await serve_metrics(self.metrics, self.healthy, host, port) as server:
            await server.serve_forever()

    async def stop(self) -> None:
        """After `run` was cancelled: store and answer what is waiting, say goodbye, close."""
        if self.bridge.connected:
            await self.writer.flush(FLUSH_S)
            await self.answers.flush(FLUSH_S)
            self.gateway.farewell(self.bridge)
        await self.bridge.disconnect()
        if self._link is not None:
            self._link.cancel()
            await asyncio.gather(self._link, return_exceptions=True)
        await self.database.close()
        log.info("ingest stopped")

    # -- what comes in from the broker --------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """A message of the telemetry connection: into the inbox, undecoded."""
        topic = _unit_topic(message.topic)
        if topic is None or topic.region != self.settings.region:
            self.metrics.misdirected.inc()
        elif not self.inbox.put(Arrival(topic, message.payload, _now_us())):
            self.metrics.dropped.inc()

    def _heard(self, upload: Upload) -> None:
        if _now_us() - upload.received_us < STALE_US:
            vehicle, epoch = upload.topic.vehicle, upload.epoch
            if self.registrar.in_office:
                self.registrar.sign_of_life(vehicle, epoch, measured_us=upload.newest_us)
            else:
                self.signs.put(vehicle, epoch, upload.newest_us)

    def _heard_response(self, vehicle: str, epoch: int) -> None:
        self.registrar.sign_of_life(vehicle, epoch, Reason.RESPONSE)

    def _heard_elsewhere(self, vehicle: str, epoch: int, measured_us: int | None) -> None:
        if self.registrar.in_office:
            self.registrar.sign_of_life(vehicle, epoch, measured_us=measured_us)

    async def _connected(self) -> None:
        self.gateway.republish()
        self.directory.republish()

    def _credentials_changed(self) -> None:
        self.vehicles.forget()
        self.credentials.wake()
        self.registrar.credentials_changed()

    def _erasing(self) -> None:
        self.eraser.wake()
        self.publisher.wake()

    # -- how it runs --------------------------------------------------------------------------------

    async def _migrate(self) -> Tier:
        """Migrate, however long the database takes to come up."""
        backoff, attempt, rng = Backoff(first=0.2, cap=5.0), 0, random.Random()  # noqa: S311 - jitter
        while True:
            try:
                return await migrate(self.settings.dsn.get_secret_value())
            except FAILURES as error:
                log.warning("waiting for the database", reason=reason(error))
                await asyncio.sleep(backoff.delay(attempt, rng))
                attempt += 1

    async def _keep_link(self, link: asyncio.Task[None]) -> None:
        """Its failure is the service's failure; the end of this is not its end."""
        await asyncio.shield(link)

    async def _derive(self) -> None:
        """The process starts when the first readings may be due: at a start others need the CPU."""
        await asyncio.sleep(self.settings.derive_delay_s)
        await self.deriver.run()

    async def _watch_inbox(self) -> None:
        while True:
            self.metrics.waiting.set(len(self.inbox))
            self.metrics.overflow.set(self.bridge.dropped + self.registrar.dropped)
            self.metrics.lag.set(self.lag_s())
            await asyncio.sleep(1)

    async def _run_link(self) -> None:
        """The telemetry connection, once it is known how to subscribe."""
        region = self.settings.region
        self._shared = await decide(
            self.settings.shared_subscription,
            region,
            lambda name, subscriptions, optional, receive: self._make_bridge(
                name, subscriptions=subscriptions, optional=optional, receive=receive
            ),
        )
        log.info("telemetry", shared=self._shared, worker=self._worker)
        self._take_role(self.registrar.in_office)
        await self.bridge.run()

    def _take_role(self, registrar: bool) -> None:
        """This worker is the registrar, or another is: who takes telemetry may depend on it."""
        self.gateway.republish()
        self.directory.republish()
        if self._shared is None:
            return
        region = self.settings.region
        alone = telemetry_filters(region) if registrar else []
        filters = shared_filters(region) if self._shared else alone
        self.bridge.resubscribe([(one, QOS) for one in filters])

    def _registrar_bridge(self, registrar: Registrar) -> MqttBridge:
        settings = self.settings
        status = gateway_topic(settings.region)
        own = settings.registrar_user is not None
        subscriptions = *presence_filters(settings.region), response_filter(settings.region), status

        def receive(message: Message) -> None:
            if message.topic == status:
                self.gateway.heard(message.payload)
                return
            if message.topic.endswith(RESPONSE_LEVEL):
                self.commands.receive(message)
                return
            registrar.receive(message)
            if message.topic.startswith(SESSION_PREFIX):
                client = message.topic.removeprefix(SESSION_PREFIX)
                self.directory.seen(client, registrar.sessions.address(client))

        async def connected() -> None:
            await registrar.connected()
            self.commands.wake()
            await asyncio.sleep(TOLD_S)
            if not registrar.sessions:
                log.warning("the broker does not tell where clients connect from: no seen address")

        return self._make_bridge(
            "registrar",
            user=settings.registrar_user if own else settings.broker_user,
            password=settings.registrar_password if own else settings.broker_password,
            subscriptions=[(one, QOS) for one in subscriptions],
            optional=[(SESSION_FILTER, QOS)],
            receive=receive,
            on_connect=connected,
            on_disconnect=registrar.disconnected,
            backoff=retries(settings.timers()),
        )

    def _make_bridge(
        self, name: str, *, user: str | None = None, password: SecretStr | None = None, **options: Any
    ) -> MqttBridge:
        settings = self.settings
        return MqttBridge(
            settings.broker_url,
            client_id=f"{name}-{settings.region}-{self._worker}",
            username=user or settings.broker_user,
            password=_secret(password or settings.broker_password),
            inbox_size=50_000,
            tls=TlsOptions(ca_file=settings.broker_ca_file),
            **{"backoff": Backoff(first=0.1, cap=2.0), **options},
        )


def rules_of(settings: IngestSettings) -> Rules:
    """The rules of trips and stops."""
    return Rules(
        moving_kmh=settings.trip_moving_kmh,
        stop_s=settings.trip_stop_s,
        parked_s=settings.trip_parked_s,
        gap_s=settings.trip_gap_s,
        same_place_m=settings.trip_same_place_m,
        least_trip_m=settings.trip_least_m,
        least_trip_s=settings.trip_least_s,
        max_acc_m=settings.position_max_acc_m,
        max_kmh=settings.position_max_kmh,
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of tasks failed of: one clear error for the command line."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


@lru_cache(maxsize=100_000)
def _unit_topic(topic: str) -> VehicleTopic | None:
    """The topic of a unit's telemetry or event; None for any other."""
    try:
        parsed = parse(topic)
    except TopicError:
        return None
    return parsed if isinstance(parsed, VehicleTopic) and parsed.channel in FROM_UNITS else None


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def _now_us() -> int:
    return time.time_ns() // 1000
