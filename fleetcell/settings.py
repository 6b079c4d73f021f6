"""Settings from the environment: `FLEETCELL_` and the field's name in capitals.

A wrong value is refused at the start of a service with the variable's name (`load`). Nothing is read
when this module is imported. `fleetcell check-config` loads every class and prints what it found.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fleetcell.contract.addresses import read_pool
from fleetcell.contract.directory import check_cell
from fleetcell.contract.errors import ConfigError, TopicError
from fleetcell.contract.presence import Timers
from fleetcell.contract.topics import check_name

PREFIX = "FLEETCELL_"


def _region(value: str) -> str:
    try:
        return check_name(value, "region")
    except TopicError as error:
        raise ValueError(str(error)) from None


def _worker(value: str) -> str:
    try:
        return check_name(value, "worker")
    except TopicError as error:
        raise ValueError(str(error)) from None


def _broker_url(value: str) -> str:
    from fleetcell.mqtt.address import parse_url  # noqa: PLC0415 - brings paho, which few commands need

    parse_url(value)
    return value


def _pool(value: str) -> str:
    try:
        return str(read_pool(value))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _cell(value: str) -> str:
    try:
        return check_cell(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_open(variable: str, url: str) -> None:
    """Refuse a broker's URL without TLS beyond this machine."""
    parts = urlsplit(url)
    if parts.scheme in ("ws", "mqtt") and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{variable}: {PREFIX}PRODUCTION allows {parts.scheme}:// to this machine only; "
            f"use {'wss' if parts.scheme == 'ws' else 'mqtts'}://"
        )


def _words(value: object) -> object:
    return [word for word in value.replace(",", " ").split() if word] if isinstance(value, str) else value


