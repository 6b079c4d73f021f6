"""Geofences: what an area is, and which descriptions of one are refused. Pure.

An area is described in GeoJSON (RFC 7946): a Polygon or MultiPolygon, or a Point with a radius in metres. The
dashboard checks a description with `area_of` before it is stored; ingest reads the stored one with it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from fleetcell.contract.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_POSITIONS: Final = 5000  # of all rings of a geofence
MAX_POLYGONS: Final = 500
MAX_RADIUS_M: Final = 500_000.0
MAX_MARGIN_M: Final = 1000.0
MAX_DWELL_S: Final = 30 * 86400
MAX_NAME: Final = 100  # characters
DEFAULT_MARGIN_M: Final = 25.0

Place = tuple[float, float]  # longitude, latitude in degrees, as GeoJSON has it
Ring = tuple[Place, ...]  # closed: the last is the first
Box = tuple[float, float, float, float]  # south, west, north, east in degrees


class AlertKind(StrEnum):
    """What an alert can be about; also what happens between a vehicle and a geofence."""

    ENTER = "enter"
    EXIT = "exit"
    DWELL = "dwell"


class AlertState(StrEnum):
    """What is to be done about an alert: something, nothing any more, or it was not so."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Circle:
    """All places up to `radius_m` from the centre, on a sphere."""

    centre: Place
    radius_m: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """Inside of `outer` and of none of `holes`.

    Longitudes run on over 180 degrees: neighbours in a ring are never more than half a turn apart.
    """

    outer: Ring
    holes: tuple[Ring, ...]

    @property
    def box(self) -> Box:
        """The box around it; east may be above 180, or west below -180, never both."""
        lons, lats = [lon for lon, _ in self.outer], [lat for _, lat in self.outer]
        return min(lats), min(lons), max(lats), max(lons)


Area = Circle | tuple[Polygon, ...]


def area_of(geometry: object, radius_m: float | None = None) -> Area:
    """The area that a GeoJSON geometry describes.

    Args:
        geometry: a decoded Polygon, MultiPolygon or Point.
        radius_m: of a circle around a Point; none with the others.

    Raises:
        PayloadError: it describes none, or one beyond the limits; says where.
    """
    if not isinstance(geometry, dict):
        raise PayloadError("geometry: it is not a GeoJSON object")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        return Circle(_place(coordinates, "coordinates"), _radius(radius_m))
    if radius_m is not None:
        raise PayloadError("radius_m: only a Point has one")
    if kind == "Polygon":
        polygons = [_polygon(coordinates, "coordinates")]
    elif kind == "MultiPolygon":
        given = _list(coordinates, "coordinates", least=1, most=MAX_POLYGONS)
        polygons = [_polygon(one, f"coordinates[{n}]") for n, one in enumerate(given)]
    else:
        raise PayloadError(f"geometry: type {str(kind)[:40]!r} is not Polygon, MultiPolygon or Point")
    count = sum(len(ring) for polygon in polygons for ring in (polygon.outer, *polygon.holes))
    if count > MAX_POSITIONS:
        raise PayloadError(f"geometry: it has {count} positions, at most {MAX_POSITIONS}: simplify it")
    return tuple(polygons)


def fields_of(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A GeoJSON Feature as the API takes a geofence: its geometry, and the properties that belong to one."""
    properties = feature.get("properties")
    known = {"name", "radius_m", "margin_m", "vehicles", "alerts"}
    found = properties if isinstance(properties, dict) else {}
    return {"geometry": feature.get("geometry")} | {k: v for k, v in found.items() if k in known}


def _radius(radius_m: float | None) -> float:
    if radius_m is None:
        raise PayloadError("radius_m: a Point needs one, in metres")
    if not 1 <= radius_m <= MAX_RADIUS_M:  # also refuses NaN
        raise PayloadError(f"radius_m: it is from 1 to {MAX_RADIUS_M:.0f} m")
    return float(radius_m)


def _polygon(rings: object, where: str) -> Polygon:
    given = _list(rings, where, least=1, most=MAX_POSITIONS)
    outer, *holes = (_ring(ring, f"{where}[{n}]") for n, ring in enumerate(given))
    polygon = Polygon(outer, tuple(_beside(hole, outer) for hole in holes))
    south, west, north, east = polygon.box
    if east - west > 180:
        raise PayloadError(f"{where}: it is wider than half the earth; split it")
    if north == south or east == west or _doubled_area(outer) == 0:
        raise PayloadError(f"{where}: it has no area")
    return polygon


def _ring(positions: object, where: str) -> Ring:
    given = _list(positions, where, least=4, most=MAX_POSITIONS)
    places = [_place(position, f"{where}[{n}]") for n, position in enumerate(given)]
    if places[0] != places[-1]:
        raise PayloadError(f"{where}: it is not closed; its last position must be its first")
    ring = [places[0]]
    for lon, lat in places[1:]:  # the shorter way round: a ring may cross the antimeridian
        ring.append((_near(lon, ring[-1][0]), lat))
    if ring[-1] != ring[0]:
        raise PayloadError(f"{where}: it goes round a pole; leave the pole out, or use a circle")
    return tuple(ring)


def _near(lon: float, other: float) -> float:
    """The same meridian, at most half a turn from the other."""
    return lon + 360.0 * round((other - lon) / 360.0)


def _beside(ring: Ring, outer: Ring) -> Ring:
    """The hole where the outer ring is: either may have begun on the other side of the antimeridian."""
    lons = [lon for lon, _ in outer]
    shift = _near(ring[0][0], (min(lons) + max(lons)) / 2) - ring[0][0]
    return tuple((lon + shift, lat) for lon, lat in ring)


def _doubled_area(ring: Sequence[Place]) -> float:
    return math.fsum(
        (lon1 - ring[0][0]) * (lat2 - ring[0][1]) - (lon2 - ring[0][0]) * (lat1 - ring[0][1])
        for (lon1, lat1), (lon2, lat2) in itertools.pairwise(ring)
    )


def _place(position: object, where: str) -> Place:
    lon, lat, *_ = _list(position, where, least=2, most=3)  # a third one is an altitude
    return _degrees(lon, 180, f"{where}: longitude"), _degrees(lat, 90, f"{where}: latitude")


def _degrees(value: object, most: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= most:
        raise PayloadError(f"{what} {str(value)[:40]} is not a number of -{most} to {most}")
    return float(value)


def _list(value: object, where: str, *, least: int, most: int) -> list[object]:
    if not isinstance(value, list):
        raise PayloadError(f"{where}: it is not a list")
    if not least <= len(value) <= most:
        raise PayloadError(f"{where}: it has {len(value)} entries, and should have {least} to {most}")
    return value
