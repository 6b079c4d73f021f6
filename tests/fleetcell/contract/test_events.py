"""The data of events."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.events import place_of

NUMBERS = st.floats() | st.integers()


@given(NUMBERS, NUMBERS)
def test_a_place_is_on_the_earth_or_none(lat: float, lon: float) -> None:
    place = place_of({"lat": lat, "lon": lon, "code": "P0300"})
    on_earth = abs(lat) <= 90 and abs(lon) <= 180
    assert place == ((lat, lon) if on_earth else None)


@pytest.mark.parametrize(
    "lat", [None, "60", True, math.nan, math.inf, [], 10**400], ids=lambda lat: type(lat).__name__
)
def test_what_is_no_latitude_makes_no_place(lat: object) -> None:
    assert place_of({"lat": lat, "lon": 24.9}) is None
    assert place_of({"lon": 24.9}) is None
