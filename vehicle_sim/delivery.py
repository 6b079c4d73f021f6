"""Which readings of a unit to send when: batches, a window in flight, retries. Pure; time is passed in.

A batch is in flight until every reading of it is settled by the application acknowledgement, its time is
up, or the link is lost; then what is left of it waits again. After a timeout one batch at a time probes,
with a growing timeout, until an acknowledgement opens the window again: a gateway that does not store is
not flooded with the same readings.

After an outage the newest readings and the backlog take turns: who looks at a vehicle wants to know where it
is now, and the ledger takes numbers in any order. `congestion` says how much of the backlog is on its way.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from fleetcell.contract.ledger import EMPTY
from vehicle_sim.congestion import FIRST, Window

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from fleetcell.contract.ledger import Ranges

SPREAD_S: Final = 3.0  # a whole fleet hears at once that its gateway stores again
LEAST_READINGS: Final = 10  # of a backlog, and of a batch of it


class Shelf(Protocol):
    """What the delivery asks the spool."""

    def size(self, boot: str, seq: int) -> int:
        """The bytes of a reading that waits for its acknowledgement, 0 for any other."""

    def is_event(self, boot: str, seq: int) -> bool:
        """Whether it is an event: that travels in a message of its own."""

    def evicted(self, boot: str) -> Ranges:
        """The evicted numbers of a boot that are still to be declared."""


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How a unit sends.

    window_s: seconds between two batches at least, unless a batch is full.
    batch_samples, batch_bytes: when a batch is full.
    in_flight: batches that wait for their acknowledgement, at most.
    retry_first_s, retry_cap_s: the timeout of a batch, doubled with each timeout in a row.
    """

    window_s: float = 1.0
    batch_samples: int = 50
    batch_bytes: int = 96 * 1024
    in_flight: int = 8
    retry_first_s: float = 5.0
    retry_cap_s: float = 60.0


@dataclass(slots=True)
class Batch:
    """Readings of one boot that travel together, or one event.

    sent: when. due: when to give up on its answer. backlog: whether they are not the newest.
    """

    number: int
    boot: str
    seqs: tuple[int, ...]
    evicted: Ranges
    sent: float
    due: float
    backlog: bool = False


class _Queue:
    """Readings of one boot that wait to be sent.

    backlog: it is one, until it is empty. live: what was made beside one.
    """

    def __init__(self, boot: str, ripe_at: float, *, live: bool = False) -> None:
        self.boot = boot
        self.live = live
        self.waiting: list[int] = []  # a heap: the oldest goes first
        self.ripe_at = ripe_at
        self.sent_at = float("-inf")
        self.backlog = False


