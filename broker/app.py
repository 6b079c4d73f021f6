"""The broker as a service: its parts put together from the settings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from broker.broker import Broker
from broker.errors import BrokerError
from broker.health import Thresholds
from broker.limits import Limits
from broker.metrics import serve_metrics
from broker.production import MIN_SECRET, check_production
from fleetcell.service import collect_less, stop_event

if TYPE_CHECKING:
    import asyncio

    from fleetcell.settings import BrokerSettings

log: Final = structlog.get_logger()

_OTHER_FILES: Final = 256  # log, credentials, event loop, /metrics


def amqtt_config(settings: BrokerSettings) -> dict[str, Any]:
    """The settings in amqtt's configuration form."""
    listeners: dict[str, dict[str, Any]] = {
        # amqtt gives every listener that names no other type the type of `default`: keep it tcp.
        "default": {"type": "tcp", "bind": _authority(settings.host, settings.mqtt_port)},
        "websocket": {"type": "ws", "bind": _authority(settings.host, settings.ws_port)},
    }
    if settings.tls_cert_file is not None:
        files = {
            "ssl": True,
            "certfile": settings.tls_cert_file,
            "keyfile": settings.tls_key_file,
            "cafile": settings.tls_client_ca_file,
        }
        tls_host = settings.tls_host
        listeners["mqtts"] = {"type": "tcp", "bind": _authority(tls_host, settings.mqtts_port), **files}
        listeners["wss"] = {"type": "ws", "bind": _authority(tls_host, settings.wss_port), **files}
    return {
        "listeners": listeners,
        "plugins": {
            "broker.plugins.CredentialsPlugin": {
                "credentials_file": str(settings.credentials_file),
                "credentials_key_file": str(settings.credentials_key_file),
                "min_secret": MIN_SECRET if settings.production else 0,
            },
            "broker.plugins.ContractPlugin": {},
        },
    }


def limits(settings: BrokerSettings) -> Limits:
    """The settings that bound what a client may cost."""
    return Limits(
        connect_timeout_s=settings.connect_timeout_s,
        max_packet=settings.max_packet,
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        messages_per_s=settings.max_messages_per_s,
        window=settings.max_inflight,
        queue_messages=settings.max_queue_messages,
        queue_bytes=settings.max_queue_bytes,
        high_water=settings.high_water,
        hold_s=settings.hold_s,
        total_bytes=settings.max_total_queue_bytes,
        drop_messages=settings.max_qos0_messages,
        drop_bytes=settings.max_qos0_bytes,
        subscriptions=settings.max_subscriptions,
        session_expiry_s=settings.session_expiry_s,
    )


def raise_file_limit(settings: BrokerSettings) -> None:
    """Allow as many open files as there may be connections, or say that there cannot be so many."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    listeners = 4 if settings.tls_cert_file is not None else 2
    wanted = (settings.max_connections or 100_000) * listeners + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < settings.max_connections + _OTHER_FILES:
        log.warning(
            "too few open files allowed for FLEETCELL_MAX_CONNECTIONS; raise the hard limit",
            open_files=allowed,
        )


async def run(settings: BrokerSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BrokerError: a port is taken, or the like.
    """
    check_production(settings)
    raise_file_limit(settings)
    stop = stop_event()
    collect_less()
    broker = Broker(amqtt_config(settings), limits(settings), origins=settings.allowed_origins)
    thresholds = Thresholds(settings.ready_queue, settings.ready_age_s, settings.ready_lag_s)
    metrics: asyncio.Server | None = None
    await broker.start()
    try:
        if settings.metrics_port:
            metrics = await _serve_metrics(broker, thresholds, settings.metrics_host, settings.metrics_port)
        at = {name: _authority(*address) for name, address in broker.addresses.items()}
        log.info(
            "broker listening",
            mqtt=f"mqtt://{at['default']}",
            websocket=f"ws://{at['websocket']}/mqtt",
            mqtts=f"mqtts://{at['mqtts']}" if "mqtts" in at else None,
            wss=f"wss://{at['wss']}/mqtt" if "wss" in at else None,
            metrics=f"http://{_authority(settings.metrics_host, settings.metrics_port)}/metrics"
            if settings.metrics_port
            else None,
        )
        await stop.wait()
    finally:
        if metrics is not None:
            metrics.close()
        await broker.shutdown()
        log.info("broker stopped")


async def _serve_metrics(broker: Broker, thresholds: Thresholds, host: str, port: int) -> asyncio.Server:
    try:
        return await serve_metrics(broker, thresholds, host, port)
    except OSError as error:
        raise BrokerError(f"FLEETCELL_METRICS_PORT: {error}") from error


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
