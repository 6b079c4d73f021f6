"""A road network that grows with the fleet: streets at right angles, with lights where large ones cross.

The centre of Helsinki stands still with 1,000 vehicles; a benchmark of the simulator is not one of jams.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.format import (
    DECIMALS,
    FORMAT,
    VERSION,
    Feature,
    LineString,
    RoadFile,
    RoadProperties,
    write,
)
from vehicle_sim.roads.geodesy import metres_per_degree, segment

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_M: Final = 200.0
_JUNCTIONS_A_VEHICLE: Final = 0.5
_MAIN_EVERY: Final = 4  # streets
_WEST, _SOUTH = 25.0, 60.0


def write_town(path: Path, vehicles: int) -> None:
    """Write the road file of a town that is large enough; the same number, the same town."""
    size = max(4, math.ceil(math.sqrt(vehicles * _JUNCTIONS_A_VEHICLE)))
    kx, ky = metres_per_degree(_SOUTH)
    places = [
        (round(_WEST + x * BLOCK_M / kx, DECIMALS), round(_SOUTH + y * BLOCK_M / ky, DECIMALS))
        for y in range(size)
        for x in range(size)
    ]
    streets = [(at, at + 1, at // size) for at in range(size * size) if (at + 1) % size]
    streets += [(at, at + size, at % size) for at in range(size * (size - 1))]
    features = [
        Feature(
            LineString([places[start], places[end]]),
            RoadProperties(
                "residential" if street % _MAIN_EVERY else "primary",
                start,
                end,
                speed=30 if street % _MAIN_EVERY else 50,
                length=round(segment(*places[start], *places[end])[0], 2),
                control="signal" if _has_lights(end, size) else None,
                control_back="signal" if _has_lights(start, size) else None,
            ),
        )
        for start, end, street in streets
    ]
    box = (*places[0], *places[-1])
    write(RoadFile(FORMAT, VERSION, "made up", f"town of {size} by {size}", box, features), path)


def _has_lights(junction: int, size: int) -> bool:
    x, y = junction % size, junction // size
    return x % _MAIN_EVERY == 0 and y % _MAIN_EVERY == 0
