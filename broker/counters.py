"""What the broker counts. Plain integers: the data path pays an addition, nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Totals since the start."""

    opened: int = 0
    """Sockets accepted."""
    connected: int = 0
    """CONNECTs accepted."""
    refused: Counter[str] = field(default_factory=Counter)
    """CONNECTs refused, by reason."""
    ended: Counter[str] = field(default_factory=Counter)
    """Connections ended, by reason."""
    handshakes_refused: Counter[str] = field(default_factory=Counter)
    """WebSocket upgrades refused, by reason."""
    received: int = 0
    """PUBLISH packets from clients."""
    bytes_received: int = 0
    bytes_sent: int = 0
    sent: int = 0
    """Messages routed to a subscriber."""
    dropped: int = 0
    """QoS 0 messages dropped for slow clients whose sessions are over."""
    denied: Counter[str] = field(default_factory=Counter)
    """Publish, subscribe, will and retain that the access rules refused."""
    sockets_refused: Counter[str] = field(default_factory=Counter)
    """Sockets closed as soon as they were accepted, by reason."""
    throttled: int = 0
    """Times a client had to wait because it sent more than it may."""
    pressed: int = 0
    """Times a gateway's queue passed its high-water mark."""
    held: int = 0
    """Times a unit had to wait for that."""
    evicted: int = 0
    """Sessions ended because the queues of all clients together were full."""
    withheld: int = 0
    """Queued messages that a client may not receive any more."""
    loop_lag_s: float = 0.0
    """Delay of the event loop, seconds: the last measured, or an earlier peak as it fades."""
