"""The dashboard's figures for Prometheus; one registry for each server, so that tests can run several."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dashboard.live.feed import Feed


class Metrics:
    """What is counted."""

    def __init__(self, feed: Feed) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "fleetcell_dashboard_request_seconds",
            "HTTP requests until their answer began, by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.refused = Counter(
            "fleetcell_dashboard_refused_total",
            "Requests that were not let in, or not valid, by status",
            ("status",),
            registry=self.registry,
        )
        self._gauge("fleetcell_live_clients", "Live clients").set_function(lambda: len(feed.hub.clients))
        self._gauge("fleetcell_live_sequence", "Newest presence event in the live feed").set_function(
            lambda: feed.hub.sequence
        )
        self._gauge("fleetcell_live_lag_seconds", "Since presence was last read").set_function(
            lambda: feed.lag_s
        )
        self._gauge("fleetcell_live_rejected", "MQTT messages that could not be read").set_function(
            lambda: feed.rejected
        )
        self._gauge("fleetcell_live_slow_clients", "Live clients that were closed as too slow").set_function(
            lambda: feed.hub.closed_slow
        )
        self._gauge("fleetcell_broker_connected", "1: connected to every broker").set_function(
            lambda: float(bool(feed.bridges) and all(bridge.connected for bridge in feed.bridges))
        )

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)


class Measure:
    """Measures each request; outermost, so that refusals count too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = str(message["status"])
                route = getattr(scope.get("route"), "path", "other")
                taken = time.perf_counter() - started
                self._metrics.requests.labels(route, scope["method"], status).observe(taken)
                if 400 <= message["status"] < 500:
                    self._metrics.refused.labels(status).inc()
            await send(message)

        await self._app(scope, receive, measured)
