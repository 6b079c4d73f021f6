"""The bounded queue between broker and writer: what does not fit is dropped; the unit sends it again."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetcell.contract.topics import VehicleTopic


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came: where to, what, and when (µs since 1970)."""

    topic: VehicleTopic
    payload: bytes
    received_us: int


class Inbox:
    """Arrivals in order, bounded in number and bytes. They stay undecoded: bytes are the smallest form."""

    def __init__(self, *, max_messages: int = 50_000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._arrivals: deque[Arrival] = deque()
        self._waiting = asyncio.Event()
        self.bytes = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def oldest_us(self) -> int | None:
        """When the oldest that waits came, in µs since 1970."""
        return self._arrivals[0].received_us if self._arrivals else None

    def put(self, arrival: Arrival) -> bool:
        """Queue it; False (and counted) when there is no room."""
        size = len(arrival.payload)
        if len(self._arrivals) >= self._max_messages or self.bytes + size > self._max_bytes:
            self.dropped += 1
            return False
        self._arrivals.append(arrival)
        self.bytes += size
        self._waiting.set()
        return True

    def take(self) -> Arrival | None:
        """The oldest arrival, or None when there is none."""
        if not self._arrivals:
            return None
        arrival = self._arrivals.popleft()
        self.bytes -= len(arrival.payload)
        if not self._arrivals:
            self._waiting.clear()
        return arrival

    async def wait(self) -> None:
        """Return as soon as there is something to take."""
        await self._waiting.wait()
