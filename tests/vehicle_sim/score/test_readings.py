"""Each thing that can become of a reading is told apart, whatever the platform says of it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges
from vehicle_sim.score.readings import Account, Ledger, Rows, account
from vehicle_sim.truth.records import Boot
from vehicle_sim.truth.witness import Witness


def boot_of(last: int, **given_up: Ranges) -> Boot:
    """A boot of readings at one place a second."""
    witness = Witness("car", None, lambda _: None)
    for seq in range(1, last + 1):
        witness.made("b", seq, *measured(seq))
    boot = witness.boots.get("b", Boot("car", "b"))
    for name, ranges in given_up.items():
        setattr(boot, name, ranges)
    return boot


def measured(seq: int) -> tuple[int, dict[str, object]]:
    return 1_700_000_000_000 + seq * 1000, {"lat": 60.17 + seq * 1e-7, "lon": 24.94}


def judged(boot: Boot, rows: Rows, held: Ledger, *, complete: bool = True) -> Account:
    return account(boot, rows.stored(), held, complete=complete)


def rows_of(numbers: Ranges | list[int]) -> Rows:
    rows = Rows()
    for seq in numbers if isinstance(numbers, list) else ledger.numbers(numbers):
        time_ms, signals = measured(seq)
        rows.add(seq, time_ms, signals["lat"], signals["lon"], noted=False)  # type: ignore[arg-type]
    return rows


def test_what_was_made_and_is_stored_once_is_all_well() -> None:
    found = judged(boot_of(250), rows_of(((1, 250),)), Ledger(received=((1, 250),), again=3))
    assert found == Account(made=250, stored=250, compared=250, arrived_again=3)
    assert found.unexplained == 0


def test_a_reading_that_is_nowhere_is_lost() -> None:
    found = judged(boot_of(10), rows_of(((1, 4), (6, 10))), Ledger(received=((1, 4), (6, 10))))
    assert (found.stored, found.lost, found.unexplained) == (9, 1, 1)


def test_a_reading_that_the_ledger_has_and_the_table_has_not_is_lost() -> None:
    found = judged(boot_of(10), rows_of(((1, 9),)), Ledger(received=((1, 10),)))
    assert (found.lost, found.contradicted, found.unexplained) == (1, 0, 1)


def test_a_reading_that_is_stored_twice_is_found_by_its_rows() -> None:
    found = judged(boot_of(3), rows_of([1, 2, 2, 2, 3]), Ledger(received=((1, 3),)))
    assert (found.stored, found.duplicates, found.unexplained) == (3, 2, 0)


def test_what_the_unit_gave_up_or_still_has_is_explained() -> None:
    boot = boot_of(
        20, evicted=((1, 3),), rejected=((5, 5),), torn=((20, 20),), pending=((18, 19),), undeclared=EMPTY
    )
    held = Ledger(received=((4, 4), (6, 17)), evicted=((1, 3),), dead_lettered=((5, 5),))
    found = judged(boot, rows_of(((4, 4), (6, 17))), held)
    assert (found.evicted, found.dead_lettered, found.pending, found.torn) == (3, 1, 2, 1)
    assert (found.made, found.stored, found.lost, found.unexplained) == (20, 13, 0, 0)


def test_an_eviction_that_the_ledger_never_heard_of_is_a_contradiction_once_it_could_be_told() -> None:
    rows, held = rows_of(((3, 9),)), Ledger(received=((3, 9),))
    assert judged(boot_of(9, evicted=((1, 2),), undeclared=((1, 2),)), rows, held).unexplained == 0
    assert judged(boot_of(9, evicted=((1, 2),)), rows, held).unexplained == 2


def test_a_row_that_the_ledger_does_not_know_is_a_contradiction() -> None:
    assert judged(boot_of(9), rows_of(((1, 9),)), Ledger(received=((1, 8),))).contradicted == 1
    assert (
        judged(boot_of(9, pending=((9, 9),)), rows_of(((1, 8),)), Ledger(received=((1, 9),))).contradicted
        == 1
    )
    assert judged(
        boot_of(9), rows_of(((1, 9),)), Ledger(received=((1, 9),), unexplained=((2, 2),))
    ).contradicted


def test_a_row_of_a_number_that_was_never_used_is_invented() -> None:
    found = judged(boot_of(4), rows_of(((1, 5),)), Ledger(received=((1, 5),)))
    assert (found.stored, found.invented, found.unexplained) == (4, 1, 1)
    cut_off = judged(boot_of(4), rows_of(((1, 5),)), Ledger(received=((1, 5),)), complete=False)
    assert (cut_off.stored, cut_off.unexplained) == (4, 0)


def test_quarantined_readings_are_stored_and_not_compared() -> None:
    rows = rows_of(((1, 149),))
    rows.add(150, 0, None, None, noted=True)
    found = judged(boot_of(150), rows, Ledger(received=((1, 149),), quarantined=((150, 150),)))
    assert (found.stored, found.quarantined, found.compared, found.unexplained) == (150, 1, 100, 0)


@pytest.mark.parametrize(
    ("time_ms", "lat", "lon"), [(1, 0.0, 0.0), (0, 1e-7, 0.0), (0, 0.0, -1e-7), (0, 0.0, None)]
)
def test_a_reading_with_another_time_or_place_is_found(time_ms: int, lat: float, lon: float | None) -> None:
    rows = rows_of(((1, 149),))
    at, place = measured(150)
    rows.add(150, at + time_ms, 60.170015 + lat, None if lon is None else 24.94 + lon, noted=False)
    found = judged(boot_of(150), rows, Ledger(received=((1, 150),)))
    assert place["lat"] == 60.170015
    assert (found.altered, found.compared) == (50, 150)


def test_events_share_the_numbers_and_are_rows_of_their_own() -> None:
    witness = Witness("car", None, lambda _: None)
    witness.made("b", 1, *measured(1))
    witness.made_event("b", 2)
    witness.made("b", 3, *measured(3))
    rows = rows_of([1, 3])
    assert judged(witness.boots["b"], rows, Ledger(received=((1, 3),))).lost == 1
    rows.add_event(2)
    found = judged(witness.boots["b"], rows, Ledger(received=((1, 3),)))
    assert (found.made, found.events, found.stored, found.lost, found.compared) == (3, 1, 3, 0, 2)


@st.composite
def fates(draw: st.DrawFn) -> dict[int, str]:
    last = draw(st.integers(0, 260))
    kinds = ["stored", "stored", "stored", "twice", "evicted", "rejected", "torn", "pending", "lost"]
    rng = random.Random(draw(st.integers()))
    return {seq: rng.choice(kinds) for seq in range(1, last + 1)}


@given(fates())
def test_every_reading_is_accounted_for_by_what_became_of_it(fate: dict[int, str]) -> None:
    def those(*kinds: str) -> Ranges:
        return ledger.from_numbers(seq for seq, kind in fate.items() if kind in kinds)

    boot = boot_of(len(fate), evicted=those("evicted"), rejected=those("rejected"), torn=those("torn"),
                   pending=those("pending"))  # fmt: skip
    held = Ledger(
        received=those("stored", "twice"), evicted=those("evicted"), dead_lettered=those("rejected")
    )
    rows = rows_of([seq for seq, kind in fate.items() for _ in range({"stored": 1, "twice": 2}.get(kind, 0))])
    found = judged(boot, rows, held)
    wanted = {kind: sum(one == kind for one in fate.values()) for kind in set(fate.values())}
    assert found.made == len(fate)
    assert found.stored == wanted.get("stored", 0) + wanted.get("twice", 0)
    assert found.duplicates == wanted.get("twice", 0)
    assert found.lost == found.unexplained == wanted.get("lost", 0)
    assert found.evicted == wanted.get("evicted", 0)
    assert found.dead_lettered == wanted.get("rejected", 0)
    assert found.torn == wanted.get("torn", 0)
    assert found.pending == wanted.get("pending", 0)
    assert found.altered == 0
    assert found.made == (
        found.stored + found.evicted + found.dead_lettered + found.torn + found.pending + found.lost
    )


def test_accounts_add_up() -> None:
    one = judged(boot_of(5), rows_of(((1, 4),)), Ledger(received=((1, 4),)))
    total = one + one
    assert (total.made, total.stored, total.lost, total.unexplained) == (10, 8, 2, 2)
