"""Station ids that say nothing about the vehicle, and change. Pure, seeded.

A new one is taken when a trip begins and, while driving, after a random distance or at the latest a random
time. A silence follows, so that the old and the new one are not joined by where and when they were seen.
While the station has an event of its own to tell, it keeps its pseudonym: the event is named after it. The
figures are our own choice; the standards leave them to the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.v2x.messages import MAX_STATION

if TYPE_CHECKING:
    import random

_REMEMBERED: Final = 4


@dataclass(frozen=True, slots=True)
class PseudonymPolicy:
    """When they change: from and to, drawn anew each time; seconds and metres.

    trip_s: standing for so long ends a trip.
    """

    distance_m: tuple[float, float] = (800.0, 1500.0)
    time_s: tuple[float, float] = (180.0, 360.0)
    silence_s: tuple[float, float] = (3.0, 10.0)
    trip_s: float = 60.0


class Pseudonyms:
    """Those of one station. Times are in ms of one clock that only goes forward."""

    def __init__(self, policy: PseudonymPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._past: list[int] = []
        self._silent_until_ms = 0
        self._stood_since_ms: int | None = None
        self._due_ms: int | None = None  # at the latest; None: no time is known yet
        self._take()

    def look(self, now_ms: int, moved_m: float, *, standing: bool, locked: bool) -> bool:
        """Time passed, and the vehicle went `moved_m` since the last call; whether there is a new one.

        locked: the station has an event to tell.
        """
        if self._due_ms is None:
            self._due_ms = self._later(now_ms, self._policy.time_s)
        self._left_m -= moved_m
        begins = False
        if standing:
            if self._stood_since_ms is None:
                self._stood_since_ms = now_ms
        elif self._stood_since_ms is not None:
            begins = now_ms - self._stood_since_ms >= self._policy.trip_s * 1000
            self._stood_since_ms = None
        worn = not standing and (self._left_m <= 0.0 or now_ms >= self._due_ms)
        if locked or not (begins or worn):
            return False
        self._take()
        self._due_ms = self._later(now_ms, self._policy.time_s)
        self._silent_until_ms = self._later(now_ms, self._policy.silence_s)
        return True

    def silent(self, now_ms: int) -> bool:
        """Whether CAMs are withheld."""
        return now_ms < self._silent_until_ms

    def is_own(self, station_id: int) -> bool:
        """Whether it is this station's pseudonym, or was shortly."""
        return station_id in self._past

    def _take(self) -> None:
        self.station_id = self._rng.randint(0, MAX_STATION)
        self._past = [*self._past, self.station_id][-_REMEMBERED:]
        self._left_m = self._rng.uniform(*self._policy.distance_m)

    def _later(self, now_ms: int, seconds: tuple[float, float]) -> int:
        return now_ms + round(self._rng.uniform(*seconds) * 1000)
