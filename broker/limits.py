"""What one client may cost the broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection and its session; times in seconds, sizes in bytes."""

    connect_timeout_s: float = 5.0
    """From the accepted socket to a complete CONNECT; a TLS and a WebSocket handshake get as much each."""
    max_packet: int = 262_144
    """Largest packet, by its declared length: refused before a byte of its body is kept."""
    connections: int = 10_000
    """Sockets of one listener at a time, counted once accepted; one more is closed at once. 0: no limit."""
    connections_per_address: int = 0
    """Likewise of one address (IPv6: of one /64) at all listeners together. 0: no limit."""
    messages_per_s: float = 1_000.0
    """Packets that are read of a client, on average over two seconds; gateways are exempt. 0: no limit."""
    window: int = 1_000
    """QoS 1 and 2 messages sent to a client and not yet acknowledged; its own QoS 2 messages, likewise."""
    queue_messages: int = 50_000
    """QoS 1 and 2 messages waiting for a client; one more ends its session."""
    queue_bytes: int = 64 * 1024 * 1024
    """Their bytes, likewise."""
    high_water: float = 0.5
    """How full a gateway's queue is when units that publish to it are no longer read; until half of it."""
    hold_s: float = 10.0
    """How long they wait for it at most; a gateway that is stuck must not stop the units."""
    drop_messages: int = 10_000
    """QoS 0 messages waiting for a slow client; one more drops the oldest."""
    drop_bytes: int = 8 * 1024 * 1024
    """Their bytes, likewise."""
    total_bytes: int = 512 * 1024 * 1024
    """All messages that wait for anybody: beyond it QoS 0 is dropped, then the largest queue. 0: no limit."""
    subscriptions: int = 1_000
    """Filters of one session; one more is refused in its SUBACK."""
    session_expiry_s: float = 3_600.0
    """How long a session that is not clean outlives its connection."""
