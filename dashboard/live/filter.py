"""What a live client wants to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashboard.shapes import Moved


@dataclass(frozen=True, slots=True)
class Box:
    """A bounding box in degrees; west > east crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, lat: float, lon: float) -> bool:
        """Whether the point lies in the box, its edges included."""
        if not self.south <= lat <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= lon <= self.east
        return lon >= self.west or lon <= self.east


@dataclass(frozen=True, slots=True)
class Filter:
    """All given conditions must hold; none given shows everything."""

    box: Box | None = None
    regions: frozenset[str] | None = None
    vehicles: frozenset[str] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return self.box is None and self.regions is None and self.vehicles is None

    def matches(self, vehicle: str, region: str | None, position: Moved | None) -> bool:
        """Whether a vehicle that is served by `region` and stands at `position` is wanted."""
        if self.vehicles is not None and vehicle not in self.vehicles:
            return False
        if self.regions is not None and region not in self.regions:
            return False
        return self.box is None or (position is not None and self.box.contains(position.lat, position.lon))


EVERYTHING = Filter()
