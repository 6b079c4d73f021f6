"""The fast check of signals agrees with the contract's own, reading by reading."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import encode
from fleetcell.contract.signals import CATALOGUE, check_signals
from ingest.columns import check, extras, hot_columns

numbers = (
    st.integers(-1000, 1000) | st.floats(-1000, 1000) | st.sampled_from([math.inf, math.nan, 10**30, -0.0])
)
values = (
    st.none() | st.booleans() | numbers | st.text(max_size=70) | st.lists(st.text(max_size=3), max_size=2)
)
keys = st.sampled_from(sorted(CATALOGUE)) | st.sampled_from(["lat", "lon", "speed", "my.key", "bad key", ""])
readings = st.lists(st.dictionaries(keys, values, max_size=6), max_size=6)


def without_nulls(reading: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reading.items() if value is not None}


@given(readings)
def test_the_fast_check_accepts_what_the_contract_accepts(given_readings: list[dict[str, Any]]) -> None:
    signals = check(given_readings)
    for row, reading in enumerate(given_readings):
        accepted, problems = check_signals(reading)
        assert without_nulls(signals.accepted[row]) == accepted
        assert signals.problems.get(row, []) == problems
        for key, column in signals.hot.items():
            assert column[row] == accepted.get(key)


@given(readings)
def test_columns_are_made_of_whatever_was_accepted(given_readings: list[dict[str, Any]]) -> None:
    signals = check(given_readings)
    assert len(hot_columns(signals)) == 19
    assert len(extras(signals, dict.fromkeys(range(len(given_readings)), 5))) == len(given_readings)


def test_values_of_message_pack_that_json_has_no_equal_for_are_refused() -> None:
    signals = check([{"raw": b"\x00\xff"}, {"deep": {"a": [math.nan]}}, {"fine": 3}])
    assert [without_nulls(accepted) for accepted in signals.accepted] == [{}, {}, {"fine": 3}]
    assert sorted(signals.problems) == [0, 1]


def test_extra_holds_what_has_no_column_and_what_was_refused() -> None:
    signals = check([{"speed": 1.0}, {"speed": 9000, "turbo": True}, {"speed": 2.0}])
    documents = extras(signals, {2: 1_500_000})
    assert documents[0] is None
    assert documents[1] == encode({"turbo": True, "$refused": signals.problems[1]})
    assert documents[2] == b'{"$device_time_ms":1500.0}'
