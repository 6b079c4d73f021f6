"""Times, durations and boxes as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.live.filter import Box
from dashboard.parameters import parse_box, parse_duration, parse_time, words

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("250ms", 0.25), ("1.5h", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "0s", "-5m", "5m!", "400d", "1y", "five"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_times() -> None:
    expected = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    for text in (
        "2026-11-20T09:30:00Z",
        "2026-11-20T11:30:00+02:00",
        "2026-11-20T11:30:00 02:00",  # an unescaped + arrives as a space
        "2026-11-20 09:30:00Z",
        "2h30m",
    ):
        assert parse_time(text, NOW) == expected, text


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-20", "2026-11-20T09:30:00", "2026-13-01T00:00:00Z", "12:00Z"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|RFC 3339"):
        parse_time(text, NOW)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_of_an_answer_can_be_asked_for(moment: datetime) -> None:
    assert parse_time(moment.isoformat().replace("+00:00", "Z"), NOW) == moment


def test_boxes() -> None:
    box = parse_box("24.9,60.1,25.0,60.2")
    assert box == Box(24.9, 60.1, 25.0, 60.2)
    assert box.contains(60.15, 24.95)
    assert not box.contains(60.15, 25.05)
    pacific = parse_box("170,-20,-170,0")
    assert pacific.contains(-10, 179)
    assert pacific.contains(-10, -179)
    assert not pacific.contains(-10, 0)
    for wrong in ("1,2,3", "a,b,c,d", "0,10,10,0", "0,0,0,91", "181,0,182,1", "nan,0,1,1"):
        with pytest.raises(ValueError, match="box"):
            parse_box(wrong)


def test_words() -> None:
    assert words(["a,b", "c", " a "]) == ["a", "b", "c"]
    assert words([","]) is None
    assert words(None) is None
