"""Places and areas: inside, or how far outside. Arrays in, arrays out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from fleetcell.contract.geofences import Circle
from ingest.derive.summary import EARTH_M, great_circle

if TYPE_CHECKING:
    from fleetcell.contract.geofences import Area, Box, Polygon

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

METRES_A_DEGREE: Final = math.pi / 180 * EARTH_M
ROUNDING_M: Final = 0.01
_AT_ONCE: Final = 1_000_000  # places times edges: 8 MB an array


class Shape:
    """An area, ready to be asked."""

    def __init__(self, area: Area) -> None:
        self._parts: list[_Circle | _Polygon] = (
            [_Circle(area)] if isinstance(area, Circle) else [_Polygon(one) for one in area]
        )

    def boxes(self, margin_m: float) -> list[Box]:
        """Boxes around it with a margin; west and east within -180 to 180, so one may become two."""
        found: list[Box] = []
        for south, west, north, east in (part.box for part in self._parts):
            up = (margin_m + ROUNDING_M) / METRES_A_DEGREE
            top, bottom = min(north + up, 90.0), max(south - up, -90.0)
            narrowest = math.cos(math.radians(max(abs(top), abs(bottom))))
            aside = up / narrowest if narrowest > 1e-6 else 360.0
            found += _within(bottom, west - aside, top, east + aside)
        return found

    def inside(self, lat: Floats, lon: Floats) -> Bools:
        """Whether each place is inside."""
        found = np.zeros(len(lat), dtype=bool)
        for part in self._parts:
            found |= part.inside(lat, lon)
        return found

    def outside_m(self, lat: Floats, lon: Floats) -> Floats:
        """Metres from each place to the nearest edge; of a place that is inside it says nothing."""
        found = np.full(len(lat), np.inf)
        for part in self._parts:
            found = np.minimum(found, part.outside_m(lat, lon))
        return found


class _Circle:
    def __init__(self, circle: Circle) -> None:
        self._circle = circle
        self.box = _around(circle)

    def inside(self, lat: Floats, lon: Floats) -> Bools:
        inside: Bools = self._distance_m(lat, lon) <= self._circle.radius_m
        return inside

    def outside_m(self, lat: Floats, lon: Floats) -> Floats:
        away: Floats = np.maximum(self._distance_m(lat, lon) - self._circle.radius_m, 0.0)
        return away

    def _distance_m(self, lat: Floats, lon: Floats) -> Floats:
        centre_lon, centre_lat = self._circle.centre
        return great_circle(np.full(len(lat), centre_lat), np.full(len(lon), centre_lon), lat, lon)


class _Polygon:
    def __init__(self, polygon: Polygon) -> None:
        self._outer = np.array(polygon.outer)
        self._holes = [np.array(hole) for hole in polygon.holes]
        self.box = polygon.box
        self._middle = (self.box[1] + self.box[3]) / 2

    def inside(self, lat: Floats, lon: Floats) -> Bools:
        near = self._beside(lon)
        holes = np.zeros(len(lat), dtype=bool)
        for hole in self._holes:
            holes |= _in_ring(hole, lat, near)
        inside: Bools = _in_ring(self._outer, lat, near) & ~holes
        return inside

    def outside_m(self, lat: Floats, lon: Floats) -> Floats:
        near, found = self._beside(lon), np.full(len(lat), np.inf)
        for ring in (self._outer, *self._holes):
            found = np.minimum(found, _to_ring_m(ring, lat, near))
        return found

    def _beside(self, lon: Floats) -> Floats:
        """The meridians as the polygon counts them."""
        near: Floats = lon + 360.0 * np.round((self._middle - lon) / 360.0)
        return near


def _around(circle: Circle) -> Box:
    lon, lat = circle.centre
    up = circle.radius_m / METRES_A_DEGREE
    south, north = lat - up, lat + up
    if south <= -90 or north >= 90:
        return max(south, -90.0), -180.0, min(north, 90.0), 180.0
    # the meridian that touches a circle on a sphere
    aside = math.degrees(
        math.asin(min(1.0, math.sin(circle.radius_m / EARTH_M) / math.cos(math.radians(lat))))
    )
    return south, lon - aside, north, lon + aside


def _within(south: float, west: float, north: float, east: float) -> list[Box]:
    if east - west >= 360:
        return [(south, -180.0, north, 180.0)]
    found = [(south, max(west, -180.0), north, min(east, 180.0))]
    if west < -180:
        found.append((south, west + 360, north, 180.0))
    if east > 180:
        found.append((south, -180.0, north, east - 360))
    return found


def _in_ring(edges: Floats, lat: Floats, lon: Floats) -> Bools:
    """Whether a line from the place to the east crosses the ring an odd number of times."""
    x1, y1, x2, y2 = edges[:-1, 0], edges[:-1, 1], edges[1:, 0], edges[1:, 1]
    found = np.zeros(len(lat), dtype=bool)
    for part in _parts_of(len(lat), len(x1)):
        y, x = lat[part, None], lon[part, None]
        spans = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            east_of = x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
        found[part] = (spans & east_of).sum(axis=1) % 2 == 1
    return found


def _to_ring_m(edges: Floats, lat: Floats, lon: Floats) -> Floats:
    """Metres to the nearest edge, on the plane that touches the earth at the place."""
    found = np.empty(len(lat))
    for part in _parts_of(len(lat), len(edges) - 1):
        scale = np.cos(np.radians(lat[part, None])) * METRES_A_DEGREE
        x, y = (edges[:, 0] - lon[part, None]) * scale, (edges[:, 1] - lat[part, None]) * METRES_A_DEGREE
        x1, y1, along_x, along_y = x[:, :-1], y[:, :-1], np.diff(x), np.diff(y)
        squared = along_x**2 + along_y**2
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip(np.nan_to_num(-(x1 * along_x + y1 * along_y) / squared), 0.0, 1.0)
        found[part] = np.hypot(x1 + share * along_x, y1 + share * along_y).min(axis=1)
    return found


def _parts_of(places: int, edges: int) -> list[slice]:
    step = max(1, _AT_ONCE // max(edges, 1))
    return [slice(start, start + step) for start in range(0, places, step)]
