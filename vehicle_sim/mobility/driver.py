"""How somebody drives a route: their manners, and the knots that bends, corners and signals make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vehicle_sim.mobility.profile import Knot
from vehicle_sim.roads.geodesy import turn_deg
from vehicle_sim.roads.network import corner_radius_m
from vehicle_sim.roads.tags import RANK, Control

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from vehicle_sim.roads import Road, RoadNetwork

_SLOWEST_CORNER_MS: Final = 2.0
_STOP_LINE_M: Final = 5.0  # before the node
_SAME_JUNCTION_M: Final = 45.0  # several signals of one junction are one stop
_CORNER_DEG: Final = 35.0
_RED: Final = 0.45  # the share of signals met at red
_GIVE_WAY: Final = 0.35  # the share of junctions where somebody has to be let pass
_CAREFUL_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Driver:
    """Manners: accelerations in m/s², and the share of the speed limit that is driven (at most 1)."""

    accelerate: float
    brake: float
    lateral: float
    limit_share: float

    @staticmethod
    def random(rng: random.Random) -> Driver:
        """Somebody between careful and brisk."""
        return Driver(
            accelerate=rng.uniform(1.0, 2.2),
            brake=rng.uniform(1.4, 2.6),
            lateral=rng.uniform(1.8, 2.8),
            limit_share=rng.uniform(0.88, 1.0),
        )

    def corner_ms(self, radius_m: float) -> float:
        """The speed that the driver takes a curve at."""
        return max(math.sqrt(self.lateral * radius_m), _SLOWEST_CORNER_MS)


def route_knots(
    network: RoadNetwork,
    route: Sequence[int],
    begin_m: float,
    end_m: float,
    driver: Driver,
    rng: random.Random,
) -> list[Knot]:
    """The knots of a route of at least two roads, from `begin_m` on its first to `end_m` on its last road."""
    knots: list[Knot] = []
    start_m = -begin_m  # of the road, along the route
    last_stop_m = -math.inf
    cap = math.inf
    for place, index in enumerate(route):
        road = network.roads[index]
        limit = road.limit_ms * driver.limit_share
        low, high = (begin_m if place == 0 else 0.0), road.length_m
        if place + 1 == len(route):
            high = end_m
        knots.append(Knot(start_m + low, cap, limit))
        knots += [
            Knot(start_m + offset, driver.corner_ms(radius), limit)
            for offset, radius in road.bends
            if low < offset < high
        ]
        if place + 1 == len(route):
            knots.append(Knot(start_m + high, 0.0, limit))
            break
        after = network.roads[route[place + 1]]
        cap = _corner_cap(road, after, driver)
        line = high - min(_STOP_LINE_M, road.length_m / 2)
        far_enough = start_m + line - last_stop_m > _SAME_JUNCTION_M
        if line > low and far_enough:
            pause = _pause(road, after, rng)
            if pause is not None:
                last_stop_m = start_m + line
                # Bends between the line and the node are passed from standing: no faster than before.
                knots = [knot for knot in knots if knot.at_m < last_stop_m]
                knots.append(Knot(last_stop_m, 0.0 if pause else _CAREFUL_MS, limit, pause))
        start_m += road.length_m
    return knots


def _corner_cap(road: Road, after: Road, driver: Driver) -> float:
    turn = turn_deg(road.headings[-1], after.headings[0])
    before_m = road.offsets_m[-1] - road.offsets_m[-2]
    radius = corner_radius_m(turn, before_m, after.offsets_m[1])
    return math.inf if radius is None else driver.corner_ms(radius)


def _pause(road: Road, after: Road, rng: random.Random) -> float | None:
    """Seconds to stand at the end of `road`; 0 to pass carefully; None to pass."""
    match road.control:
        case Control.SIGNAL:
            return rng.uniform(3.0, 30.0) if rng.random() < _RED else None
        case Control.STOP:
            return rng.uniform(1.5, 4.0)
        case Control.GIVE_WAY:
            return rng.uniform(1.0, 6.0) if rng.random() < _GIVE_WAY else 0.0
    turn = abs(turn_deg(road.headings[-1], after.headings[0]))
    if turn > _CORNER_DEG and RANK.get(after.kind, 0) < RANK.get(road.kind, 0):  # onto a more important road
        return rng.uniform(1.0, 5.0) if rng.random() < _GIVE_WAY else None
    return None
