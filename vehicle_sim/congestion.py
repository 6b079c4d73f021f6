"""How much of a backlog may be on its way, by how long acknowledgements take. Pure; time is passed in.

All units of a region share its gateway. After an outage each has a backlog, and what all of them have on its
way is a queue that the newest readings of each wait in. No unit knows the others, but each sees the queue: it
is what an acknowledgement takes longer than the least that one took. So the window grows while that is short
and shrinks when it is long, as LEDBAT (RFC 6817) does for transfers that are to make way for others. Unlike
there it may be less than one batch: then there is a pause between two.
"""

from __future__ import annotations

from typing import Final

TARGET_S: Final = 0.4  # of waiting in the queue, aimed at
FIRST: Final = 0.05  # of a batch in TARGET_S, after a gateway was away: all its units begin at once
LEAST: Final = 0.05  # nobody stops for good
START_GROWTH: Final = 2.0
GROWTH: Final = 1.5  # with each acknowledgement that did not wait
SHRINKAGE: Final = 0.5
FORGET_S: Final = 300.0  # a way may become longer


class Window:
    """The window of one unit's backlog.

    Args:
        most: batches in flight.
    """

    __slots__ = (
        "_changed_at",
        "_least_before_s",
        "_least_s",
        "_most",
        "_not_before",
        "_sent_at",
        "_sent_share",
        "_since",
        "_size",
        "_starting",
    )

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(most)  # batches in flight; less than one: so much of one in TARGET_S
        self._starting = False  # since a break nothing has waited for long
        self._not_before = float("-inf")
        self._sent_at, self._sent_share = float("-inf"), 1.0
        self._changed_at = float("-inf")
        self._least_s = self._least_before_s = float("inf")
        self._since = float("-inf")

    @property
    def share(self) -> float:
        """How much of a batch may be sent at once."""
        return min(1.0, self._size) if self._starting else 1.0

    def opens(self, in_flight: int) -> float:
        """From when on another batch may be sent; infinity: not before one of these is acknowledged."""
        if in_flight >= max(1, int(self._size)):
            return float("inf")
        pause = TARGET_S * self._sent_share / self._size if self._size < 1 else 0.0
        return max(self._not_before, self._sent_at + pause)

    def begin(self, at: float, size: float) -> None:
        """There was a break: begin at this time, with so much of a batch."""
        self._size, self._starting = size, True
        self._not_before = at

    def sent(self, share: float, now: float) -> None:
        """So much of a batch of the backlog is on its way."""
        self._sent_at, self._sent_share = now, share

    def acked(self, sent_at: float, now: float) -> None:
        """A batch was acknowledged, of the backlog or not."""
        delay = max(now - sent_at, 0.0)
        waited = delay - self._base(delay, now)
        if self._starting and waited > TARGET_S / 4:  # it has grown since what is seen now
            self._starting = False
            self._size = max(self._size * SHRINKAGE, LEAST)
            self._changed_at = now
            self.sent(1.0, now)  # not all at the same moment a whole batch
        elif sent_at >= self._changed_at:  # else it knows nothing of the change
            growth = START_GROWTH if self._starting else GROWTH
            factor = max(SHRINKAGE, growth - (growth - 1) * waited / TARGET_S)
            self._size = min(max(self._size * factor, LEAST), float(self._most))
            self._changed_at = now

    def _base(self, delay: float, now: float) -> float:
        """The least that an acknowledgement took, in the last one to two periods."""
        if now - self._since > FORGET_S:
            self._since, self._least_before_s, self._least_s = now, self._least_s, delay
        self._least_s = min(self._least_s, delay)
        return min(self._least_s, self._least_before_s)
