"""The arithmetic of the delivery ledger: sets of sequence numbers as ranges.

A `Ranges` value is a tuple of inclusive pairs `(first, last)`, sorted, disjoint and with a gap of at
least one number between any two, so that equal sets are equal tuples. Numbers start at 1. On the wire a
range is `[first, last]`; PostgreSQL writes the same set as the multirange `{[first,last+1)}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]

EMPTY: Final[Ranges] = ()
# How long after being measured readings arrive, in seconds: the ledger counts them up to each, and those
# after the last.
LATENESS_S: Final = (1, 10, 60, 600, 3600, 21_600, 86_400, 604_800)
MAX_SEQ: Final = 2**62  # leaves room for the exclusive upper bound in PostgreSQL's int8multirange


def normalize(pairs: Iterable[tuple[int, int] | list[int]]) -> Ranges:
    """Sort and merge inclusive pairs in any order, overlapping or adjacent.

    Raises:
        LedgerError: a pair is reversed, or a bound is outside 1 .. 2**62.
    """
    checked: list[tuple[int, int]] = []
    for pair in pairs:
        first, last = pair
        if not 1 <= first <= last <= MAX_SEQ:
            raise LedgerError(f"[{first}, {last}] is not a range of sequence numbers (1 .. 2**62, in order)")
        checked.append((first, last))
    checked.sort()
    merged: list[tuple[int, int]] = []
    for first, last in checked:
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def from_numbers(numbers: Iterable[int]) -> Ranges:
    """The ranges that hold exactly these numbers."""
    return normalize((n, n) for n in numbers)


def union(a: Ranges, b: Ranges) -> Ranges:
    """The numbers in either."""
    if not b:
        return a
    if not a:
        return b
    (first, last), (start, end) = a[-1], b[0]
    if last < start:  # mostly numbers go on where they ended
        return (*a[:-1], (first, end), *b[1:]) if last + 1 == start else (*a, *b)
    return normalize((*a, *b))


def subtract(a: Ranges, b: Ranges) -> Ranges:
    """The numbers in `a` that are not in `b`."""
    if not a or not b or b[-1][1] < a[0][0] or a[-1][1] < b[0][0]:
        return a
    left: list[tuple[int, int]] = []
    cuts = iter(b)
    cut = next(cuts, None)
    for pair in a:
        first, last = pair
        while cut is not None and cut[1] < first:
            cut = next(cuts, None)
        while cut is not None and cut[0] <= last:
            if first < cut[0]:
                left.append((first, cut[0] - 1))
            first = cut[1] + 1
            if first > last:
                break
            cut = next(cuts, None)
        if first <= last:
            left.append((first, last))
    return tuple(left)


def intersect(a: Ranges, b: Ranges) -> Ranges:
    """The numbers in both."""
    return subtract(a, subtract(a, b))


def contains(ranges: Ranges, number: int) -> bool:
    """Whether the number is in the set."""
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][1] < number:
            low = middle + 1
        else:
            high = middle
    return low < len(ranges) and ranges[low][0] <= number


def count(ranges: Ranges) -> int:
    """How many numbers the set holds."""
    return sum(last - first + 1 for first, last in ranges)


def numbers(ranges: Ranges) -> Iterator[int]:
    """Every number, in order."""
    for first, last in ranges:
        yield from range(first, last + 1)


def gaps(ranges: Ranges, up_to: int) -> Ranges:
    """The numbers from 1 to `up_to` (inclusive) that are missing."""
    if up_to < 1:
        return EMPTY
    return subtract(((1, up_to),), ranges)


def settled_up_to(ranges: Ranges) -> int:
    """The last number of the unbroken run that starts at 1; 0 where 1 is missing."""
    return ranges[0][1] if ranges and ranges[0][0] == 1 else 0


def to_wire(ranges: Ranges) -> list[list[int]]:
    """As JSON carries it: `[[first, last], ...]`."""
    return [[first, last] for first, last in ranges]


def to_multirange(ranges: Ranges) -> str:
    """As PostgreSQL's `int8multirange` input reads it: `{[1,4),[6,7)}`."""
    if not ranges:
        return "{}"
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in ranges) + "}"


_MULTIRANGE = re.compile(r"\{(?:\[\d+,\d+\)(?:,\[\d+,\d+\))*)?\}")
_RANGE = re.compile(r"\[(\d+),(\d+)\)")
_ONE_RANGE = re.compile(r"\{\[(\d+),(\d+)\)\}")


def from_multirange(text: str) -> Ranges:
    """Read PostgreSQL's canonical output of an `int8multirange`.

    Raises:
        LedgerError: the text is not one.
    """
    if text == "{}":
        return EMPTY
    if one := _ONE_RANGE.fullmatch(text):  # mostly nothing is missing
        first, last = int(one[1]), int(one[2]) - 1
        return ((first, last),) if 1 <= first <= last <= MAX_SEQ else normalize(((first, last),))
    if not _MULTIRANGE.fullmatch(text):
        raise LedgerError(f"not an int8multirange: {text[:80]!r}")
    return normalize((int(first), int(end) - 1) for first, end in _RANGE.findall(text))
