"""The catalogue, and what becomes of good and bad values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.signals import CATALOGUE, HOT, Datatype, check_signals


def test_the_catalogue_holds_together() -> None:
    assert len({signal.vss for signal in CATALOGUE.values()}) == len(CATALOGUE)
    assert all(signal.column == signal.key for signal in HOT)
    assert {"lat", "lon", "speed", "heading", "soc"} <= {signal.key for signal in HOT}
    for signal in CATALOGUE.values():
        if signal.low is not None and signal.high is not None:
            assert signal.low < signal.high


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lat", 91),
        ("lat", "60"),
        ("speed", float("nan")),
        ("speed", True),
        ("gear", 1.5),
        ("ignition", 1),
        ("rat", "x" * 65),
        ("rat", "a\0b"),
        ("dtc", "P0420"),
        ("soc", -1),
        ("mine", float("inf")),
        ("mine", {"deep": ["a\0"]}),
        ("a key", 1),
        ("", 1),
    ],
)
def test_a_bad_value_costs_only_itself(key: str, value: Any) -> None:
    accepted, problems = check_signals({"odo": 12.5, key: value})
    assert accepted == {"odo": 12.5}
    assert any((key in problem) for problem in problems)


def test_unknown_keys_and_unavailable_values() -> None:
    accepted, problems = check_signals({"speed": None, "wipers": "on", "nested": {"a": [1, 2.5, None]}})
    assert accepted == {"wipers": "on", "nested": {"a": [1, 2.5, None]}}
    assert problems == []


def test_half_a_position_is_none() -> None:
    accepted, problems = check_signals({"lat": 60.1, "speed": 3})
    assert accepted == {"speed": 3}
    assert problems


@given(
    st.dictionaries(
        st.sampled_from(sorted(CATALOGUE)), st.floats() | st.integers() | st.booleans() | st.text()
    )
)
def test_every_value_is_accepted_refused_or_unavailable(signals: dict[str, Any]) -> None:
    accepted, problems = check_signals(signals)
    assert set(accepted) <= set(signals)
    for key, value in accepted.items():
        signal = CATALOGUE[key]
        if signal.datatype is Datatype.DOUBLE and signal.low is not None and signal.high is not None:
            assert signal.low <= value <= signal.high
    if set(accepted) != set(signals):
        assert problems
