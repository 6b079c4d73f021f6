"""When a replay makes readings, and how it dates them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.errors import ConfigError
from vehicle_sim.readers import Reading, Trace
from vehicle_sim.replay import AS_FAST_AS_POSSIBLE, ReplayError, ReplayOptions, TimeMode, parse_speed, plan

NOW = 1_780_000_000.0
TIMES = st.lists(st.floats(0, 86400).map(lambda t: round(t, 3)), min_size=1, max_size=8).map(sorted)
SPEEDS = st.one_of(st.floats(0.01, 1000), st.just(AS_FAST_AS_POSSIBLE), st.just(0.0))


def trace(times: list[float], start: datetime | None = None) -> Trace:
    return Trace("car-1", "test.gpx", [Reading(t, {"lat": 60.0}) for t in times], start)


@given(st.lists(TIMES, min_size=1, max_size=4), SPEEDS)
def test_shifted_readings_keep_their_spacing_and_none_is_in_the_future(
    times: list[list[float]], speed: float
) -> None:
    traces = [trace(each) for each in times]
    timeline = plan(traces, speed, TimeMode.SHIFT, NOW)
    first = min(each[0] for each in times)
    for one in traces:
        for reading in one.readings:
            dated = timeline.date_ms(one, reading.t_s)
            made = (NOW + timeline.made_after(reading.t_s)) * 1000
            assert dated <= made + 1
            spacing = dated - timeline.date_ms(traces[0], first)
            assert abs(spacing - (reading.t_s - first) * 1000) <= 1


@given(TIMES, st.floats(1, 1000))
def test_shifted_the_last_reading_is_dated_at_the_end_of_the_replay(times: list[float], speed: float) -> None:
    one = trace(times)
    timeline = plan([one], speed, TimeMode.SHIFT, NOW)
    end = (NOW + timeline.made_after(times[-1])) * 1000
    assert abs(timeline.date_ms(one, times[-1]) - end) <= 1


def test_original_times_are_those_of_the_recording() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    one = trace([0.0, 1.5], start)
    timeline = plan([one], 20, TimeMode.ORIGINAL, NOW)
    assert [timeline.date_ms(one, t) for t in (0.0, 1.5)] == [1577836800000, 1577836801500]
    assert timeline.made_after(10) == 0.5


def test_original_times_that_are_not_there_are_refused() -> None:
    with pytest.raises(ReplayError, match=r"test\.gpx has no absolute times: replay it with --time shift"):
        plan([trace([0.0])], 1, TimeMode.ORIGINAL, NOW)


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("1", 1),
        ("20", 20),
        ("20x", 20),
        ("0.5", 0.5),
        ("max", AS_FAST_AS_POSSIBLE),
        ("0", AS_FAST_AS_POSSIBLE),
    ],
)
def test_speeds(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "-1", "nan", "inf", "1e999"])
def test_speeds_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--speed"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ReplayOptions([], Path()), "trace file"),
        (ReplayOptions([Path("x")], Path(), speed=float("nan")), "--speed"),
        (ReplayOptions([Path("x")], Path(), quiet_s=0), "--wait"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: ReplayOptions, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        options.check()