Region = Annotated[str, AfterValidator(_region)]
BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
Pool = Annotated[str, AfterValidator(_pool)]
Cell = Annotated[str, AfterValidator(_cell)]
Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=0)]
OptionalPort = Annotated[int | None, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """What every service reads."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    data_dir: Path = Field(Path(".fleetcell"), description="Folder of everything that fleetcell keeps")
    region: Region = Field("helsinki", description="Region that this gateway serves")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
    log_json: bool = Field(default=False, description="Log JSON lines, for a collector")
    production: bool = Field(
        default=False, description="Refuse to start with what is unsafe beyond one machine"
    )
    metrics_port: OptionalPort = Field(None, description="Port of /metrics and /healthz; unset: off")
    metrics_host: str = Field("127.0.0.1", description="Address that /metrics listens on")


class BrokerClientSettings(Settings):
    """How a service reaches the broker."""

    broker_url: BrokerUrl = Field(
        "ws://127.0.0.1:9001/mqtt", description="ws://, wss://, mqtt:// or mqtts://"
    )
    broker_user: str | None = Field(None, description="Service account at the broker")
    broker_password: SecretStr | None = Field(None, description="Its secret")
    broker_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the broker")

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.production:
            _refuse_open(f"{PREFIX}BROKER_URL", self.broker_url)
        return self


class BrokerSettings(Settings):
    """The embedded broker."""

    host: str = Field("127.0.0.1", description="Address that the listeners without TLS bind")
    ws_port: Port = Field(9001, description="Port of MQTT over WebSocket, path /mqtt")
    mqtt_port: Port = Field(1883, description="Port of MQTT over TCP")
    tls_host: str = Field("127.0.0.1", description="Address that the listeners with TLS bind")
    wss_port: Port = Field(9443, description="Port of MQTT over WebSocket with TLS, path /mqtt")
    mqtts_port: Port = Field(8883, description="Port of MQTT over TCP with TLS")
    tls_cert_file: FilePath | None = Field(
        None, description="PEM file of the server's certificate; unset: no TLS"
    )
    tls_key_file: FilePath | None = Field(None, description="PEM file of its key")
    tls_client_ca_file: FilePath | None = Field(
        None, description="PEM file of the authority of units' certificates; unset: none counts"
    )
    credentials_file: Path = Field(Path(".fleetcell/run/credentials.json"), description="Who may connect")
    credentials_key_file: Path = Field(
        Path(".fleetcell/secrets/credentials.key"), description="Key of the MACs in it"
    )
    allowed_origins: Annotated[list[str], NoDecode, BeforeValidator(_words)] = Field(
        [], description="Web origins that may open a WebSocket, separated by spaces; none: no browser may"
    )
    connect_timeout_s: Annotated[float, Field(gt=0)] = Field(
        5, description="Seconds until CONNECT must have come"
    )
    max_packet: Annotated[int, Field(ge=1024)] = Field(262144, description="Largest MQTT packet, bytes")
    max_connections: Count = Field(10_000, description="Connections of one listener; 0: no limit")
    max_connections_per_address: Count = Field(
        0, description="Connections of one address (IPv6: of one /64); 0: no limit"
    )
    max_messages_per_s: Annotated[float, Field(ge=0)] = Field(
        1_000, description="Packets a second that are read of a client, gateways apart; 0: no limit"
    )
    max_inflight: Annotated[int, Field(ge=1, le=65_000)] = Field(
        1_000, description="QoS 1 and 2 messages to a client that it has not acknowledged"
    )
    max_queue_messages: Annotated[int, Field(ge=1)] = Field(
        50_000, description="QoS 1 and 2 messages waiting for a client; one more ends its session"
    )
    max_queue_bytes: Annotated[int, Field(ge=1024)] = Field(
        64 * 1024 * 1024, description="Their bytes, and those not acknowledged, likewise"
    )
    max_qos0_messages: Annotated[int, Field(ge=1)] = Field(
        10_000, description="QoS 0 messages waiting for a client; one more drops the oldest"
    )
    max_qos0_bytes: Annotated[int, Field(ge=1024)] = Field(
        8 * 1024 * 1024, description="Their bytes, likewise"
    )
    max_total_queue_bytes: Annotated[int, Field(ge=0)] = Field(
        512 * 1024 * 1024,
        description="Memory of all messages that wait, for whatever client; beyond it QoS 0 is dropped, then "
        "the sessions with the largest queues end; 0: no limit",
    )
    max_subscriptions: Annotated[int, Field(ge=1)] = Field(1_000, description="Filters of one session")
    session_expiry_s: Annotated[float, Field(gt=0)] = Field(
        3_600, description="Seconds that a session that is not clean is kept"
    )
    high_water: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="Share of a gateway's queue from which units wait; they go on at half of it"
    )
    hold_s: Annotated[float, Field(ge=0)] = Field(10, description="Seconds that they wait at most")
    ready_queue: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="/readyz: share of a gateway's or dashboard's queue, and of all queues together"
    )
    ready_age_s: Annotated[float, Field(gt=0)] = Field(
        5, description="/readyz: age of the oldest message that waits for one, seconds"
    )
    ready_lag_s: Annotated[float, Field(gt=0)] = Field(
        1, description="/readyz: delay of the event loop, seconds"
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError(f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE: set both, or none")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError(f"{PREFIX}TLS_CLIENT_CA_FILE: it needs {PREFIX}TLS_CERT_FILE")
        return self

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if not self.production:
            return self
        if not is_loopback(self.host):
            raise ValueError(
                f"{PREFIX}HOST {self.host}: {PREFIX}PRODUCTION allows listeners without TLS on this machine "
                f"only; use 127.0.0.1 here, {PREFIX}TLS_HOST, {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE "
                "for others"
            )
        if self.metrics_port is not None and not is_loopback(self.metrics_host):
            raise ValueError(
                f"{PREFIX}METRICS_HOST {self.metrics_host}: {PREFIX}PRODUCTION allows /metrics on this "
                "machine only; it has no TLS and asks for no key"
            )
        for origin in self.allowed_origins:
            if not origin.startswith("https://") or "*" in origin:
                raise ValueError(
                    f"{PREFIX}ALLOWED_ORIGINS {origin}: {PREFIX}PRODUCTION allows https:// origins only"
                )
        return self


class IngestSettings(BrokerClientSettings):
    """Ingest: MQTT to TimescaleDB, and the presence register."""

    dsn: SecretStr = Field(description="PostgreSQL, as postgresql://user:password@host:port/database")
    statement_timeout_s: Annotated[float, Field(ge=0.5)] = Field(
        30, description="A database that does not answer a statement for so long is away, seconds"
    )
    credentials_file: Path = Field(
        Path(".fleetcell/run/credentials.json"), description="Written for the broker"
    )
    service_credentials_file: Path | None = Field(None, description="Service accounts to put into it")
    registrar_user: str | None = Field(None, description="The registrar's own account at the broker")
    registrar_password: SecretStr | None = Field(None, description="Its secret")
    batch_rows: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5000, description="Readings in a batch, at most"
    )
    batch_ms: Annotated[int, Field(ge=1, le=10_000)] = Field(200, description="Age of a batch, ms, at most")
    batch_gather_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(
        50, description="Age from which a batch is stored if no other is being stored, ms"
    )
    retention_days: Annotated[int, Field(ge=1)] = Field(90, description="Days that telemetry is kept")
    derive_delay_s: Annotated[float, Field(ge=0, le=60)] = Field(
        3, description="Seconds that readings wait for being derived, so that batches share the work"
    )
    trip_moving_kmh: Annotated[float, Field(gt=0)] = Field(
        5, description="Speed from which a vehicle moves; km/h"
    )
    trip_stop_s: Annotated[float, Field(gt=0)] = Field(
        300, description="Standing this long ends a trip, seconds"
    )
    trip_parked_s: Annotated[float, Field(gt=0)] = Field(
        60, description="So does this long with the ignition off; no stop is shorter, seconds"
    )
    trip_gap_s: Annotated[float, Field(gt=0)] = Field(
        1800, description="Silence up to here does not end a trip, seconds"
    )
    trip_same_place_m: Annotated[float, Field(gt=0)] = Field(
        200, description="Who is this near after a silence has stood there, metres"
    )
    trip_least_m: Annotated[float, Field(ge=0)] = Field(
        200, description="Least extent of a trip, corner to corner, metres"
    )
    trip_least_s: Annotated[float, Field(ge=0)] = Field(60, description="Least duration of a trip, seconds")
    position_max_acc_m: Annotated[float, Field(gt=0)] = Field(
        100, description="Less accurate positions do not count for trips and distances, metres"
    )
    position_max_kmh: Annotated[float, Field(gt=0)] = Field(
        250, description="A faster step is a jump of the receiver and counts nothing, km/h"
    )
    dead_letter_days: Annotated[int, Field(ge=1)] = Field(30, description="Days that dead letters are kept")
    dead_letter_mb: Annotated[int, Field(ge=1)] = Field(
        256, description="MiB of dead letters that are kept; the oldest go first"
    )
    shared_subscription: Literal["auto", "on", "off"] = Field(
        "auto", description="Share telemetry among several workers by $share; auto: where the broker has it"
    )
    worker: Annotated[str, AfterValidator(_worker)] | None = Field(
        None, description="Name of this worker among those of the region; unset: another at each start"
    )
    broker_public_url: BrokerUrl | None = Field(
        None, description="The broker as units reach it, for the directory; unset: FLEETCELL_BROKER_URL"
    )
    region_cells: Annotated[list[Cell], NoDecode, BeforeValidator(_words)] = Field(
        [], description="H3 cells that this region serves, of any resolutions up to 11, separated by spaces"
    )
    region_cells_file: FilePath | None = Field(
        None, description="More of them: a file with a cell a line, or GeoJSON with areas"
    )
    directory_file: FilePath | None = Field(
        None, description="JSON file with regions that are on other databases"
    )
    address_pool: Pool | None = Field(None, description="Addresses that this region hands out, as CIDR")
    update_interval_s: Annotated[float, Field(gt=0)] = Field(60, description="Periodic update, seconds")
    grace_s: Annotated[float, Field(ge=0)] = Field(15, description="Added to it before a vehicle is suspect")
    linger_s: Annotated[float, Field(ge=0)] = Field(10, description="From lost to offline, seconds")
    detach_s: Annotated[float, Field(ge=0)] = Field(240, description="From overdue to offline, seconds")
    keep_alive_s: Annotated[float, Field(ge=1)] = Field(
        20, description="Keep-alive of a vehicle that tells none, seconds"
    )
    max_keep_alive_s: Annotated[float, Field(ge=1, le=65535)] = Field(
        1200, description="Upper bound of what a vehicle tells as its keep-alive, seconds"
    )
    hazards_per_s: Annotated[float, Field(gt=0)] = Field(
        10, description="New warnings between vehicles a second, for long; 60 times as many at once"
    )
    hazards_active: Annotated[int, Field(ge=1)] = Field(
        10_000, description="Hazards of the region at a time, at most"
    )
    command_retry_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        5, description="Until an unanswered command is sent again, seconds; doubles each time"
    )
    hysteresis_s: Annotated[float, Field(ge=0)] = Field(
        60, description="A link that flaps is settled when it has held this long, seconds; 0: no link flaps"
    )
    flap_limit: Annotated[int, Field(ge=2)] = Field(
        3, description="Losses, each within the hysteresis time of the one before, that make a link flap"
    )

    @model_validator(mode="after")
    def _safe_for_units(self) -> Self:
        if self.production and self.broker_public_url is not None:
            _refuse_open(f"{PREFIX}BROKER_PUBLIC_URL", self.broker_public_url)
        return self

    def timers(self) -> Timers:
        """The fleet-wide presence timers."""
        return Timers(
            self.update_interval_s,
            self.grace_s,
            self.linger_s,
            self.detach_s,
            keep_alive_s=self.keep_alive_s,
            max_keep_alive_s=self.max_keep_alive_s,
            hysteresis_s=self.hysteresis_s,
            flap_limit=self.flap_limit,
        )


class BrokerAuthSettings(Settings):
    """Answers to other brokers that ask who may connect and what he may do."""

    credentials_file: Path = Field(Path(".fleetcell/run/credentials.json"), description="Who may connect")
    credentials_key_file: Path = Field(
        Path(".fleetcell/secrets/credentials.key"), description="Key of the MACs in it"
    )
    auth_host: str = Field("127.0.0.1", description="Address that the HTTP answers listen on")
    auth_port: Port = Field(8090, description="Their port")


class DashboardSettings(BrokerClientSettings):
    """The dashboard: API, live feed and web page."""

    dsn: SecretStr = Field(description="PostgreSQL as the role fleetcell_dashboard")
    host: str = Field("127.0.0.1", description="Address that HTTP listens on")
    port: Port = Field(8080, description="Port that HTTP listens on")
    more_broker_urls: Annotated[list[BrokerUrl], NoDecode, BeforeValidator(_words)] = Field(
        [], description="Brokers of the other regions on this database, separated by spaces"
    )
    public_url: str | None = Field(
        None, description="How browsers reach it, such as https://fleet.example.org"
    )
    session_key_file: Path = Field(Path(".fleetcell/secrets/session.key"), description="Signs sessions")
    admin_key_file: Path | None = Field(None, description="An API key with role admin, put at start")
    credentials_key_file: Path = Field(
        Path(".fleetcell/secrets/credentials.key"), description="Key of unit MACs"
    )
    roads_file: Path | None = Field(None, description="Road network drawn as the basemap")


class SimSettings(Settings):
    """The simulator: where the platform is."""

    api_url: str | None = Field(None, description="API; default: that of the running `fleetcell up`")
    api_key: SecretStr | None = Field(None, description="API key that may provision vehicles")
    broker_url: BrokerUrl | None = Field(None, description="Broker; default: that of the running `up`")
    broker_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the broker")


S = TypeVar("S", bound=Settings)

SERVICES: dict[str, type[Settings]] = {
    "broker": BrokerSettings,
    "broker-auth": BrokerAuthSettings,
    "ingest": IngestSettings,
    "dashboard": DashboardSettings,
    "sim": SimSettings,
}


def load(kind: type[S]) -> S:
    """Read the environment; what it does not name, from files where FLEETCELL_SECRETS_DIR says so.

    Such a file is named as the variable in small letters, for example `fleetcell_dsn`.

    Raises:
        ConfigError: names each variable that is wrong or missing, and why; never its value.
    """
    secrets = os.environ.get(f"{PREFIX}SECRETS_DIR")
    if secrets and not Path(secrets).is_dir():
        raise ConfigError(f"{PREFIX}SECRETS_DIR: there is no folder {secrets}")
    try:
        return kind(_secrets_dir=secrets or None)  # type: ignore[call-arg] # the environment gives them
    except ValidationError as error:
        problems = "; ".join(
            # What concerns more than one variable names them by itself.
            (f"{PREFIX}{'_'.join(str(part) for part in found['loc']).upper()}: " if found["loc"] else "")
            + found["msg"].removeprefix("Value error, ")
            for found in error.errors(include_input=False, include_url=False)
        )
        raise ConfigError(problems) from None
