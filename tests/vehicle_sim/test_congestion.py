"""The window of a backlog: it follows how long acknowledgements wait; a fleet drains beside live data."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.congestion import FIRST, FORGET_S, LEAST, TARGET_S, Window
from vehicle_sim.delivery import Delivery, DeliveryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.contract.ledger import Ranges
    from vehicle_sim.delivery import Batch

MOST = 8
NEVER = float("inf")


def in_flight(window: Window, now: float) -> int:
    """How many batches it lets on their way."""
    return next((count for count in range(MOST) if window.opens(count) > now), MOST)


def test_what_never_broke_is_not_held_back() -> None:
    assert in_flight(Window(MOST), 0.0) == MOST


def test_after_a_break_it_begins_small_and_grows_while_nothing_waits() -> None:
    window, now, shares, intervals = Window(MOST), 0.0, [], []
    window.acked(-0.1, 0.0)
    window.begin(3.0, FIRST)
    assert window.opens(0) == 3.0
    for _ in range(9):
        intervals.append(window.opens(0) - now)
        now = max(now, window.opens(0))
        shares.append(window.share)
        window.sent(window.share, now)
        window.acked(now, now + 0.1)
        now += 0.1
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (FIRST, 1.0)
    assert max(intervals[1:]) <= TARGET_S
    assert in_flight(window, now) == MOST


def test_it_shrinks_where_acknowledgements_wait_once_for_all_that_was_on_its_way_and_never_to_nothing() -> (
    None
):
    window = Window(MOST)
    window.acked(-0.1, 0.0)
    for _ in range(MOST):
        window.acked(0.0, 2.0)
    assert in_flight(window, 2.0) == MOST // 2
    now = 2.0
    for _ in range(50):
        window.sent(1.0, now)
        window.acked(now, now + 2.0)
        now += 2.0
    assert window.opens(1) == NEVER, "one at a time"
    assert window.opens(0) - now <= TARGET_S / LEAST + 1e-6


def test_what_waits_long_on_every_way_is_no_queue_and_a_way_that_became_longer_is_learnt() -> None:
    window, now = Window(MOST), 0.0
    for _ in range(20):
        window.acked(now, now + 3.0)  # by satellite
        now += 3.0
    assert in_flight(window, now) == MOST
    while now < 3 * FORGET_S:
        window.acked(now, now + 6.0)
        now += 6.0
    assert in_flight(window, now) == MOST


def test_the_least_of_a_period_counts_in_the_next_one_too() -> None:
    window = Window(MOST)
    window.acked(0.0, 0.1)
    window.begin(FORGET_S, 2.0)
    window.acked(FORGET_S + 1.0, FORGET_S + 2.0)
    assert in_flight(window, FORGET_S + 10.0) == 1, "it waited for 0.9 s"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5), st.floats(0, 60)), max_size=40))
def test_whatever_comes_the_next_batch_may_be_sent_before_long(
    steps: list[tuple[bool, float, float]],
) -> None:
    window, now = Window(MOST), 0.0
    for broke, gap, delay in steps:
        now += gap
        if broke:
            window.begin(now, FIRST)
        window.sent(window.share, now)
        window.acked(now - delay, now)
        assert FIRST <= window.share <= 1
        assert window.opens(0) - now <= TARGET_S / LEAST + 1e-6


class _Shelf:
    """What waits in one unit."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()

    def size(self, boot: str, seq: int) -> int:
        del boot
        return 100 if seq in self.waiting else 0

    def is_event(self, boot: str, seq: int) -> bool:
        del boot, seq
        return False

    def evicted(self, boot: str) -> Ranges:
        del boot
        return ()


class _Fleet:
    """Units and a gateway that stores one message after the other, on a clock of their own."""

    BOOT = "a" * 32
    BASE_S = 0.1  # of a message that waits for nobody
    MESSAGE_S = 0.0003
    READING_S = 1 / 15_000

    def __init__(self, units: int, rate_hz: float, outage_s: float) -> None:
        self.now = 0.0
        self.delays: list[float] = []  # of readings that were made after the outage
        self.back_at = 5.0 + outage_s
        self._away_at = 5.0
        self._rng = random.Random(1)
        self._rate_hz = rate_hz
        self._free_at = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._made: defaultdict[int, dict[int, float]] = defaultdict(dict)
        self._shelves = [_Shelf() for _ in range(units)]
        self._units = [
            Delivery(shelf, DeliveryPolicy(), random.Random(number))
            for number, shelf in enumerate(self._shelves)
        ]
        for unit in range(units):
            self._at(self._rng.uniform(0, 1 / rate_hz), lambda unit=unit: self._make(unit, 1))  # type: ignore[misc]
            self._at(self.back_at, lambda unit=unit: self._hurry(unit))  # type: ignore[misc]

    def run(self, until: Callable[[], bool]) -> None:
        while not until():
            self.now, _, happen = heapq.heappop(self._events)
            happen()

    @property
    def waiting(self) -> int:
        return sum(len(shelf.waiting) for shelf in self._shelves)

    def _at(self, due: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (due, next(self._numbers), what))

    def _make(self, unit: int, seq: int) -> None:
        self._shelves[unit].waiting.add(seq)
        self._units[unit].made(self.BOOT, seq, self.now)
        if self.now >= self.back_at:
            self._made[unit][seq] = self.now
        gap = self._rng.uniform(0.5, 1.5) / self._rate_hz
        self._at(self.now + gap, lambda: self._make(unit, seq + 1))
        self._send(unit)

    def _hurry(self, unit: int) -> None:
        self._units[unit].hurry(self.now)
        self._send(unit)

    def _send(self, unit: int) -> None:
        if self._away_at <= self.now < self.back_at:  # it has said so, and units hold their readings
            return
        delivery = self._units[unit]
        delivery.expired(self.now)
        while (batch := delivery.take(self.now)) is not None:
            self._free_at = max(self._free_at, self.now) + self.MESSAGE_S + len(batch.seqs) * self.READING_S
            self._at(self._free_at + self.BASE_S, lambda batch=batch: self._acked(unit, batch))  # type: ignore[misc]
        if delivery.due < NEVER:
            self._at(max(delivery.due, self.now + 0.001), lambda: self._send(unit))

    def _acked(self, unit: int, batch: Batch) -> None:
        if self._away_at <= self.now < self.back_at:
            return
        for seq in batch.seqs:
            self._shelves[unit].waiting.discard(seq)
            if (made := self._made[unit].pop(seq, None)) is not None:
                self.delays.append(self.now - made)
        self._units[unit].settled(self.BOOT, self.now)
        self._send(unit)


def test_a_fleet_drains_its_backlog_beside_live_readings() -> None:
    """A minute without a gateway. With eight batches at once, whatever waits, they took 2.8 s."""
    units, rate_hz, outage_s = 300, 2.0, 60.0
    fleet = _Fleet(units, rate_hz, outage_s)
    fleet.run(lambda: fleet.now >= fleet.back_at)
    backlog = fleet.waiting
    assert backlog > 0.9 * units * rate_hz * outage_s
    fleet.run(lambda: fleet.waiting < 3 * units * rate_hz)
    drained_s = fleet.now - fleet.back_at
    assert backlog / drained_s > 3 * units * rate_hz
    delays = sorted(fleet.delays)
    assert delays[int(len(delays) * 0.99)] < 2.0