class Delivery:
    """The sending side of one unit."""

    def __init__(self, shelf: Shelf, policy: DeliveryPolicy, rng: random.Random) -> None:
        self.in_flight: dict[int, Batch] = {}
        self.resent = 0  # readings that were sent more than once
        self._shelf = shelf
        self._policy = policy
        self._rng = rng
        self._queues: list[_Queue] = []
        self._apart: list[tuple[str, tuple[int, ...]]] = []  # to be sent in batches of just these
        self._number = 0
        self._failures = 0
        self._window = min(2, policy.in_flight)
        self._backlog = Window(policy.in_flight)
        self._blocked_until = 0.0

    # -- what happened --------------------------------------------------------------------------

    def restore(self, boot: str, seqs: Iterable[int], now: float) -> None:
        """Readings that an earlier power-up left: to be sent as soon as possible."""
        queue = self._queue(boot, now)
        queue.waiting = sorted({*queue.waiting, *seqs})
        queue.backlog = bool(queue.waiting)

    def made(self, boot: str, seq: int, now: float) -> None:
        """A reading is in the spool, or an event: that and what is before it do not wait for the window."""
        queue = self._newest(boot, now)
        if self._shelf.is_event(boot, seq):
            queue.ripe_at = now
        elif not queue.waiting:
            queue.ripe_at = max(now, queue.sent_at + self._policy.window_s)
        heapq.heappush(queue.waiting, seq)

    def settled(self, boot: str, now: float) -> None:
        """An acknowledgement for this boot was noted in the spool."""
        for batch in [batch for batch in self.in_flight.values() if batch.boot == boot]:
            left = tuple(seq for seq in batch.seqs if self._shelf.size(boot, seq))
            if left == batch.seqs and (left or self._shelf.evicted(boot)):
                continue
            batch.seqs = left
            self._failures = 0
            if not left:
                del self.in_flight[batch.number]
                self._window = min(self._window + 1, self._policy.in_flight)
                self._backlog.acked(batch.sent, now)

    def expired(self, now: float) -> None:
        """An acknowledgement did not come in time: take everything back, and let one batch probe."""
        if any(batch.due <= now for batch in self.in_flight.values()):
            self._failures += 1
            self._window = 1
            self._take_all_back(now)
            self._begin_again(now, 1.0)

    def lost(self, now: float) -> None:
        """The link is gone, and with it whatever was on its way."""
        self._failures = 0
        self._window = 1
        self._blocked_until = 0.0
        self._take_all_back(now)
        self._begin_again(now, 1.0)

    def not_sent(self, number: int, now: float, pause: float) -> None:
        """The link did not take the batch: try again after a pause."""
        self._blocked_until = now + pause
        self._take_back(self.in_flight[number], now)

    def rejected(self, number: int) -> int | None:
        """The gateway cannot read this batch: send its halves apart; gives the number of a single culprit."""
        batch = self.in_flight.pop(number)
        left = tuple(seq for seq in batch.seqs if self._shelf.size(batch.boot, seq))
        if len(left) == 1:
            return left[0]
        middle = len(left) // 2
        self._apart.extend((batch.boot, half) for half in (left[:middle], left[middle:]) if half)
        return None

    def hurry(self, now: float) -> None:
        """The gateway stores again: do not wait out a long timeout. Spread, for a whole fleet hears it."""
        self._failures = 0
        self._begin_again(now + self._rng.uniform(0.0, SPREAD_S), FIRST)
        self._blocked_until = now + self._rng.uniform(0.0, 1.0)
        for batch in self.in_flight.values():
            batch.due = now + self._rng.uniform(0.5, 2.0)

    # -- what to do -----------------------------------------------------------------------------

    def take(self, now: float) -> Batch | None:
        """The next batch that may be sent now; it counts as in flight from here on."""
        if now < self._blocked_until or len(self.in_flight) >= self._window:
            return None
        while self._apart:
            boot, seqs = self._apart.pop(0)
            if left := tuple(seq for seq in seqs if self._shelf.size(boot, seq)):
                return self._send(boot, left, now)
        for _ in range(len(self._queues)):
            queue = self._queues.pop(0)
            self._queues.append(queue)  # boots take turns, so that a long backlog does not hide the present
            backlog = queue.backlog
            seqs = self._fill(queue, now) if self._opens(queue) <= now else ()
            if seqs or self._must_declare(queue.boot):
                queue.sent_at = now
                backlog = backlog and bool(seqs)
                if backlog:
                    self._backlog.sent(len(seqs) / self._policy.batch_samples, now)
                return self._send(queue.boot, seqs, now, backlog=backlog)
        return None

    @property
    def due(self) -> float:
        """When `expired` or `take` has something to do next; infinity when nothing waits."""
        due = min((batch.due for batch in self.in_flight.values()), default=float("inf"))
        if len(self.in_flight) < self._window:
            ready = [
                queue.ripe_at if self._must_declare(queue.boot) else max(queue.ripe_at, self._opens(queue))
                for queue in self._queues
                if queue.waiting or self._must_declare(queue.boot)
            ]
            if self._apart:
                ready.append(self._blocked_until)
            if ready:
                due = min(due, max(min(ready), self._blocked_until))
        return due

    # -- inside ---------------------------------------------------------------------------------

    def _queue(self, boot: str, now: float, *, live: bool = False) -> _Queue:
        for queue in self._queues:
            if queue.boot == boot and queue.live == live:
                return queue
        queue = _Queue(boot, now, live=live)
        self._queues.append(queue)
        return queue

    def _newest(self, boot: str, now: float) -> _Queue:
        """Where a reading that was just made waits: apart from a backlog of more than a batch."""
        backlog, most = self._queue(boot, now), self._policy.batch_samples
        if len(backlog.waiting) > most:
            backlog.backlog = True
        if not backlog.backlog:
            return backlog
        live = self._queue(boot, now, live=True)
        if len(live.waiting) >= most:  # they could not be sent for a while
            self._age(live, now)
        return live

    def _age(self, live: _Queue, now: float) -> None:
        """What waits there is of the backlog now."""
        backlog = self._queue(live.boot, now)
        for seq in live.waiting:
            heapq.heappush(backlog.waiting, seq)
        live.waiting.clear()

    def _begin_again(self, at: float, size: float) -> None:
        """After a break what waits is a backlog, to be sent from `at` on."""
        self._backlog.begin(at, size)
        for queue in list(self._queues):
            if queue.live:
                self._age(queue, at)
        for queue in self._queues:
            queue.backlog |= len(queue.waiting) > LEAST_READINGS

    def _opens(self, queue: _Queue) -> float:
        """From when on the backlog may be sent; always, where the queue is none."""
        if not queue.backlog:
            return float("-inf")
        return self._backlog.opens(sum(batch.backlog for batch in self.in_flight.values()))

    def _fill(self, queue: _Queue, now: float) -> tuple[int, ...]:
        most = self._policy.batch_samples
        if queue.ripe_at > now and len(queue.waiting) < most:
            return ()
        if queue.backlog:
            most = min(most, max(LEAST_READINGS, int(most * self._backlog.share)))
        seqs: list[int] = []
        total = 0
        while queue.waiting and len(seqs) < most:
            size = self._shelf.size(queue.boot, queue.waiting[0])
            event = self._shelf.is_event(queue.boot, queue.waiting[0])
            if seqs and (event or total + size > self._policy.batch_bytes):
                break
            seq = heapq.heappop(queue.waiting)
            if size:  # else settled or evicted while it waited
                seqs.append(seq)
                total += size
            if event:
                break
        queue.backlog &= bool(queue.waiting)
        return tuple(seqs)

    def _must_declare(self, boot: str) -> bool:
        declared = any(batch.boot == boot and batch.evicted for batch in self.in_flight.values())
        return not declared and bool(self._shelf.evicted(boot))

    def _send(self, boot: str, seqs: tuple[int, ...], now: float, *, backlog: bool = False) -> Batch:
        self._number += 1
        timeout = min(self._policy.retry_first_s * 2.0 ** min(self._failures, 16), self._policy.retry_cap_s)
        due = now + timeout * self._rng.uniform(0.9, 1.1)
        event = bool(seqs) and self._shelf.is_event(boot, seqs[0])  # its message declares nothing
        batch = Batch(
            self._number, boot, seqs, EMPTY if event else self._shelf.evicted(boot), now, due, backlog
        )
        self.in_flight[batch.number] = batch
        return batch

    def _take_all_back(self, now: float) -> None:
        for batch in list(self.in_flight.values()):
            self.resent += len(batch.seqs)
            self._take_back(batch, now)

    def _take_back(self, batch: Batch, now: float) -> None:
        del self.in_flight[batch.number]
        queue = self._queue(batch.boot, now)
        for seq in batch.seqs:
            if self._shelf.size(batch.boot, seq):
                heapq.heappush(queue.waiting, seq)
        queue.ripe_at = now
