"""The way of a client that never tells where it is: straight on through the cells, at a steady speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from vehicle_sim.links.noise import uniform

_SPEED_MS: Final = 14.0
_SPREAD_M: Final = 20_000.0  # the square in which tracks begin


@dataclass(frozen=True, slots=True)
class Tunnels:
    """The tunnels of a track: so long, with so much open road between the beginnings of two."""

    every_m: float
    length_m: float


@dataclass(frozen=True, slots=True)
class Track:
    """A straight line on the plane of the cells; the first tunnel comes after half the distance of two."""

    x: float
    y: float
    heading: float  # radians
    tunnels: Tunnels | None = None

    @classmethod
    def random(cls, seed: int, tunnels: Tunnels | None) -> Track:
        """A track anywhere."""
        x, y = (uniform(seed, axis) * _SPREAD_M for axis in (0, 1))
        return cls(x, y, uniform(seed, 2) * 2 * math.pi, tunnels)

    def at(self, t: float) -> tuple[float, float]:
        """Metres on the plane after `t` seconds."""
        way = _SPEED_MS * t
        return self.x + way * math.cos(self.heading), self.y + way * math.sin(self.heading)

    def in_tunnel(self, t: float) -> bool:
        """Whether the client is in a tunnel after `t` seconds."""
        if self.tunnels is None:
            return False
        place = (_SPEED_MS * t + self.tunnels.every_m / 2) % self.tunnels.every_m
        return place < self.tunnels.length_m
