"""Prometheus metrics and a health check over HTTP, on a port of their own."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from broker.health import examine
from fleetcell.pages import Page, json_page, metrics_page, serve_pages

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from broker.broker import Broker
    from broker.health import Queues, Thresholds

_PREFIX: Final = "fleetcell_broker_"


class BrokerCollector:
    """Reads the broker's counters when it is asked."""

    def __init__(self, broker: Broker, thresholds: Thresholds) -> None:
        self._broker = broker
        self._thresholds = thresholds

    def collect(self) -> Iterator[Metric]:
        """All metrics, at this moment."""
        core, counters = self._broker.core, self._broker.counters
        health = examine(self._broker, self._thresholds, asyncio.get_running_loop().time())
        queues = health.queues
        yield _gauge("ready", "1: ready; 0: see /readyz", not health.reasons)
        yield _gauge("connections", "Open connections", len(core.links))
        yield _gauge("sessions", "Sessions, connected or kept", len(core.sessions))
        yield _gauge("retained_messages", "Retained messages", core.router.retained.count)
        yield from _by_class(queues)
        yield from self._by_listener()
        yield _gauge("event_loop_lag_seconds", "Delay of the event loop", counters.loop_lag_s)
        yield _counter("sockets", "Connections whose handshakes were done", counters.opened)
        yield _by_reason("sockets_refused", "Sockets closed at once", counters.sockets_refused)
        yield _counter("connects", "CONNECTs accepted", counters.connected)
        yield _by_reason("refused", "CONNECTs refused", counters.refused)
        yield _counter("auth_failures", "CONNECTs with a wrong credential", counters.refused["credential"])
        yield _by_reason("handshakes_refused", "WebSocket upgrades refused", counters.handshakes_refused)
        yield _by_reason("ended", "Connections ended", counters.ended)
        yield _by_reason("denied", "Refused by the access rules", counters.denied)
        yield _counter("messages_received", "PUBLISH packets from clients", counters.received)
        yield _counter("messages_sent", "Messages routed to subscribers", counters.sent)
        yield _counter("throttled", "Waits of clients that sent too much", counters.throttled)
        yield _counter("pressed", "Times a gateway's queue passed its high-water mark", counters.pressed)
        yield _counter("held", "Waits of units for that", counters.held)
        yield _gauge("queued_bytes", "Memory of all messages that wait, about", core.stock.bytes)
        yield _gauge("queued_fill_ratio", "That, as a share of the bound", core.stock.fill)
        yield _counter("sessions_evicted", "Sessions ended because that was reached", counters.evicted)
        yield _counter("messages_withheld", "Queued messages no longer allowed", counters.withheld)
        dropped = counters.dropped + sum(found.dropped for found in queues.values())
        yield _counter("messages_dropped", "QoS 0 messages dropped for slow clients", dropped)
        yield _counter("received_bytes", "Bytes from clients", counters.bytes_received)
        yield _counter("sent_bytes", "Bytes to clients", counters.bytes_sent)

    def _by_listener(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(_PREFIX + "listener_connections", "Open sockets", labels=["listener"])
        limits = GaugeMetricFamily(
            _PREFIX + "listener_connections_limit", "Most of them; 0: no limit", labels=["listener"]
        )
        for name, gate in self._broker.gates.items():
            family.add_metric([name], gate.open)
            limits.add_metric([name], gate.limit)
        yield family
        yield limits


def _by_class(queues: dict[str, Queues]) -> Iterator[Metric]:
    kinds = {
        "sessions_by_class": ("Sessions, connected or kept", "sessions"),
        "waiting_messages": ("Messages queued or not acknowledged", "waiting"),
        "inflight_messages": ("Messages sent and not acknowledged", "inflight"),
        "waiting_bytes": ("Bytes of the messages that wait", "bytes"),
        "queue_fill_ratio": ("Fullest queue of a connected client, of its limit", "fill"),
        "oldest_message_seconds": ("Age of the oldest message for a connected client", "oldest_s"),
    }
    for name, (text, attribute) in kinds.items():
        family = GaugeMetricFamily(_PREFIX + name, text, labels=["class"])
        for kind, found in queues.items():
            family.add_metric([kind], getattr(found, attribute))
        yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _by_reason(name: str, text: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=["reason"])
    for reason, value in values.items():
        family.add_metric([reason], value)
    return family


async def serve_metrics(broker: Broker, thresholds: Thresholds, host: str, port: int) -> asyncio.Server:
    """Answer GET /metrics, /healthz (alive) and /readyz (503 with the reasons when it is not well)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)  # memory, processor time and open files of this process
    registry.register(BrokerCollector(broker, thresholds))

    def healthy() -> Page:
        return json_page({"status": "ok", "connections": len(broker.core.links)})

    def ready() -> Page:
        reasons = examine(broker, thresholds, asyncio.get_running_loop().time()).reasons
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return json_page({"status": "degraded" if reasons else "ready", "reasons": reasons}, status)

    pages = {"/metrics": lambda: metrics_page(registry), "/healthz": healthy, "/readyz": ready}
    return await serve_pages(pages, host, port)
