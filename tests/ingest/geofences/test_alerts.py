"""Which alerts are raised, and which are corrected."""

from __future__ import annotations

import pytest

from ingest.geofences.alerts import Alert, Correction, settle
from ingest.geofences.crossings import DWELL, ENTER, EXIT, Crossing

ALL = (ENTER, EXIT, DWELL)


def crossing(kind: str, at: int, before: int | None = 0, *, silence: bool = False) -> Crossing:
    return Crossing(1, at, kind, before, silence, 60.0, 25.0)


def raised(
    *crossings: Crossing, kinds: tuple[str, ...] = ALL, live_from: int | None = 100
) -> list[tuple[str, int]]:
    settled = settle([], crossings, kinds, live_from)
    assert settled.corrected == []
    return [(one.kind, one.at_us) for one in settled.raised]


def test_only_what_is_live_and_wanted_is_raised() -> None:
    visit = crossing(ENTER, 90), crossing(DWELL, 150), crossing(EXIT, 200)
    assert raised(*visit) == [("exit", 200), ("dwell", 150)]
    assert raised(*visit, live_from=90, kinds=(ENTER,)) == [("enter", 90)]
    assert raised(*visit, live_from=None) == []
    assert raised(*visit, kinds=()) == []


def test_a_first_position_inside_is_no_entry() -> None:
    assert raised(crossing(ENTER, 150, None)) == []


def test_a_silence_inside_is_no_entry_but_one_that_began_outside_is() -> None:
    assert raised(crossing(EXIT, 20, 20, silence=True), crossing(ENTER, 150, 20, silence=True)) == []
    assert raised(crossing(EXIT, 10), crossing(ENTER, 150, 20, silence=True)) == [("enter", 150)]


def test_who_was_seen_outside_before_a_step_has_entered() -> None:
    assert raised(crossing(EXIT, 20, 10), crossing(ENTER, 150, 20)) == [("enter", 150)]


def test_an_entry_may_be_the_last_position_before_a_silence() -> None:
    visits = crossing(ENTER, 110, 105), crossing(EXIT, 110, 110, silence=True), crossing(ENTER, 150, 140)
    assert raised(*visits) == [("enter", 110), ("enter", 150), ("exit", 110)]


def test_what_is_alerted_is_not_alerted_again() -> None:
    settled = settle([Alert(5, ENTER, 150, 150)], [crossing(ENTER, 150)], ALL, 100)
    assert (settled.raised, settled.corrected) == ([], [])


def test_a_crossing_that_moved_takes_its_alert_with_it() -> None:
    settled = settle([Alert(5, ENTER, 150, 150)], [crossing(ENTER, 140)], ALL, 100)
    assert (settled.raised, settled.corrected) == ([], [Correction(5, 140, "moved")])
    again = settle([Alert(5, ENTER, 150, 140)], [crossing(ENTER, 130)], ALL, 100)
    assert again.corrected == [Correction(5, 130, "moved")]
    back = settle([Alert(5, ENTER, 150, 130)], [crossing(ENTER, 150)], ALL, 100)
    assert back.corrected == [Correction(5, 150, None)]


def test_an_alert_stays_with_the_crossing_that_it_moved_to() -> None:
    known = [crossing(ENTER, 130), crossing(EXIT, 140), crossing(ENTER, 160)]
    settled = settle([Alert(5, ENTER, 150, 130)], known, (ENTER,), 100)
    assert ([one.at_us for one in settled.raised], settled.corrected) == ([160], [])


def test_one_of_another_visit_is_another_alert() -> None:
    known = [crossing(ENTER, 110), crossing(EXIT, 120)]
    settled = settle([Alert(5, ENTER, 150, 150)], known, (ENTER,), 100)
    assert [one.at_us for one in settled.raised] == [110]
    assert settled.corrected == [Correction(5, None, "withdrawn")]


def test_what_was_withdrawn_stays_or_comes_back() -> None:
    assert settle([Alert(5, EXIT, 150, None)], [], ALL, 100).corrected == []
    assert settle([Alert(5, EXIT, 150, None)], [crossing(EXIT, 150)], ALL, 100).corrected == [
        Correction(5, 150, None)
    ]


@pytest.mark.parametrize("kind", [ENTER, EXIT])
def test_while_a_bucket_is_still_to_follow_there_are_two_of_a_kind(kind: str) -> None:
    """Late readings changed the first bucket; that in the second one is not taken away yet."""
    both = [crossing(kind, 110), crossing(kind, 150)]
    settled = settle([Alert(5, kind, 150, 150)], both, ALL, 100)
    assert (settled.raised, settled.corrected) == ([], [Correction(5, 110, "moved")])
    after = settle([Alert(5, kind, 150, 110)], both[:1], ALL, 100)
    assert (after.raised, after.corrected) == ([], [])


def test_the_nearest_of_two_is_the_same() -> None:
    known = [crossing(DWELL, 110), crossing(DWELL, 160)]
    settled = settle([Alert(5, DWELL, 150, 150)], known, ALL, 100)
    assert [one.at_us for one in settled.raised] == [110]
    assert settled.corrected == [Correction(5, 160, "moved")]
