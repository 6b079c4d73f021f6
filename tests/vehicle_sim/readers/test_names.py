"""Vehicle names from what trace files call them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.topics import check_name
from vehicle_sim.readers.names import sanitise, unique_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bus_19-480", "bus_19-480"),
        ("veh.0", "veh_0"),
        ("Äänekoski 7", "Aanekoski_7"),
        ("日本", "vehicle"),
        ("", "vehicle"),
        ("a" * 70, "a" * 64),
        ("gateway", "gateway_"),
        ("../../etc", "_etc"),
        ("a/+/#", "a_"),
    ],
)
def test_sanitise(name: str, expected: str) -> None:
    assert sanitise(name) == expected


@given(st.lists(st.text(max_size=80) | st.sampled_from(["a.b", "a_b", "a b", "live", "x" * 64]), max_size=30))
def test_names_follow_the_contract_and_differ(names: list[str]) -> None:
    result = unique_names(names)
    assert len(result) == len(names)
    assert len(set(result)) == len(names)
    for name in result:
        assert check_name(name, "vehicle") == name
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert unique_names(names) == result


def test_a_good_name_is_kept_whoever_comes_first() -> None:
    assert unique_names(["a.b", "a_b", "a b", "a_b"]) == ["a_b-2", "a_b", "a_b-3", "a_b-4"]


def test_long_names_leave_room_for_the_number() -> None:
    first, second = unique_names(["x" * 64, "x" * 70])
    assert (first, second) == ("x" * 64, "x" * 62 + "-2")
