"""What reports mean for what is held; in whatever order they come."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.hazards import Ending, Report
from ingest.hazards.rules import Change, Held, fold

ENDINGS = st.sampled_from([None, None, *Ending])
REPORTS = st.builds(
    lambda at, ending: Report(1, 1, at, at, at + 100, 60.0, 25.0, ending=ending), st.integers(0, 20), ENDINGS
)


def report(at: int, ending: Ending | None = None) -> Report:
    return Report(1, 1, at, at, at + 100, 60.0, 25.0, ending=ending)


def test_a_hazard_is_told_repeated_updated_and_cancelled() -> None:
    assert fold(None, report(10)) is Change.NEW
    held = Held(1, 10, over=False)
    assert fold(held, report(10)) is Change.REPEATED
    assert fold(held, report(11)) is Change.UPDATE
    assert fold(held, report(9)) is Change.STALE
    assert fold(held, report(11, Ending.CANCELLED)) is Change.CANCELLED
    assert fold(held, report(10, Ending.NEGATED)) is Change.NEGATED


def test_what_is_over_stays_over_and_its_name_can_be_used_again() -> None:
    over = Held(1, 10, over=True)
    assert fold(over, report(10)) is Change.STALE
    assert fold(over, report(10, Ending.CANCELLED)) is Change.STALE
    assert fold(over, report(11, Ending.CANCELLED)) is Change.UNKNOWN
    assert fold(over, report(11)) is Change.NEW
    assert fold(None, report(11, Ending.CANCELLED)) is Change.UNKNOWN


@dataclass
class Table:
    """What the database does with the changes."""

    held: Held | None = None
    hazards: int = 0

    def take(self, one: Report) -> Change:
        change = fold(self.held, one)
        match change:
            case Change.NEW:
                self.hazards += 1
                self.held = Held(self.hazards, one.reference_ms, over=False)
            case Change.UPDATE | Change.CANCELLED | Change.NEGATED:
                assert self.held is not None
                over = change is not Change.UPDATE
                self.held = Held(self.held.id, one.reference_ms, over)
        return change


@given(st.lists(REPORTS, max_size=30))
def test_the_reference_time_never_goes_back_and_nothing_counts_twice(reports: list[Report]) -> None:
    table = Table()
    for one in reports:
        before = table.held
        table.take(one)
        if before is not None:
            assert table.held is not None
            assert table.held.reference_ms >= before.reference_ms
        again = table.held
        assert table.take(one) in (Change.REPEATED, Change.STALE, Change.UNKNOWN)
        assert table.held == again


@given(st.lists(REPORTS, min_size=1, max_size=8), st.randoms())
def test_at_last_the_latest_report_holds_in_any_order(reports: list[Report], rng: object) -> None:
    """Unless it is the end of what was not told before it."""
    latest = max(one.reference_ms for one in reports)
    newest = {one.ending is not None for one in reports if one.reference_ms == latest}
    shuffled = list(reports)
    rng.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    table = Table()
    for one in shuffled:
        table.take(one)
    if newest == {False}:
        assert table.held is not None
        assert (table.held.reference_ms, table.held.over) == (latest, False)
