"""How somebody drives a route: their manners, and how fast it may be driven where."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.geodesy import turn_deg
from vehicle_sim.roads.network import corner_radius_m

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from vehicle_sim.mobility.kinds import Manners
    from vehicle_sim.roads import Road, RoadNetwork

_SLOWEST_CORNER_MS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Driver:
    """Manners.

    accelerate, brake, lateral: in m/s², what the driver finds comfortable.
    limit_share: the share of the speed limit that is driven, at most 1; `fastest_ms`: never above it.
    headway_s: the time kept to the vehicle ahead.
    """

    accelerate: float
    brake: float
    lateral: float
    limit_share: float
    headway_s: float = 1.2
    fastest_ms: float = math.inf

    @staticmethod
    def random(rng: random.Random, manners: Manners) -> Driver:
        """Somebody between careful and brisk, as those are who drive such a vehicle."""
        return Driver(
            accelerate=rng.uniform(*manners.accelerate),
            brake=rng.uniform(*manners.brake),
            lateral=rng.uniform(*manners.lateral),
            limit_share=rng.uniform(*manners.limit_share),
            headway_s=rng.uniform(*manners.headway_s),
            fastest_ms=manners.fastest_ms,
        )

    def corner_ms(self, radius_m: float) -> float:
        """The speed that the driver takes a curve at."""
        return max(math.sqrt(self.lateral * radius_m), _SLOWEST_CORNER_MS)

    def limit_ms(self, road: Road) -> float:
        """The speed that the driver holds on a free, straight road."""
        return min(road.limit_ms * self.limit_share, self.fastest_ms)


@dataclass(slots=True)
class Plan:
    """How fast a route may be driven: knots, at metres from where it begins.

    caps_ms: the speed when passing a knot from which all that comes later can still be braked for.
    limits_ms: the speed from a knot to the next one.
    """

    at_m: array[float] = field(default_factory=lambda: array("d"))
    caps_ms: array[float] = field(default_factory=lambda: array("d"))
    limits_ms: array[float] = field(default_factory=lambda: array("d"))

    def knot(self, at_m: float, cap_ms: float, limit_ms: float) -> None:
        """Add one, not before the last."""
        self.at_m.append(at_m)
        self.caps_ms.append(cap_ms)
        self.limits_ms.append(limit_ms)


def plan_route(
    network: RoadNetwork, route: Sequence[int], begin_m: float, end_m: float, driver: Driver
) -> Plan:
    """The plan of a route, from `begin_m` on its first road to standing at `end_m` on its last one.

    Limits, bends and corners make its knots; lights, signs and other vehicles are met on the way.
    """
    plan = Plan()
    start_m = -begin_m  # of the road, along the route
    before: Road | None = None
    for place, index in enumerate(route):
        road = network.roads[index]
        limit = driver.limit_ms(road)
        is_last = place + 1 == len(route)
        low, high = (begin_m if place == 0 else 0.0), (end_m if is_last else road.length_m)
        cap = math.inf if before is None else _corner_cap(before, road, driver)
        if before is None or cap < math.inf or limit != plan.limits_ms[-1]:
            plan.knot(start_m + low, min(cap, limit, plan.limits_ms[-1] if before else limit), limit)
        for offset, radius in road.bends:
            if low < offset < high and driver.corner_ms(radius) < limit:
                plan.knot(start_m + offset, driver.corner_ms(radius), limit)
        if is_last:
            plan.knot(start_m + high, 0.0, limit)
        start_m += road.length_m
        before = road
    for i in range(len(plan.at_m) - 2, -1, -1):
        distance = plan.at_m[i + 1] - plan.at_m[i]
        braked = math.sqrt(plan.caps_ms[i + 1] ** 2 + 2 * driver.brake * distance)
        plan.caps_ms[i] = min(plan.caps_ms[i], braked)
    return plan


def _corner_cap(road: Road, after: Road, driver: Driver) -> float:
    turn = turn_deg(road.headings[-1], after.headings[0])
    before_m = road.offsets_m[-1] - road.offsets_m[-2]
    radius = corner_radius_m(turn, before_m, after.offsets_m[1])
    return math.inf if radius is None else driver.corner_ms(radius)
