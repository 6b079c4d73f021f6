"""Where no radio wave comes: tunnels as polygons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.geodesy import metres_per_degree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vehicle_sim.roads import Road

Point = tuple[float, float]
"""(longitude, latitude) in degrees."""

_HALF_WIDTH_M: Final = 10.0  # of a tunnel, as wide as a mapped position may lie beside its road


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon without holes: its corners in order, not closed, with a name to say why."""

    name: str
    corners: tuple[Point, ...]
    bounds: tuple[float, float, float, float]  # west, south, east, north

    def covers(self, lon: float, lat: float) -> bool:
        """Whether the point is inside (on the border: either)."""
        west, south, east, north = self.bounds
        if not (west <= lon <= east and south <= lat <= north):
            return False
        inside = False
        lon1, lat1 = self.corners[-1]
        for lon2, lat2 in self.corners:
            if (lat1 > lat) != (lat2 > lat) and lon < (lon2 - lon1) * (lat - lat1) / (lat2 - lat1) + lon1:
                inside = not inside
            lon1, lat1 = lon2, lat2
        return inside


def zone(name: str, corners: Sequence[Point]) -> Zone:
    """A zone of three corners or more."""
    if len(corners) < 3:
        raise ValueError(f"zone {name!r} has {len(corners)} corners")
    lons, lats = [lon for lon, _ in corners], [lat for _, lat in corners]
    return Zone(name, tuple(corners), (min(lons), min(lats), max(lons), max(lats)))


def road_tunnels(roads: Iterable[Road]) -> list[Zone]:
    """A zone around each segment of the roads that OpenStreetMap has in a tunnel (each road once)."""
    return [
        _around(road.name or "tunnel", a, b)
        for road in roads
        if road.tunnel and (road.reverse is None or road.index < road.reverse)
        for a, b in pairwise(road.points)
    ]


def _around(name: str, a: Point, b: Point) -> Zone:
    """The rectangle along a segment, `_HALF_WIDTH_M` to each side."""
    kx, ky = metres_per_degree((a[1] + b[1]) / 2)
    east, north = (b[0] - a[0]) * kx, (b[1] - a[1]) * ky
    length = math.hypot(east, north)
    dx, dy = -north / length * _HALF_WIDTH_M / kx, east / length * _HALF_WIDTH_M / ky
    corners = [
        (a[0] + dx, a[1] + dy),
        (b[0] + dx, b[1] + dy),
        (b[0] - dx, b[1] - dy),
        (a[0] - dx, a[1] - dy),
    ]
    return zone(name, corners)
