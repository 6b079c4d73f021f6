"""How full the broker is, and whether it is still ready: queues by class of client, and their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from broker.broker import Broker

CLASSES: Final = ("unit", "gateway", "dashboard", "other")

_WATCHED: Final = ("gateway", "dashboard")  # one slow vehicle is that vehicle's trouble, not the broker's
_CONNECTIONS: Final = 0.9  # share of a listener's connections


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the broker stops being ready: all below what drops a message or ends a session."""

    queue: float = 0.25
    """Share of one of its queues that a gateway or dashboard fills; of the bound on all queues together."""
    age_s: float = 5.0
    """Age of the oldest message that waits for one, seconds."""
    lag_s: float = 1.0
    """Delay of the event loop, seconds."""


@dataclass(slots=True)
class Queues:
    """What waits for the clients of one class."""

    sessions: int = 0
    connected: int = 0
    waiting: int = 0
    """Messages, queued or sent and not acknowledged."""
    inflight: int = 0
    """Those of them that were sent."""
    bytes: int = 0
    dropped: int = 0
    """QoS 0 messages dropped, by the sessions that there are."""
    fill: float = 0.0
    """The fullest queue of a connected client, as a share of its limit."""
    fullest: str = ""
    """Whose it is."""
    oldest_s: float = 0.0
    """Age of the oldest message that waits for a connected client, seconds."""
    slowest: str = ""
    """Whose it is."""


@dataclass(slots=True)
class Health:
    """One look at the broker; `reasons` says why it is not ready."""

    queues: dict[str, Queues] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def measure(broker: Broker, now: float) -> dict[str, Queues]:
    """The queues of each class at monotonic second `now`."""
    found = {name: Queues() for name in CLASSES}
    for session in broker.core.sessions.values():
        queues = found.get(session.kind) or found["other"]
        queues.sessions += 1
        queues.dropped += session.dropped
        connected = session.link is not None
        queues.connected += connected
        if not session.waiting:
            continue
        queues.waiting += session.waiting
        queues.inflight += session.inflight
        queues.bytes += session.bytes
        if not connected:  # what is kept for a client that is away may be old
            continue
        if session.fill > queues.fill:
            queues.fill, queues.fullest = session.fill, session.client_id
        oldest = session.oldest
        if oldest is not None and now - oldest > queues.oldest_s:
            queues.oldest_s, queues.slowest = now - oldest, session.client_id
    return found


def examine(broker: Broker, thresholds: Thresholds, now: float) -> Health:
    """The queues, and why the broker is not ready."""
    health = Health(measure(broker, now))
    say = health.reasons.append
    for name in _WATCHED:
        queues = health.queues[name]
        if queues.fill >= thresholds.queue:
            say(
                f"the queue of {name} {queues.fullest} is {queues.fill:.0%} full "
                f"(from {thresholds.queue:.0%})"
            )
        if queues.oldest_s >= thresholds.age_s:
            say(
                f"a message waits for {name} {queues.slowest} for {queues.oldest_s:.1f} s "
                f"(from {thresholds.age_s:g} s)"
            )
    stock = broker.core.stock
    if stock.fill >= thresholds.queue:
        say(f"the queues of all clients are {stock.fill:.0%} full (from {thresholds.queue:.0%})")
    lag = broker.counters.loop_lag_s
    if lag >= thresholds.lag_s:
        say(f"the event loop is {lag:.1f} s late (from {thresholds.lag_s:g} s)")
    for name, gate in broker.gates.items():
        if gate.limit and gate.open >= _CONNECTIONS * gate.limit:
            say(f"listener {name} has {gate.open} of {gate.limit} connections")
    if not broker.credentials_good:
        say("the credentials file cannot be read")
    return health
