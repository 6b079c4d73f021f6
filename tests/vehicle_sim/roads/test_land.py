"""Polygons for the map."""

from shapely.geometry import Point, box
from shapely.geometry import Polygon as Shape

from vehicle_sim.roads.extract import Area
from vehicle_sim.roads.format import Building, Park, Polygon, Position, Water
from vehicle_sim.roads.land import land_features, sea_polygons

BOUNDS = (25.0, 60.0, 25.01, 60.01)


def square(west: float, south: float, side: float) -> list[Position]:
    return [
        (west, south),
        (west + side, south),
        (west + side, south + side),
        (west, south + side),
        (west, south),
    ]


def test_polygons_are_cut_to_the_bounds_and_ordered() -> None:
    areas = [
        Area(3, "building", "", square(25.004, 60.004, 0.001), []),
        Area(2, "park", "Esplanadi", square(24.995, 60.004, 0.01), [square(25.001, 60.006, 0.001)]),
        Area(1, "water", "", square(25.1, 60.1, 0.01), []),  # far outside
        Area(4, "park", "", square(25.001, 60.001, 0.00001), []),  # too small to be seen
    ]
    features = land_features(areas, [], BOUNDS)
    assert [f.properties for f in features] == [Park(name="Esplanadi"), Building()]
    park = features[0].geometry
    assert isinstance(park, Polygon)
    shape = Shape(park.coordinates[0], park.coordinates[1:])
    assert box(*BOUNDS).covers(shape)
    assert abs(shape.area - (0.005 * 0.006 - 0.001**2)) < 1e-9
    assert shape.exterior.is_ccw
    assert not shape.interiors[0].is_ccw


def test_crossed_outlines_are_mended() -> None:
    bow_tie = [(25.0, 60.0), (25.01, 60.01), (25.01, 60.0), (25.0, 60.01), (25.0, 60.0)]
    features = land_features([Area(1, "water", "", bow_tie, [])], [], BOUNDS)
    assert [type(f.properties) for f in features] == [Water, Water]


def test_the_sea_lies_on_the_right_of_its_coast() -> None:
    going_east = [(24.9, 60.005), (25.005, 60.006), (25.1, 60.005)]  # land in the north
    (sea,) = sea_polygons([going_east], BOUNDS)
    assert sea.contains(Point(25.005, 60.001))
    assert not sea.contains(Point(25.005, 60.009))
    (north,) = sea_polygons([going_east[::-1]], BOUNDS)
    assert north.contains(Point(25.005, 60.009))


def test_a_coast_in_pieces_and_an_island() -> None:
    west, east = [(24.9, 60.005), (25.005, 60.005)], [(25.005, 60.005), (25.1, 60.005)]
    island = square(25.002, 60.002, 0.001)  # anticlockwise: land on the left, which is inside
    (sea,) = sea_polygons([east, west, island], BOUNDS)
    assert sea.contains(Point(25.005, 60.001))
    assert not sea.contains(Point(25.0025, 60.0025))


def test_a_coast_that_breaks_off_near_the_frame_is_led_on() -> None:
    cut = [(25.0002, 60.005), (25.0098, 60.005)]
    (sea,) = sea_polygons([cut], BOUNDS)
    assert sea.contains(Point(25.005, 60.001))


def test_a_coast_that_ends_nowhere_makes_no_sea() -> None:
    assert sea_polygons([[(25.003, 60.005), (25.006, 60.005)]], BOUNDS) == []
    assert sea_polygons([], BOUNDS) == []
