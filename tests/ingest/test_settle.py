"""The ledger arithmetic of a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.ledger import from_numbers, numbers
from fleetcell.contract.messages import Ack
from ingest.decode import BadSample, StoredEvent, Upload
from ingest.settle import MAX_ALSO, Fresh, LedgerRow, ack, settle
from tests.ingest.units import NOW_US, topic

BOOT = "0" * 32
seqs = st.lists(st.integers(1, 40), max_size=12)
batches = st.lists(st.lists(st.tuples(seqs, seqs.map(lambda bad: bad[:2])), max_size=4), max_size=5)


def upload(
    given_seqs: list[int], bad: list[int] | None = None, *, times_us: list[int] | None = None
) -> Upload:
    return Upload(
        topic("car"),
        BOOT,
        1,
        NOW_US,
        given_seqs,
        times_us or [NOW_US] * len(given_seqs),
        [{"speed": float(seq)} for seq in given_seqs],
        bad=[BadSample(seq, b"{}", "bad") for seq in bad or []],
    )


def fresh_seqs(settlement_fresh: list[Fresh]) -> list[int]:
    return [
        one.seqs[i]
        for one, positions, _ in settlement_fresh
        for i in (range(len(one.seqs)) if positions is None else positions)
    ]


@given(batches)
def test_each_number_is_fresh_once_however_it_is_cut_and_repeated(
    given_batches: list[list[tuple[list[int], list[int]]]],
) -> None:
    row, stored, sent, bad = LedgerRow(), [], 0, set()
    duplicates = 0
    for batch in given_batches:
        outcome = settle(row, [upload(*one) for one in batch])
        row = outcome.row
        stored += fresh_seqs(outcome.fresh)
        duplicates += outcome.duplicates
        sent += sum(len(one[0]) for one in batch)
        bad |= {seq for one in batch for seq in one[1]}
    assert len(stored) == len(set(stored)), "nothing is stored twice"
    assert row.received == from_numbers(stored)
    assert set(numbers(row.dead)) == bad - set(stored), "what was stored is not dead"
    assert duplicates == sent - len(stored)
    assert row.settled == from_numbers({*stored, *bad})


@given(batches)
def test_an_ack_says_exactly_what_is_settled(given_batches: list[list[tuple[list[int], list[int]]]]) -> None:
    uploads = [upload(*one) for batch in given_batches for one in batch]
    row = settle(LedgerRow(), uploads).row
    answer = ack(BOOT, row.settled, uploads)
    said = set(range(1, answer.seq + 1)) | {
        n for first, last in answer.also or [] for n in range(first, last + 1)
    }
    assert said == set(numbers(row.settled))


def test_a_long_list_of_islands_is_cut_to_what_was_asked() -> None:
    islands = LedgerRow(received=from_numbers(range(1, 4000, 2)))
    answer = ack(BOOT, islands.settled, [upload([3001, 3003])])
    assert answer == Ack(BOOT, 1, [(3001, 3001), (3003, 3003)])
    assert len(settle(LedgerRow(), [upload(list(range(2, 4000, 2)))]).row.received) > MAX_ALSO


def test_what_was_given_up_and_came_after_all_counts_as_received() -> None:
    first = settle(LedgerRow(), [Upload(topic("car"), BOOT, 1, NOW_US, [], [], [], evicted=((1, 9),))])
    assert (first.row.evicted, first.claimed) == (((1, 9),), 9)
    second = settle(first.row, [upload([4])])
    assert (second.row.received, second.row.evicted) == (((4, 4),), ((1, 3), (5, 9)))


def test_wrong_clocks_are_quarantined_and_count_as_received() -> None:
    times = [NOW_US, 1000, NOW_US + 301_000_000]
    outcome = settle(LedgerRow(), [upload([1, 2, 3], times_us=times)])
    assert (outcome.row.quarantined, outcome.row.received) == (((2, 3),), ((1, 3),))
    assert (sum(outcome.lateness[1:]), outcome.max_late_us) == (0, 0), "a clock that is wrong is not late"


def test_what_was_stored_with_a_right_clock_is_not_quarantined_by_a_repetition() -> None:
    held = LedgerRow(received=((1, 2),))
    outcome = settle(held, [upload([1, 2, 3], times_us=[1000, NOW_US, 1000])])
    assert (outcome.row.quarantined, outcome.duplicates) == (((3, 3),), 2)


def test_a_number_is_evicted_or_a_dead_letter() -> None:
    both = Upload(
        topic("car"), BOOT, 1, NOW_US, [], [], [], bad=[BadSample(4, b"{}", "bad")], evicted=((3, 5),)
    )
    row = settle(LedgerRow(), [both]).row
    assert (row.dead, row.evicted) == (((4, 4),), ((3, 3), (5, 5)))


def test_what_was_redated_is_not_compared_when_it_comes_again() -> None:
    """Its time here is not the one that it comes with."""
    held = LedgerRow(received=((1, 4),), quarantined=((2, 2),), corrected=((3, 3),))
    outcome = settle(held, [upload([1, 2, 3, 4])])
    assert fresh_seqs(outcome.repeated) == [1, 4]


def test_an_event_takes_its_number_once() -> None:
    event = StoredEvent(2, NOW_US, "dtc", b"{}")
    one = Upload(topic("car"), BOOT, 1, NOW_US, [], [], [], events=[event])
    outcome = settle(LedgerRow(received=((1, 1),)), [one, one])
    assert (len(outcome.events), outcome.duplicates, outcome.row.received) == (1, 1, ((1, 2),))
