"""Places and areas, against shapely and against the great circle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from shapely.ops import nearest_points

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.geofences import MAX_POSITIONS, Circle, area_of, fields_of
from ingest.derive.summary import great_circle
from ingest.geofences.shapes import Shape

SQUARE = [[25.0, 60.0], [25.2, 60.0], [25.2, 60.1], [25.0, 60.1], [25.0, 60.0]]
HOLE = [[25.05, 60.02], [25.1, 60.02], [25.1, 60.06], [25.05, 60.06], [25.05, 60.02]]
OTHER = [[24.0, 60.0], [24.1, 60.0], [24.1, 60.1], [24.0, 60.0]]
FIJI = [[179.5, -18.0], [-179.5, -18.0], [-179.5, -16.0], [179.5, -16.0], [179.5, -18.0]]


def shape(kind: str, coordinates: Any, radius_m: float | None = None) -> Shape:
    return Shape(area_of({"type": kind, "coordinates": coordinates}, radius_m))


def inside(one: Shape, lon: float, lat: float) -> bool:
    return bool(one.inside(np.array([lat]), np.array([lon]))[0])


def outside_m(one: Shape, lon: float, lat: float) -> float:
    return float(one.outside_m(np.array([lat]), np.array([lon]))[0])


def in_boxes(one: Shape, lon: float, lat: float, margin_m: float) -> bool:
    return any(s <= lat <= n and w <= lon <= e for s, w, n, e in one.boxes(margin_m))


@pytest.mark.parametrize(
    ("lon", "lat", "wanted"),
    [(25.01, 60.01, True), (25.07, 60.04, False), (25.3, 60.05, False), (25.1, 60.2, False)],
)
def test_a_hole_is_outside(lon: float, lat: float, wanted: bool) -> None:
    assert inside(shape("Polygon", [SQUARE, HOLE]), lon, lat) is wanted
    assert inside(shape("Polygon", [SQUARE[::-1], HOLE[::-1]]), lon, lat) is wanted


def test_of_several_polygons_one_is_enough() -> None:
    both = shape("MultiPolygon", [[SQUARE, HOLE], [OTHER]])
    assert inside(both, 24.08, 60.02)
    assert inside(both, 25.01, 60.01)
    assert not inside(both, 24.5, 60.05)
    assert outside_m(both, 25.07, 60.04) == pytest.approx(
        0.02 * 111_195 * math.cos(math.radians(60.04)), rel=0.01
    )


@pytest.mark.parametrize("ring", [FIJI, [*FIJI[1:], FIJI[1]], FIJI[::-1]])
def test_a_ring_may_cross_the_antimeridian(ring: list[list[float]]) -> None:
    fiji = shape("Polygon", [ring])
    for lon in (179.7, 180.0, -180.0, -179.7):
        assert inside(fiji, lon, -17.0)
        assert in_boxes(fiji, lon, -17.0, 0)
    for lon in (179.4, -179.4, 0.0):
        assert not inside(fiji, lon, -17.0)
        assert not in_boxes(fiji, lon, -17.0, 0)
    assert outside_m(fiji, 179.4, -17.0) == pytest.approx(
        0.1 * 111_195 * math.cos(math.radians(17)), rel=0.01
    )


def test_a_hole_may_lie_on_the_other_side_of_the_antimeridian() -> None:
    hole = [[-179.9, -17.5], [-179.8, -17.5], [-179.8, -17.0], [-179.9, -17.5]]
    assert not inside(shape("Polygon", [FIJI, hole]), -179.82, -17.3)
    assert inside(shape("Polygon", [FIJI, hole]), -179.95, -17.3)


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(1, 400_000), st.floats(0, 360), st.floats(0, 3))
def test_a_circle_is_as_far_as_its_radius(
    lon: float, lat: float, radius: float, turn: float, share: float
) -> None:
    assume(abs(share - 1) > 1e-3)
    circle = shape("Point", [lon, lat], radius)
    away, bearing = share * radius / 6_371_008.8, math.radians(turn)
    top = math.asin(
        math.sin(math.radians(lat)) * math.cos(away)
        + math.cos(math.radians(lat)) * math.sin(away) * math.cos(bearing)
    )
    aside = math.atan2(
        math.sin(bearing) * math.sin(away) * math.cos(math.radians(lat)),
        math.cos(away) - math.sin(math.radians(lat)) * math.sin(top),
    )
    place = (lon + math.degrees(aside) + 540) % 360 - 180, math.degrees(top)
    assert inside(circle, *place) is (share < 1)
    assert outside_m(circle, *place) == pytest.approx(max(share - 1, 0) * radius, rel=1e-3, abs=0.5)
    if share < 1:
        assert in_boxes(circle, *place, 0)


lattice = st.tuples(st.integers(0, 40), st.integers(0, 40))  # 0.005 degrees each


@given(st.sets(lattice, min_size=3, max_size=12), st.lists(lattice, min_size=1, max_size=20))
def test_a_polygon_is_what_shapely_says(corners: set[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    found = sorted(corners)
    middle = sum(x for x, _ in found) / len(found), sum(y for _, y in found) / len(found)
    found.sort(key=lambda one: (math.atan2(one[1] - middle[1], one[0] - middle[0]), one))
    ring = [[25 + x / 200, 60 + y / 200] for x, y in [*found, found[0]]]
    wanted = shapely.Polygon(ring)
    assume(wanted.is_valid and wanted.area > 1e-6)
    ours = shape("Polygon", [ring])
    for x, y in asked:
        lon, lat = 25.0013 + x / 200, 60.0017 + y / 200
        point = shapely.Point(lon, lat)
        if wanted.exterior.distance(point) < 1e-6:
            continue
        assert inside(ours, lon, lat) is wanted.contains(point)
        if not wanted.contains(point):
            metres = outside_m(ours, lon, lat)
            nearest = nearest_points(wanted.exterior, point)[0]
            ends = (np.array([one]) for one in (lat, lon, nearest.y, nearest.x))
            # The nearest one in degrees is at hand on the earth too, though another may be nearer.
            assert 0 < metres <= float(great_circle(*ends)[0]) * 1.05
            assert in_boxes(ours, lon, lat, metres * 1.05)


@pytest.mark.parametrize(
    ("geometry", "radius_m", "reason"),
    [
        (None, None, "not a GeoJSON object"),
        ({"type": "LineString", "coordinates": []}, None, "LineString"),
        ({"type": "Point", "coordinates": [25, 60]}, None, "needs one"),
        ({"type": "Point", "coordinates": [25, 60]}, 0.5, "from 1 to"),
        ({"type": "Point", "coordinates": [25, 60]}, math.nan, "from 1 to"),
        ({"type": "Point", "coordinates": [60, 125]}, 5, "coordinates: latitude 125"),
        ({"type": "Point", "coordinates": [True, 5]}, 5, "longitude True"),
        ({"type": "Point", "coordinates": 5}, 5, "not a list"),
        ({"type": "Polygon", "coordinates": [SQUARE]}, 5, "only a Point"),
        ({"type": "Polygon", "coordinates": []}, None, "0 entries"),
        ({"type": "Polygon", "coordinates": [SQUARE[:-1]]}, None, "[0]: it is not closed"),
        ({"type": "Polygon", "coordinates": [SQUARE[:2]]}, None, "2 entries"),
        ({"type": "Polygon", "coordinates": [[[1, 1]] * 4]}, None, "no area"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, None, "no area"),
        ({"type": "Polygon", "coordinates": [[[0, 80], [120, 80], [-120, 80], [0, 80]]]}, None, "pole"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [100, 0], [190 - 360, 5], [90, 9], [0, 9], [0, 0]]]},
            None,
            "wider than half the earth",
        ),
        (
            {"type": "MultiPolygon", "coordinates": [[SQUARE], [[[0, 0], [9, 0], [9, "x"], [0, 0]]]]},
            None,
            "coordinates[1][0][2]: latitude x",
        ),
        (
            {"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE] * (MAX_POSITIONS // 5)]},
            None,
            "at most 5000",
        ),
    ],
)
def test_what_is_no_area(geometry: Any, radius_m: float | None, reason: str) -> None:
    with pytest.raises(PayloadError) as refused:
        area_of(geometry, radius_m)
    assert reason in str(refused.value)


def test_a_feature_is_a_geofence() -> None:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [25, 60, 12.5]},
        "properties": {"name": "depot", "radius_m": 100, "colour": "red"},
    }
    fields = fields_of(feature)
    assert fields == {"geometry": feature["geometry"], "name": "depot", "radius_m": 100}
    assert area_of(fields["geometry"], fields["radius_m"]) == Circle((25.0, 60.0), 100.0)
    assert fields_of({"geometry": None, "properties": None}) == {"geometry": None}
