"""Where to drive: a destination some minutes away and the quickest way to it. Pure."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

    from vehicle_sim.roads import RoadNetwork

_FAR: Final = 0.6  # destinations lie in the outer part of what was reached
_MOST_ROADS: Final = 1500  # bounds the search on networks of any size
_NONE: Final = -1


def choose_route(network: RoadNetwork, road: int, seconds: float, rng: random.Random) -> list[int]:
    """Roads from `road` (the first of them) to a random one that takes about `seconds` to reach.

    Dijkstra's search over roads, not junctions, so that nobody turns back in the middle of a road. A road
    that is come to in ways of which a sign treats one apart is searched for each (`network.onward`). Where
    the network is smaller than the wish, the destination is among its farthest parts.
    """
    times, onward, roads = network.state_times_s, network.onward, network.state_roads
    before: dict[int, int] = {}
    reached: list[int] = []  # of each road the state that is come into first
    seen: set[int] = set()
    costs: list[float] = []
    heap = [(times[after], after, _NONE) for after in onward[road]]
    heap.sort()
    while heap and len(reached) < _MOST_ROADS:
        cost, current, previous = heappop(heap)
        if current in before:
            continue
        if cost > seconds and reached:
            break
        before[current] = previous
        if roads[current] not in seen:
            seen.add(roads[current])
            reached.append(current)
            costs.append(cost)
        for after in onward[current]:
            if after not in before:
                heappush(heap, (cost + times[after], after, current))
    far = _FAR * costs[-1]
    first_far = next(i for i, cost in enumerate(costs) if cost >= far)
    state = rng.choice(reached[first_far:])
    route = []
    while state != _NONE:
        route.append(roads[state])
        state = before[state]
    route.append(road)
    route.reverse()
    return route
