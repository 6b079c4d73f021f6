"""One direction of a link: packets wait for their turn, cross the air, and arrive in order.

All of it in virtual time. What is random belongs to a slot of 10 ms (see `noise`): its jitter, and whether
a packet that leaves the air in it is lost. A lost packet arrives after a retransmission, and all behind it
wait, as TCP's receiver makes them: the loss is a stall. Retransmissions are after 200 ms and a round trip,
doubled each time (RFC 6298). Congestion control of the senders is not modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.noise import exponential, uniform

if TYPE_CHECKING:
    from vehicle_sim.links.air import Air, Direction
    from vehicle_sim.links.profiles import Profile

HEADER_BYTES: Final = 40  # IPv4 and TCP
SEGMENT_BYTES: Final = 1460
SLOT_S: Final = 0.01
_LEAST_RTO_S: Final = 0.2
_MOST_RETRANSMISSIONS: Final = 6
_LOOK_AHEAD: Final = 64  # spans of constant rate
_NEVER: Final = math.inf
_NEAR: Final = 1e-9


class Mark(Enum):
    """A packet without data."""

    SYN = "syn"  # answered by the other end's SYN
    FIN = "fin"  # the end has nothing more to say
    RST = "rst"  # the end knows no such connection


@dataclass(slots=True)
class Packet:
    """On its way since `at`. `flow` is the number of its connection."""

    flow: int
    data: bytes | Mark
    at: float

    @property
    def size(self) -> int:
        """Bytes on the air."""
        return HEADER_BYTES + (len(self.data) if isinstance(self.data, bytes) else 0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A packet at its end; `sent_at` is when it was handed to the link."""

    at: float
    direction: Direction
    flow: int
    data: bytes | Mark
    sent_at: float


class Line:
    """The queue, the air and the way behind it, of one direction."""

    def __init__(self, direction: Direction, profile: Profile, seed: int) -> None:
        self.direction = direction
        self.waiting_bytes = 0  # that the air has not taken yet
        self.stalled = 0  # packets lost and sent again
        self._seed = seed
        self._delay_s = profile.down_s if direction else profile.up_s
        self._rto_s = _LEAST_RTO_S + profile.up_s + profile.down_s
        self._jitter_s = profile.jitter_s
        self._loss = profile.loss
        self._queue: list[Packet] = []  # nearly always short; a deque is 700 bytes when it is empty
        self._left = 0.0  # of the first packet, bytes
        self._clock = 0.0  # up to which the air's work is done
        self._last_arrival = 0.0

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, packet: Packet) -> None:
        """One more packet; its `at` is not before that of the last one."""
        if not self._queue:
            self._left = packet.size
        self._queue.append(packet)
        self.waiting_bytes += packet.size

    def work(self, air: Air, ready_at: float, until: float) -> float:
        """Let the air work up to `until`; when the first packet is through, or infinity if not by then.

        It may be called again: a packet that is through stays first until `pop`.
        """
        if not self._queue:
            return _NEVER
        t = max(self._clock, self._queue[0].at, ready_at)
        while t <= until:
            if self._left <= 0:
                self._clock = t
                return t
            rate, end = air.rate(self.direction, t)
            done = t + self._left / rate if rate > 0 else _NEVER
            if done <= min(end, until):
                self._left, self._clock = 0.0, done
                return done
            stop = min(max(end, t + _NEAR), until)
            if rate > 0:
                self._left = max(0.0, self._left - rate * (stop - t))
            self._clock = stop
            if stop >= until:
                break
            t = stop
        return _NEVER

    def pop(self) -> Packet:
        """Take the first packet, which is through."""
        packet = self._queue.pop(0)
        self.waiting_bytes -= packet.size
        self._left = self._queue[0].size if self._queue else 0
        return packet

    def arrive(self, packet: Packet, through_at: float) -> Delivery:
        """When a packet that left the air at `through_at` is at its end."""
        slot = int(through_at / SLOT_S)
        at = through_at + self._delay_s
        if self._jitter_s:
            at += exponential(self._jitter_s, self._seed, 0, slot)
        if self._loss:
            at += self._stall(slot)
        self._last_arrival = at = max(at, self._last_arrival)
        return Delivery(at, self.direction, packet.flow, packet.data, packet.at)

    def expects(self, air: Air, ready_at: float) -> float:
        """When to look again: not before the first packet can be at its end, as far as one can tell now."""
        if not self._queue:
            return _NEVER
        t, left = max(self._clock, self._queue[0].at, ready_at), self._left
        if t == _NEVER:
            return _NEVER
        limit = air.next_change
        for _ in range(_LOOK_AHEAD):
            if left <= 0:
                return t + self._delay_s
            rate, end = air.rate(self.direction, t)
            if rate > 0:
                done = t + left / rate
                if done <= end:
                    return done + self._delay_s
                left -= rate * (end - t)
            t = max(end, t + _NEAR)
            if t >= limit:
                return limit
        return t

    def _stall(self, slot: int) -> float:
        wait, rto = 0.0, self._rto_s
        for attempt in range(_MOST_RETRANSMISSIONS):
            if uniform(self._seed, 1, slot, attempt) >= self._loss:
                break
            wait, rto = wait + rto, rto * 2
        self.stalled += wait > 0
        return wait
