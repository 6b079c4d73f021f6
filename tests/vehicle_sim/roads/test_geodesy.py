"""The flat metres of a road against pyproj's geodesics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from vehicle_sim.roads.geodesy import metres_per_degree, segment, turn_deg

GEOD = Geod(ellps="WGS84")


@given(
    lat=st.floats(-75, 75),
    lon=st.floats(-179, 179),
    north=st.floats(-0.05, 0.05),
    east=st.floats(-0.05, 0.05),
)
def test_segments_are_as_long_and_lead_where_the_geodesic_does(
    lat: float, lon: float, north: float, east: float
) -> None:
    azimuth, _, distance = GEOD.inv(lon, lat, lon + east, lat + north)
    length, heading = segment(lon, lat, lon + east, lat + north)
    assert length == pytest.approx(distance, rel=2e-5, abs=1e-6)
    assert 0 <= heading < 360
    if distance > 1:
        assert abs(turn_deg(azimuth, heading)) < 0.2  # the geodesic's course changes on its way


def test_metres_per_degree_at_the_equator_and_the_pole() -> None:
    assert metres_per_degree(0) == pytest.approx((111319.49, 110574.28), abs=0.01)
    assert metres_per_degree(90)[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "turn"), [(350, 10, 20), (10, 350, -20), (0, 180, -180), (90, 90, 0), (0, 90, 90)]
)
def test_turn_deg(before: float, after: float, turn: float) -> None:
    assert turn_deg(before, after) == turn
