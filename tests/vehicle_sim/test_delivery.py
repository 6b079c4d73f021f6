"""The sending side of a unit: what goes out when, and that it goes on until everything is settled."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract import ledger
from vehicle_sim.delivery import Batch, Delivery, DeliveryPolicy

if TYPE_CHECKING:
    from fleetcell.contract.ledger import Ranges

A, B = "a" * 32, "b" * 32
POLICY = DeliveryPolicy(
    window_s=1, batch_samples=10, batch_bytes=1000, in_flight=4, retry_first_s=5, retry_cap_s=60
)


class Shelf:
    """What waits, as the spool would say it."""

    def __init__(self) -> None:
        self.sizes: dict[tuple[str, int], int] = {}
        self.gone: dict[str, Ranges] = {}
        self.events: set[tuple[str, int]] = set()

    def size(self, boot: str, seq: int) -> int:
        return self.sizes.get((boot, seq), 0)

    def is_event(self, boot: str, seq: int) -> bool:
        return (boot, seq) in self.events and (boot, seq) in self.sizes

    def evicted(self, boot: str) -> Ranges:
        return self.gone.get(boot, ())


def sending(policy: DeliveryPolicy = POLICY) -> tuple[Delivery, Shelf]:
    shelf = Shelf()
    return Delivery(shelf, policy, random.Random(1)), shelf


def make(delivery: Delivery, shelf: Shelf, seqs: range, now: float, *, boot: str = A, size: int = 10) -> None:
    for seq in seqs:
        shelf.sizes[boot, seq] = size
        delivery.made(boot, seq, now)


def take_all(delivery: Delivery, now: float) -> list[Batch]:
    batches = []
    while (batch := delivery.take(now)) is not None:
        batches.append(batch)
    return batches


def settle(delivery: Delivery, shelf: Shelf, batch: Batch, *, now: float | None = None) -> None:
    """It is acknowledged; as soon as it was sent, where nothing else is said."""
    for seq in batch.seqs:
        shelf.sizes.pop((batch.boot, seq), None)
    delivery.settled(batch.boot, batch.sent if now is None else now)


def test_the_first_reading_goes_at_once_and_the_next_ones_together_a_window_later() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 2), now=0.0)
    assert [batch.seqs for batch in take_all(delivery, 0.0)] == [(1,)]
    make(delivery, shelf, range(2, 5), now=0.2)
    assert take_all(delivery, 0.9) == []
    assert delivery.due == 1.0
    assert [batch.seqs for batch in take_all(delivery, 1.0)] == [(2, 3, 4)]


def test_a_full_batch_does_not_wait_for_the_window() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 2), now=0.0)
    take_all(delivery, 0.0)
    make(delivery, shelf, range(2, 13), now=0.1)
    assert [batch.seqs for batch in take_all(delivery, 0.1)] == [tuple(range(2, 12))]


def test_a_batch_has_a_bounded_size_but_always_one_reading() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 4), now=0.0, size=600)
    assert [batch.seqs for batch in take_all(delivery, 0.0)] == [(1,), (2,)]
    big, shelf = sending()
    make(big, shelf, range(1, 2), now=0.0, size=5000)
    assert [batch.seqs for batch in take_all(big, 0.0)] == [(1,)]


def test_the_window_opens_with_acknowledgements_and_no_further_than_allowed() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 201), now=0.0)
    seen = []
    for _ in range(5):
        batches = take_all(delivery, 0.0)
        seen.append(len(delivery.in_flight))
        for batch in batches:
            settle(delivery, shelf, batch)
    assert seen == [2, 4, 4, 4, 4]


def test_after_a_timeout_one_batch_probes_with_a_growing_timeout() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 21), now=0.0)
    assert len(take_all(delivery, 0.0)) == 2
    now, waits = 0.0, []
    for _ in range(6):
        now = delivery.due
        delivery.expired(now)
        (probe,) = take_all(delivery, now)
        waits.append(probe.due - now)
    for wait, nominal in zip(waits, (10, 20, 40, 60, 60, 60), strict=True):
        assert 0.9 * nominal <= wait <= 1.1 * nominal
    assert delivery.resent >= 20
    settle(delivery, shelf, *delivery.in_flight.values())
    assert len(take_all(delivery, now)) >= 1
    assert min(batch.due for batch in delivery.in_flight.values()) - now < 6


def test_a_gateway_that_stores_again_is_tried_soon() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 2), now=0.0)
    for _ in range(5):
        take_all(delivery, delivery.due)
        delivery.expired(delivery.due)
    now = delivery.due
    take_all(delivery, now)
    assert delivery.due > now + 10
    delivery.hurry(now)
    assert delivery.due <= now + 2


def test_a_lost_link_takes_everything_back_and_sends_it_again_in_order() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 21), now=0.0)
    take_all(delivery, 0.0)
    delivery.lost(3.0)
    assert delivery.in_flight == {}
    assert [batch.seqs for batch in take_all(delivery, 3.0)] == [tuple(range(1, 11))]


def test_earlier_boots_and_the_present_take_turns() -> None:
    delivery, shelf = sending(DeliveryPolicy(batch_samples=10, in_flight=1))
    for seq in range(1, 41):
        shelf.sizes[A, seq] = 10
    delivery.restore(A, range(1, 41), 0.0)
    make(delivery, shelf, range(1, 3), now=0.0, boot=B)
    boots = []
    for _ in range(3):
        (batch,) = take_all(delivery, 100.0)
        boots.append(batch.boot)
        settle(delivery, shelf, batch)
    assert boots == [A, B, A]


def test_after_an_outage_the_newest_readings_and_the_backlog_take_turns() -> None:
    delivery, shelf = sending(DeliveryPolicy(batch_samples=10, in_flight=1))
    make(delivery, shelf, range(1, 41), now=0.0)  # no link
    make(delivery, shelf, range(41, 44), now=99.0)
    sent = []
    for _ in range(3):
        (batch,) = take_all(delivery, 100.0)
        sent.append(batch.seqs)
        settle(delivery, shelf, batch)
    assert sent == [tuple(range(1, 11)), tuple(range(42, 44)), tuple(range(11, 21))]


def test_what_piles_up_beside_a_backlog_becomes_part_of_it() -> None:
    delivery, shelf = sending(DeliveryPolicy(batch_samples=10, in_flight=1))
    make(delivery, shelf, range(1, 61), now=0.0)
    sent: list[int] = []
    while batch := delivery.take(100.0):
        assert len(batch.seqs) <= 10
        sent += batch.seqs
        settle(delivery, shelf, batch)
    assert sorted(sent) == list(range(1, 61))
    assert sent[10:19] == list(range(52, 61)), "the newest are sent second, whatever came before them"


def test_what_was_settled_or_evicted_while_it_waited_is_not_sent() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 4), now=0.0)
    del shelf.sizes[A, 2]
    assert [batch.seqs for batch in take_all(delivery, 0.0)] == [(1, 3)]


def test_evictions_are_declared_until_they_are_acknowledged_even_without_a_reading() -> None:
    delivery, shelf = sending()
    shelf.gone[A] = ((1, 5),)
    delivery.restore(A, (), 0.0)
    (batch,) = take_all(delivery, 0.0)
    assert (batch.seqs, batch.evicted) == ((), ((1, 5),))
    delivery.settled(A, 0.0)
    assert batch.number in delivery.in_flight, "an acknowledgement for something else"
    delivery.expired(batch.due)
    (again,) = take_all(delivery, delivery.due)
    assert again.evicted == ((1, 5),)
    shelf.gone[A] = ()
    delivery.settled(A, again.sent)
    assert delivery.in_flight == {}
    assert delivery.due == float("inf")


def test_a_rejected_batch_is_halved_until_the_culprit_is_found() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 9), now=0.0)
    culprit = None
    for _ in range(20):
        for batch in take_all(delivery, 0.0):
            if 6 not in batch.seqs:
                settle(delivery, shelf, batch)
            elif (found := delivery.rejected(batch.number)) is not None:
                culprit = found
                del shelf.sizes[A, found]
    assert culprit == 6
    assert shelf.sizes == {}


def test_an_event_travels_alone_and_hurries_what_was_made_before_it() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 2), now=0.0)
    take_all(delivery, 0.0)
    make(delivery, shelf, range(2, 4), now=0.1)
    assert delivery.due == 1.0
    shelf.events.add((A, 4))
    make(delivery, shelf, range(4, 7), now=0.2)
    settle(delivery, shelf, *delivery.in_flight.values())
    assert [batch.seqs for batch in take_all(delivery, 0.2)] == [(2, 3), (4,), (5, 6)]


def test_the_message_of_an_event_declares_no_eviction() -> None:
    delivery, shelf = sending()
    shelf.events.add((A, 6))
    shelf.gone[A] = ((1, 5),)
    make(delivery, shelf, range(6, 7), now=0.0)
    event, declaration = take_all(delivery, 0.0)
    assert (event.seqs, event.evicted) == ((6,), ())
    assert (declaration.seqs, declaration.evicted) == ((), ((1, 5),))


def test_a_link_that_takes_nothing_is_tried_again_after_a_pause() -> None:
    delivery, shelf = sending()
    make(delivery, shelf, range(1, 2), now=0.0)
    (batch,) = take_all(delivery, 0.0)
    delivery.not_sent(batch.number, 0.0, 0.25)
    assert take_all(delivery, 0.1) == []
    assert delivery.due == 0.25
    assert [batch.seqs for batch in take_all(delivery, 0.25)] == [(1,)]


@given(st.data())
def test_whatever_happens_everything_is_settled_in_the_end(data: Any) -> None:
    """Readings are made while batches get lost, time out, are settled in part, and links break."""
    policy = DeliveryPolicy(batch_samples=3, in_flight=3)
    delivery, shelf = sending(policy)
    now, made = 0.0, 0
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.floats(0, 20))
        match data.draw(st.sampled_from(["make", "settle", "settle part", "lose", "time", "evict"])):
            case "make":
                made += 1
                if data.draw(st.booleans()):
                    shelf.events.add((A, made))
                make(delivery, shelf, range(made, made + 1), now)
            case "settle" if delivery.in_flight:
                settle(
                    delivery, shelf, data.draw(st.sampled_from(list(delivery.in_flight.values()))), now=now
                )
            case "settle part" if shelf.sizes:
                shelf.sizes.pop(data.draw(st.sampled_from(list(shelf.sizes))))
                delivery.settled(A, now)
            case "lose":
                delivery.lost(now)
            case "evict" if shelf.sizes:
                boot, seq = min(shelf.sizes)
                del shelf.sizes[boot, seq]
                shelf.gone[A] = ledger.union(shelf.evicted(A), ((seq, seq),))
            case _:
                delivery.expired(now)
        take_all(delivery, now)
        flying = [seq for batch in delivery.in_flight.values() for seq in batch.seqs if shelf.size(A, seq)]
        assert len(flying) == len(set(flying)), "a reading travels once at a time"
        assert len(delivery.in_flight) <= policy.in_flight
    for _ in range(200):
        if not shelf.sizes and not shelf.gone.get(A):
            break
        now = max(now, min(delivery.due, now + 1000))
        delivery.expired(now)
        for batch in take_all(delivery, now):
            shelf.gone[A] = ledger.subtract(shelf.evicted(A), batch.evicted)
            settle(delivery, shelf, batch, now=now)
    assert not shelf.sizes
    assert not shelf.gone.get(A)
