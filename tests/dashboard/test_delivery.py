"""The ledger explained: each number has exactly one reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dashboard.delivery import EXPLANATIONS, FLAGS, explain
from fleetcell.contract import ledger

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETS = ("received", "evicted", "quarantined", "dead_lettered", "corrected")
numbers = st.frozensets(st.integers(1, 40))


def row(boot: int = 1, *, first: datetime = NOW, last: datetime = NOW, **columns: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(SETS, "{}")
    empty |= dict.fromkeys(("conflict_at", "origin", "measured_from", "measured_until"))
    counts = {
        "claimed": 0,
        "duplicates": 0,
        "conflicts": 0,
        "late": 0,
        "max_late_s": 0.0,
        "lateness": [0] * 9,
    }
    return {"boot": UUID(int=boot), **empty, **counts, "first_at": first, "last_at": last, **columns}


def multirange(found: frozenset[int]) -> str:
    return ledger.to_multirange(ledger.from_numbers(found))


@given(numbers, numbers, numbers, numbers, st.integers(0, 50))
def test_each_number_has_one_reason(
    received: frozenset[int],
    evicted: frozenset[int],
    quarantined: frozenset[int],
    dead: frozenset[int],
    claimed: int,
) -> None:
    answer = explain(
        "a",
        [
            row(
                received=multirange(received),
                evicted=multirange(evicted),
                quarantined=multirange(quarantined),
                dead_lettered=multirange(dead),
                claimed=claimed,
            )
        ],
    )
    in_gaps = [number for gap in answer.gaps for number in range(gap.first, gap.last + 1)]
    known = set(range(1, max([claimed, *received, *evicted, *quarantined, *dead]) + 1))
    assert sorted(in_gaps) == sorted(known - received)  # none twice, none left out
    for gap in answer.gaps:
        assert gap.explanation == EXPLANATIONS[gap.reason]
        assert gap.count == gap.last - gap.first + 1
        if gap.reason == "pending":
            assert not set(range(gap.first, gap.last + 1)) & (evicted | quarantined | dead)
    assert answer.unexplained == 0  # of the newest boot nothing is lost yet
    assert answer.received == len(received)


def test_what_a_day_of_a_newer_boot_did_not_bring_is_unexplained() -> None:
    old = row(1, first=NOW - timedelta(days=3), last=NOW - timedelta(days=2), received="{[1,5)}", claimed=6)
    for newer_for, unexplained in ((timedelta(hours=23), 0), (timedelta(hours=25), 2)):
        newer = row(2, first=NOW - newer_for, last=NOW, received="{[1,9)}", claimed=8)
        answer = explain("a", [newer, old])
        assert answer.unexplained == unexplained
        assert answer.pending == 2 - unexplained
        assert [(gap.first, gap.last) for gap in answer.gaps] == [(5, 6)]


def test_a_vehicle_that_came_back_after_long_may_still_send() -> None:
    old = row(1, first=NOW - timedelta(days=30), last=NOW - timedelta(days=20), received="{[1,5)}", claimed=6)
    just_back = row(2, first=NOW - timedelta(minutes=1), last=NOW, received="{[1,3)}", claimed=2)
    assert explain("a", [just_back, old]).unexplained == 0


def test_a_vehicle_that_never_sent() -> None:
    answer = explain("a", [])
    assert (answer.boots, answer.gaps, answer.unexplained) == ([], [], 0)


def test_what_is_suspicious_is_flagged_with_its_boots() -> None:
    twice = row(1, conflicts=3, conflict_at=NOW, received="{[1,10)}")
    jumped = row(2, received="{[1,2),[4611686018427387904,4611686018427387905)}", claimed=2**62)
    pair = {"boot": UUID(int=1), "other_boot": UUID(int=2), "seen_at": NOW}
    flags = {flag.kind: flag for flag in explain("a", [jumped, twice], [pair]).flags}
    assert (flags["number_used_twice"].count, flags["number_used_twice"].boots) == (3, [UUID(int=1).hex])
    assert flags["number_used_twice"].last_at == flags["shared_identity"].last_at == NOW
    assert flags["shared_identity"].boots == [UUID(int=1).hex, UUID(int=2).hex]
    assert (flags["number_jump"].count, flags["number_jump"].boots) == (2**62 - 2, [UUID(int=2).hex])
    assert all(flag.explanation == FLAGS[kind] for kind, flag in flags.items())
    assert explain("a", [row(received="{[1,4)}", claimed=1_000_003)]).flags == [], "a long outage is no jump"


def test_totals_are_of_all_boots() -> None:
    first = row(
        1, lateness=[1, 2, 0, 0, 0, 0, 0, 0, 0], duplicates=2, corrected="{[1,3)}", received="{[1,4)}"
    )
    second = row(2, lateness=[4, 0, 0, 0, 0, 0, 0, 0, 5], late=5, evicted="{[1,3)}", claimed=2)
    answer = explain("a", [second, first])
    assert [(one.up_to_s, one.count) for one in answer.lateness if one.count] == [(1, 5), (10, 2), (None, 5)]
    assert (answer.duplicates, answer.corrected, answer.late, answer.evicted) == (2, 2, 5, 2)
    assert [boot.corrected for boot in answer.boots] == [[], [[1, 2]]]
