"""When a reading was measured, whatever the unit's clock says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import DAY_US, ROLLOVER_US, Dated, date, earliest, origin_of
from ingest.quality import EARLIEST_US, FUTURE_US

NOW = 1_795_200_000_000_000  # 2026-11-20
SECOND = 1_000_000
HOUR = 3600 * SECOND
any_time = st.integers(-(2**60), 2**60)
uptimes = st.none() | st.integers(0, 2**53)


@given(
    st.lists(st.tuples(any_time, uptimes), max_size=6),
    st.integers(NOW - 3650 * DAY_US, NOW),
    st.none() | any_time,
)
def test_no_reading_gets_a_time_that_cannot_be(
    given_readings: list[tuple[int, int | None]], received: int, origin: int | None
) -> None:
    device, ups = [time for time, _ in given_readings], [up for _, up in given_readings]
    found = date(device, ups, received, origin)
    assert len(found.times_us) == len(device)
    wrong = {*found.quarantined, *found.corrected}
    assert len(wrong) == len(found.quarantined) + len(found.corrected), "one or the other"
    for position, time in enumerate(found.times_us):
        assert EARLIEST_US <= time <= received + FUTURE_US
        if position in found.quarantined:
            assert time == received
        elif position not in wrong:
            assert time == device[position]


@given(
    st.lists(st.integers(0, 10 * DAY_US // 1000), min_size=1, max_size=6),
    st.integers(0, 20 * SECOND),
    st.integers(-(50 * 365 * DAY_US), 50 * 365 * DAY_US),
)
def test_the_uptime_tells_the_time_of_a_reading_to_the_delay_of_the_message(
    ups: list[int], delay: int, error: int
) -> None:
    sent = max(ups)
    booted = NOW - delay - sent * 1000
    true = [booted + up * 1000 for up in ups]
    device = [time + error for time in true]
    found = date(device, ups, NOW, origin_of(None, NOW, sent))
    assert not found.quarantined
    for position, time in enumerate(found.times_us):
        if position in found.corrected:
            assert abs(time - true[position]) <= delay
        else:
            assert time == device[position]
            assert abs(error) <= FUTURE_US + delay, "a clock that is further off is not believed"


@given(st.permutations(list(range(8))), st.lists(st.integers(0, HOUR), min_size=8, max_size=8))
def test_the_quickest_message_tells_the_origin_in_any_order(order: list[int], delays: list[int]) -> None:
    booted = NOW - HOUR
    held = None
    for n in order:
        held = earliest(held, booted + n * SECOND + delays[n], n * 1000)
    assert held == booted + min(delays)


def test_a_message_that_was_held_up_corrects_nothing() -> None:
    booted = NOW - HOUR
    held = earliest(None, booted + 10 * SECOND, 10_000)
    stalled = booted + 20 * SECOND + 10 * 60 * SECOND
    assert origin_of(held, stalled, 20_000) is None, "the uptime stood still, or the message did"
    assert origin_of(held, stalled, None) == booted, "of an earlier message"
    assert date([booted], [0], stalled, None).times_us == [booted]


@pytest.mark.parametrize("eras", [1, 2])
def test_a_week_number_of_an_earlier_era_is_corrected_without_an_uptime(eras: int) -> None:
    true = NOW - 3 * DAY_US - 7 * SECOND
    found = date([true - eras * ROLLOVER_US, NOW], [], NOW, None)
    assert (list(found.times_us), list(found.corrected)) == ([true, NOW], [0])


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (0, "1970"),
        (315_964_800 * SECOND, "1980, where GPS begins"),
        (946_684_800 * SECOND, "2000"),
        (NOW + FUTURE_US + 1, "ahead"),
        (2**60, "far ahead"),
        (-(2**60), "before the common era"),
        (NOW - ROLLOVER_US - 40 * DAY_US, "an earlier era, and too long ago"),
    ],
)
def test_what_nothing_is_known_of_is_dated_by_arrival(device: int, name: str) -> None:
    found = date([device], [], NOW, None)
    assert (list(found.times_us), list(found.quarantined)) == ([NOW], [0]), name


def test_when_1970_is_three_eras_ago_it_is_not_taken_for_now() -> None:
    then = 3 * ROLLOVER_US + HOUR  # in November 2028
    assert date([HOUR], [], then, None).quarantined == [0]


def test_a_clock_of_2015_is_believed_only_without_an_uptime() -> None:
    wrong = NOW - 11 * 365 * DAY_US
    assert date([wrong], [None], NOW, NOW - HOUR).times_us == [wrong], "an old file, replayed"
    found = date([wrong], [60_000], NOW, NOW - HOUR)
    assert (list(found.times_us), list(found.corrected)) == ([NOW - HOUR + 60 * SECOND], [0])


def test_an_uptime_that_cannot_be_says_nothing() -> None:
    for origin in (NOW - 800 * DAY_US, NOW + DAY_US):
        assert date([NOW - 5], [1], NOW, origin).times_us == [NOW - 5]


def test_an_uptime_of_a_lifetime_is_not_believed() -> None:
    assert origin_of(None, NOW, 2**53) is None
    assert earliest(NOW - HOUR, NOW, 2**53) == NOW - HOUR


def test_the_uptime_gives_no_time_ahead_of_the_arrival() -> None:
    """The origin may be a little late: it is known by the messages that came so far."""
    found = date([5 * SECOND], [10_000], NOW, NOW + 50 * SECOND)
    assert (found.times_us, found.corrected) == ([NOW], [0])


def test_a_clock_that_agrees_with_the_uptime_is_not_believed_far_ahead_of_the_arrival() -> None:
    true = NOW + FUTURE_US - SECOND
    assert date([true + 2 * SECOND], [0], NOW, true).corrected == [0]
    assert date([true], [0], NOW, true) == Dated([true])
