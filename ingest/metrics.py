"""What the service counts, and the pages that show it: /metrics (Prometheus) and /healthz."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fleetcell.pages import Page, metrics_page, serve_pages

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ingest.derive.messages import Progress
    from ingest.store import Stored

_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The counters of one ingest service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, documentation: str) -> Counter:
            return Counter(f"fleetcell_ingest_{name}", documentation, registry=registry)

        self.readings = counter("readings", "Readings stored")
        self.events = counter("events", "Events stored")
        self.duplicates = counter("duplicates", "Readings and events that had been stored before")
        self.conflicts = counter(
            "conflicts", "Readings and events under a number that another one of the boot has: dead letters"
        )
        self.shared_identities = Gauge(
            "fleetcell_ingest_shared_identities",
            "Vehicles that look like two units with one identity, in the last day",
            registry=registry,
        )
        self.bad = counter("bad_samples", "Samples that became dead letters")
        self.rejected = counter("rejected", "Payloads that could not be decoded")
        self.quarantined = counter("quarantined", "Readings with a clock that cannot be right")
        self.corrected = counter("corrected", "Readings with a wrong clock that were dated in spite of it")
        self.refused_values = counter("refused_values", "Signal values out of range or of the wrong type")
        self.refused = counter("refused", "Messages of vehicles that may not send")
        self.dropped = counter("dropped", "Messages dropped for want of room; units send them again")
        self.misdirected = counter("misdirected", "Messages on topics that are not of this region's vehicles")
        self.failures = counter("failures", "Batches that could not be stored at once")
        self.unstorable = counter("unstorable", "Payloads that not even dead_letter could take")
        self.unanswered = counter("unanswered", "Acknowledgements that found no room; the units ask again")
        self.dead_letters_dropped = counter(
            "dead_letters_dropped", "Dead letters removed because all of them were too large or too old"
        )
        self.erased = counter("erased_rows", "Rows of erased vehicles removed")
        self.derived = counter("derived_buckets", "Buckets of ten minutes derived from the readings")
        self.dirty_buckets = Gauge(
            "fleetcell_ingest_dirty_buckets", "Buckets that wait for being derived", registry=registry
        )
        self.derive_restarts = counter("derive_restarts", "Ends of the process that derives, by itself")
        self._dirty_since: float | None = None
        Gauge(
            "fleetcell_ingest_derive_lag_seconds",
            "How long the oldest of them has been dirty; shown by the worker that derives",
            registry=registry,
        ).set_function(self._derive_lag_s)
        self.claims = counter("claims", "Presence claims taken")
        self.bad_claims = counter("bad_claims", "Presence claims that could not be decoded")
        self.stale_claims = counter("stale_claims", "Claims of an older epoch or a second time")
        self.changes = counter("presence_changes", "Changes of presence")
        self.states = counter("states_published", "State messages published")
        self.foreign_addresses = counter(
            "foreign_addresses", "Connections from the address pool of another region"
        )
        self.contested_cells = Gauge(
            "fleetcell_ingest_contested_cells", "H3 cells that several regions claim", registry=registry
        )
        self.commands_sent = counter("commands_sent", "Commands published, repetitions counted")
        self.commands_paged = counter("commands_paged", "Pages of vehicles that a command waits for")
        self.commands_expired = counter("commands_expired", "Commands whose time passed")
        self.responses = counter("responses", "Responses of units to their commands")
        self.responses_refused = Counter(
            "fleetcell_ingest_responses_refused", "Responses refused", ["reason"], registry=registry
        )
        self.hazards = Counter(
            "fleetcell_ingest_hazards", "Hazards told, updated and ended", ["change"], registry=registry
        )
        self.hazards_refused = Counter(
            "fleetcell_ingest_denms_dropped",
            "DENMs that changed no hazard: repeated, not believed, too many",
            ["reason"],
            registry=registry,
        )
        self.storing = Gauge("fleetcell_ingest_storing", "1 while batches can be stored", registry=registry)
        self.waiting = Gauge("fleetcell_ingest_waiting_messages", "Messages in the inbox", registry=registry)
        self.overflow = Gauge(
            "fleetcell_ingest_overflow_messages",
            "Messages dropped before the inbox, by both links",
            registry=registry,
        )
        self.lag = Gauge(
            "fleetcell_ingest_lag_seconds", "Age of the oldest waiting message", registry=registry
        )
        self.commit = Histogram(
            "fleetcell_ingest_commit_seconds", "Time of one transaction", buckets=_BUCKETS, registry=registry
        )

    def derivation(self, progress: Progress) -> None:
        """Count what was derived, and show the backlog."""
        self.derived.inc(progress.derived)
        if progress.backlog is not None:
            self.dirty_buckets.set(progress.backlog.buckets)
            since = time.monotonic() - progress.backlog.oldest_s
            self._dirty_since = since if progress.backlog.buckets else None

    def _derive_lag_s(self) -> float:
        """It grows by itself while nobody derives."""
        return 0.0 if self._dirty_since is None else time.monotonic() - self._dirty_since

    def count(self, stored: Stored, seconds: float) -> None:
        """Count one committed batch."""
        self.readings.inc(stored.readings)
        self.events.inc(stored.events)
        self.duplicates.inc(stored.duplicates)
        self.bad.inc(stored.bad)
        self.rejected.inc(stored.rejected)
        self.quarantined.inc(stored.quarantined)
        self.corrected.inc(stored.corrected)
        self.conflicts.inc(stored.conflicts)
        self.refused_values.inc(stored.refused_values)
        self.commit.observe(seconds)


async def serve_metrics(
    metrics: Metrics, healthy: Callable[[], str | None], host: str, port: int
) -> asyncio.Server:
    """Answer GET /metrics, and /healthz: 503 with the reason where `healthy` gives one.

    Raises:
        OSError: the port is taken.
    """

    def health() -> Page:
        problem = healthy()
        if problem is None:
            return Page(b"ok\n")
        return Page(f"{problem}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)

    pages = {"/metrics": lambda: metrics_page(metrics.registry), "/healthz": health}
    return await serve_pages(pages, host, port)
