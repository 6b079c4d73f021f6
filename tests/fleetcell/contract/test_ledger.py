"""The ledger's arithmetic, held against sets of numbers."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract import ledger
from fleetcell.contract.errors import LedgerError

numbers = st.sets(st.integers(1, 60))
pairs = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda p: (p[0], p[0] + p[1])))


def as_set(ranges: ledger.Ranges) -> set[int]:
    return set(ledger.numbers(ranges))


def well_formed(ranges: ledger.Ranges) -> bool:
    return all(first <= last for first, last in ranges) and all(a[1] + 1 < b[0] for a, b in pairwise(ranges))


@given(pairs)
def test_normalizing_keeps_exactly_the_numbers(given_pairs: list[tuple[int, int]]) -> None:
    ranges = ledger.normalize(given_pairs)
    assert well_formed(ranges)
    assert as_set(ranges) == {n for first, last in given_pairs for n in range(first, last + 1)}
    assert ledger.count(ranges) == len(as_set(ranges))


@given(numbers, numbers)
def test_the_operations_are_those_of_sets(a: set[int], b: set[int]) -> None:
    left, right = ledger.from_numbers(a), ledger.from_numbers(b)
    for found, expected in (
        (ledger.union(left, right), a | b),
        (ledger.subtract(left, right), a - b),
        (ledger.intersect(left, right), a & b),
    ):
        assert well_formed(found)
        assert as_set(found) == expected


@given(st.lists(numbers), st.randoms())
def test_the_union_of_batches_in_any_order_is_the_set_of_sequence_numbers(
    batches: list[set[int]], random: Random
) -> None:
    shuffled = [*batches, *batches]  # each one comes twice
    random.shuffle(shuffled)
    held = ledger.EMPTY
    for batch in shuffled:
        held = ledger.union(held, ledger.from_numbers(batch))
    assert as_set(held) == set().union(*batches)


@given(numbers, st.integers(0, 70))
def test_gaps_and_settled_prefix(held: set[int], up_to: int) -> None:
    ranges = ledger.from_numbers(held)
    assert as_set(ledger.gaps(ranges, up_to)) == set(range(1, up_to + 1)) - held
    settled = ledger.settled_up_to(ranges)
    assert set(range(1, settled + 1)) <= held
    assert settled + 1 not in held


@given(numbers, st.integers(1, 70))
def test_contains(held: set[int], number: int) -> None:
    assert ledger.contains(ledger.from_numbers(held), number) is (number in held)


@given(numbers)
def test_postgresql_reads_and_writes_it(held: set[int]) -> None:
    ranges = ledger.from_numbers(held)
    assert ledger.from_multirange(ledger.to_multirange(ranges)) == ranges


@pytest.mark.parametrize("pair", [(0, 3), (4, 3), (-1, 1), (1, 2**62 + 1)])
def test_a_wrong_range_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(LedgerError):
        ledger.normalize([pair])


@pytest.mark.parametrize("text", ["", "{", "{[1,2]}", "{(1,2)}", "[1,2)", "{[a,b)}", "{[1,4),}"])
def test_a_wrong_multirange_is_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        ledger.from_multirange(text)
