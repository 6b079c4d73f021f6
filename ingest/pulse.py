"""Whether what came has caught up after a standstill: of this process, of the broker, or of the link to it.

A process is stopped, swapped out or kept off the CPU. What came meanwhile waits in sockets, so the time that
passed says nothing about vehicles. Deadlines wait as long again as it stood still, so that what waits is read
first. Where the broker has ended the link meanwhile, that is noticed in this time too, and it is blindness.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_S: Final = 0.25
STILL_S: Final = 1.0  # a longer gap between two beats is no delay of the event loop's own


class Pulse:
    """Feels its own pulse while `run` runs; without that it is always up to date.

    Args:
        most_s: the longest time that deadlines wait.
        clock: monotonic; it may stand still while the machine sleeps.
        wall: of the day, which does not; set forward it looks like a standstill, which does no harm.
    """

    def __init__(
        self,
        most_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._most_s = most_s
        self._clock = clock
        self._wall = wall
        self._last: tuple[float, float] | None = None  # the last beat; None: not running
        self._until = float("-inf")
        self._stood_s = 0.0

    async def run(self) -> None:
        """Beat until cancelled."""
        try:
            while True:
                self.beat()
                await asyncio.sleep(BEAT_S)
        finally:
            self.beat()
            self._last = None

    def beat(self) -> None:
        """Look how long ago the last beat was."""
        now = self._clock(), self._wall()
        if self._last is not None:
            gap = max(now[0] - self._last[0], now[1] - self._last[1])
            self.stood(gap)
        self._last = now

    def stood(self, gap_s: float) -> None:
        """Nothing was heard for so long, up to now."""
        if gap_s > STILL_S:
            self._stood_s = gap_s
            self._until = max(self._until, self._clock() + min(gap_s, self._most_s))

    def behind_s(self) -> float:
        """How long it stood still, as long as it may not have caught up with that; 0: up to date.

        It is asked before anything is concluded from the time, so it does not rely on `run` having been
        woken first.
        """
        if self._last is not None:
            self.beat()
        return self._stood_s if self._clock() < self._until else 0.0
