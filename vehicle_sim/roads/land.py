"""Water, green and buildings as polygons for the map, cut to the network's surroundings. Pure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import shapely
from shapely.geometry import LineString as Line
from shapely.geometry import MultiPoint, Point, box
from shapely.geometry import Polygon as Shape
from shapely.geometry.polygon import orient
from shapely.ops import linemerge, polygonize, unary_union

from vehicle_sim.roads.format import DECIMALS, Building, Feature, Park, Polygon, Water

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vehicle_sim.roads.extract import Area
    from vehicle_sim.roads.format import Position

    Bounds = tuple[float, float, float, float]

_KINDS: Final[dict[str, type[Water | Park | Building]]] = {"water": Water, "park": Park, "building": Building}
_TOLERANCE_DEG: Final = 5e-6  # about half a metre: less is not seen on a map of streets
_SMALLEST_DEG2: Final = 5e-9  # about 30 m² at 60° north
_BESIDE_DEG: Final = 1e-6
_BREAK_OFF_SHARE: Final = 0.04  # of the frame's diagonal


def land_features(
    areas: Sequence[Area], coastlines: Sequence[Sequence[Position]], bounds: Bounds
) -> list[Feature]:
    """Polygons within `bounds` (degrees): water, then green, then buildings, each in the order of ids."""
    frame = box(*bounds)
    features: list[Feature] = []
    for kind, properties in _KINDS.items():
        shapes = [(area.name, Shape(area.outer, area.holes)) for area in _sorted(areas, kind)]
        if kind == "water":
            shapes = [("", sea) for sea in sea_polygons(coastlines, bounds)] + shapes
        features += [
            _feature(part, properties(name=name)) for name, shape in shapes for part in _cut(shape, frame)
        ]
    return features


def _sorted(areas: Sequence[Area], kind: str) -> list[Area]:
    return sorted((area for area in areas if area.kind == kind), key=lambda a: (a.id, a.outer))


def _cut(shape: Shape, frame: Shape) -> Iterator[Shape]:
    """The simplified parts of `shape` in the frame that are large enough to be seen."""
    inside = shapely.set_precision(
        shapely.make_valid(shape).intersection(frame).simplify(_TOLERANCE_DEG), 10.0**-DECIMALS
    )
    for part in shapely.get_parts(inside):
        if isinstance(part, Shape) and part.area >= _SMALLEST_DEG2:
            yield part


def sea_polygons(coastlines: Sequence[Sequence[Position]], bounds: Bounds) -> list[Shape]:
    """The sea within `bounds`: OpenStreetMap has no polygon of it, only coastlines with water on their right.

    The frame cut along the coastlines gives faces; a face is sea when it touches a coastline's right side,
    and none when a coastline that breaks off in the frame leaves both sides in one face.
    """
    frame = box(*bounds)
    merged = linemerge([Line(line) for line in coastlines if len(line) > 1])
    shores = unary_union([_to_frame(line, frame) for line in shapely.get_parts(merged)])
    inside = [part for part in shapely.get_parts(shores.intersection(frame)) if isinstance(part, Line)]
    if not inside:
        return []
    faces = [
        face for face in polygonize(unary_union([frame.exterior, *inside])) if face.area >= _SMALLEST_DEG2
    ]
    right, left = _beside(inside, 1), _beside(inside, -1)
    return [face for face in faces if right.intersects(face) and not left.intersects(face)]


def _to_frame(shore: Line, frame: Shape) -> Line:
    """The shore, an end that breaks off close to the frame led on to it: extracts are cut between nodes."""
    points = list(shore.coords)
    if points[0] == points[-1]:
        return shore
    west, south, east, north = frame.bounds
    near = _BREAK_OFF_SHARE * math.hypot(east - west, north - south)
    for at in (0, -1):
        end = Point(points[at])
        if frame.contains(end) and frame.exterior.distance(end) < near:
            edge = frame.exterior.interpolate(frame.exterior.project(end))
            points.insert(0 if at == 0 else len(points), (edge.x, edge.y))
    return Line(points)


def _beside(lines: Sequence[Line], side: int) -> MultiPoint:
    """A point close beside the middle of each segment: on its right where `side` is 1, left where -1."""
    points = []
    for line in lines:
        for (x1, y1), (x2, y2) in pairwise(line.coords):
            step = side * _BESIDE_DEG / max(math.hypot(x2 - x1, y2 - y1), 1e-12)
            points.append(((x1 + x2) / 2 + (y2 - y1) * step, (y1 + y2) / 2 - (x2 - x1) * step))
    return MultiPoint(points)


def _feature(shape: Shape, properties: Water | Park | Building) -> Feature:
    # RFC 7946: outer rings run counter-clockwise, holes clockwise.
    oriented = orient(shape)
    rings = [oriented.exterior, *oriented.interiors]
    coordinates = [[(round(x, DECIMALS), round(y, DECIMALS)) for x, y in ring.coords] for ring in rings]
    return Feature(Polygon(coordinates), properties)
