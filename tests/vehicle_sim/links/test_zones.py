"""Tunnels as polygons."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point, Polygon

from tests.vehicle_sim.helsinki import HELSINKI
from vehicle_sim.links.tunnels import BUILT_IN
from vehicle_sim.links.zones import road_tunnels, zone
from vehicle_sim.mobility import Drive

ring = st.lists(st.tuples(st.floats(0, 6.283), st.floats(0.2, 1.0)), min_size=3, max_size=9).map(sorted)


@given(ring, st.floats(-1.1, 1.1), st.floats(-1.1, 1.1))
def test_a_zone_covers_what_shapely_says(polar: list[tuple[float, float]], x: float, y: float) -> None:
    corners = [(radius * math.cos(angle), radius * math.sin(angle)) for angle, radius in polar]
    polygon = Polygon(corners)
    if polygon.is_valid and polygon.boundary.distance(Point(x, y)) > 1e-9:
        assert zone("z", corners).covers(x, y) == polygon.contains(Point(x, y))


def test_two_corners_make_no_zone() -> None:
    with pytest.raises(ValueError, match="'line' has 2 corners"):
        zone("line", [(0, 0), (1, 1)])


def test_the_tunnels_of_the_roads_become_zones() -> None:
    zones = road_tunnels(HELSINKI.roads)
    assert {found.name for found in zones} == {"Siltavuorenpenger"}
    for road in HELSINKI.roads:
        lon, lat, _ = road.at(road.length_m / 2)
        if road.tunnel:
            assert any(found.covers(lon, lat) for found in zones)
    assert len(zones) == 2


def test_vehicles_of_the_demo_drive_into_the_built_in_tunnel_and_stay_for_long_enough() -> None:
    """Longer than one and a half keep-alive intervals of 20 s, within ten minutes."""
    longest = 0
    for number in range(25):
        drive, inside = Drive(HELSINKI, f"demo:{number}"), 0
        for _ in range(600):
            signals = drive.advance(1.0)
            inside = inside + 1 if BUILT_IN[0].covers(signals["lon"], signals["lat"]) else 0  # type: ignore[arg-type]  # floats
            longest = max(longest, inside)
        if longest > 35:
            return
    raise AssertionError(f"the longest stay was {longest} s")
