"""How much of what units send is looked at: token buckets. Pure; the time is passed in, in seconds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_SENDERS: Final = 10_000  # whose rates are known; the one heard longest ago is forgotten


class Bucket:
    """Lets `rate` a second through, and `burst` at once."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, now

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self._burst, self._left + max(now - self._at, 0.0) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class SenderRates:
    """A bucket for each sender."""

    def __init__(self, rate: float, burst: float, most: int = MOST_SENDERS) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, sender: str, now: float) -> bool:
        """Whether this sender may send one more."""
        bucket = self._buckets.get(sender)
        if bucket is None:
            bucket = self._buckets[sender] = Bucket(self._rate, self._burst, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(sender)
        return bucket.take(now)
