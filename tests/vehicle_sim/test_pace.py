"""When readings are due, also after the program was held up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.pace import BEHIND_S, MOST_S, Pace

periods = st.sampled_from([0.1, 0.5, 1.0, 2.0, 10.0])


@given(periods, st.lists(st.floats(0, 1.9), max_size=30))
def test_short_stalls_leave_no_gap_and_every_reading_has_its_own_moment(
    period_s: float, stalls: list[float]
) -> None:
    pace, now, dues = Pace(100.0), 100.0, [100.0]
    for stall_s in stalls:
        now = max(now, pace.due) + min(stall_s, BEHIND_S - (now - pace.due if now > pace.due else 0.0))
        assert pace.next(period_s, now) == period_s
        dues.append(pace.due)
    assert all(b - a == pytest.approx(period_s) for a, b in itertools.pairwise(dues))


@given(periods, st.floats(BEHIND_S + 20.1, 100_000))
def test_after_a_long_stall_nothing_is_made_up_and_the_vehicle_has_driven_on(
    period_s: float, stall_s: float
) -> None:
    pace = Pace(0.0)
    driven_s = pace.next(period_s, stall_s)
    assert stall_s - period_s - 1e-6 <= pace.due <= stall_s + 1e-6  # the next one is of now
    assert driven_s == pytest.approx(min(pace.due, period_s + MOST_S))
    assert pace.next(period_s, pace.due) == period_s  # no burst


@given(periods, st.floats(0, 10))
def test_a_unit_that_wakes_early_reads_at_once(period_s: float, early_s: float) -> None:
    pace = Pace(50.0)
    pace.next(60.0, 50.0)
    woken = 50.0 + early_s
    assert pace.earlier(woken) == pytest.approx(early_s)
    assert pace.due == pytest.approx(woken)
    assert pace.next(period_s, woken) == period_s


def test_a_wake_up_before_the_last_reading_was_due_does_not_go_back() -> None:
    pace = Pace(5.0)
    pace.next(60.0, 4.0)
    assert pace.earlier(4.0) == 0.0
    assert pace.due == 5.0


def test_a_wake_up_after_the_moment_changes_nothing() -> None:
    pace = Pace(0.0)
    pace.next(1.0, 0.0)
    assert pace.earlier(1.5) == 1.0
    assert pace.due == 1.0
