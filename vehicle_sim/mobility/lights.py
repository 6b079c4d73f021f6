"""Traffic lights: which road has green at which time, the same for all vehicles. Pure.

All signals within about 120 m are one junction with one cycle of 60 s. Roads that come in along the axis of
its first signal have green in one half of the cycle, roads across it in the other. A junction with one axis
only (a crossing of pedestrians) is green for three quarters. OpenStreetMap does not tell cycles.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.geodesy import metres_per_degree, turn_deg
from vehicle_sim.roads.tags import Control

if TYPE_CHECKING:
    from vehicle_sim.roads import RoadNetwork

CYCLE_S: Final = 60.0
_HALF_GREEN_S: Final = 27.0  # of 30: the rest clears the junction
_SINGLE_GREEN_S: Final = 45.0
_CELL_M: Final = 120.0


class Lights:
    """The lights of a network; the same network and seed give the same lights."""

    def __init__(self, network: RoadNetwork, seed: int | str) -> None:
        self._windows: dict[int, tuple[float, float]] = {}  # road -> start of its green, and its length
        junctions: dict[tuple[int, int], list[int]] = {}
        for road in network.roads:
            if road.control is Control.SIGNAL:
                lon, lat = road.points[-1]
                kx, ky = metres_per_degree(round(lat, 1))
                cell = int(lon * kx // _CELL_M), int(lat * ky // _CELL_M)
                junctions.setdefault(cell, []).append(road.index)
        for cell, members in junctions.items():
            rng = random.Random(f"{seed}:lights:{cell}")  # noqa: S311 - a simulation, not a secret
            offset = rng.uniform(0.0, CYCLE_S)
            axis = network.roads[members[0]].headings[-1]
            across = [_is_across(network.roads[member].headings[-1], axis) for member in members]
            for member, crossing in zip(members, across, strict=True):
                green = _HALF_GREEN_S if any(across) else _SINGLE_GREEN_S
                self._windows[member] = (offset + (CYCLE_S / 2 if crossing else 0.0), green)

    def red(self, road: int, t_s: float) -> bool:
        """Whether who comes to the end of `road` at this time has to stop; False where there is no signal."""
        window = self._windows.get(road)
        return window is not None and (t_s - window[0]) % CYCLE_S >= window[1]


def _is_across(heading: float, axis: float) -> bool:
    turn = abs(turn_deg(axis, heading))
    return 45.0 < turn < 135.0
