"""Heights of all points of the roads, from what is known: tags `ele` and `incline`, and the ground. Pure.

What is known is uncertain and does not quite agree, so the heights are those that fit best (least squares):

- a point with `ele`, or on the ground, lies about there; points within bridges and tunnels are not on it;
- from a point to the next the road rises as `incline` says, or not at all where nothing is said. The longer
  the way, the more it may differ: a random walk. So heights between known points lie on straight lines, on
  bridges and in tunnels too, and the noise of ground data does not become hills.

Each point has one height, so what one climbs on any way round is what one goes down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from vehicle_sim.roads.geodesy import segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from vehicle_sim.roads.extract import Way
    from vehicle_sim.roads.format import Position

    Floats = npt.NDArray[np.float64]

# Standard deviations: of a surveyed height, and of SRTM (its specification is 16 m with 90 % confidence, on
# open ground it is some 4 m).
_ELE_M: Final = 1.0
_GROUND_M: Final = 4.0
# Variance of a rise in m² a metre of way, chosen: 3 m in 100 m where nothing is said, 1 m in 100 m where a
# number is (signs have whole per cents, and tell the steepest place).
_UNTOLD: Final = 0.09
_TOLD: Final = 0.01
_ANYWHERE: Final = 1e-8  # a weight that only makes the answer one where no height is known at all
_SHORTEST_M: Final = 0.1
_ACCURACY: Final = 1e-7
_MOST_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Heights:
    """Metres by OpenStreetMap's node id; above the sea, or (not `sea_level`) above some height or other."""

    by_node: Mapping[int, float]
    sea_level: bool


def heights_of(
    ways: Sequence[Way], ele: Mapping[int, float], ground: Callable[[Position], float | None] | None = None
) -> Heights | None:
    """The heights of all nodes of the ways; None when nothing is known of any.

    Args:
        ways: drivable ways.
        ele: surveyed heights in m, by node id.
        ground: the height in m at a position; None where it is not known.
    """
    places = {node: place for place, node in enumerate(dict.fromkeys(n for way in ways for n in way.nodes))}
    known = _known(ways, ele, ground)
    if not known and all(way.tags.incline is None for way in ways):
        return None
    middle = sum(height for height, _ in known.values()) / max(len(known), 1)
    pull, target = np.full(len(places), _ANYWHERE), np.zeros(len(places))
    for node, (height, deviation) in known.items():
        pull[places[node]] += deviation**-2
        target[places[node]] += (height - middle) * deviation**-2
    low, high, rises, weights = _segments(ways, places)
    target += np.bincount(high, rises * weights, len(places)) - np.bincount(low, rises * weights, len(places))
    found = _solve(pull, target, low, high, weights) + middle
    return Heights(dict(zip(places, found.tolist(), strict=True)), sea_level=bool(known))


def _known(
    ways: Iterable[Way], ele: Mapping[int, float], ground: Callable[[Position], float | None] | None
) -> dict[int, tuple[float, float]]:
    """Height and standard deviation of the nodes that something is known of."""
    known: dict[int, tuple[float, float]] = {}
    for way in ways:
        above = not (way.tags.bridge or way.tags.tunnel)
        for node, position in zip(way.nodes, way.positions, strict=True):
            if node in ele:
                known[node] = ele[node], _ELE_M
            elif ground is not None and above and node not in known:
                height = ground(position)
                if height is not None:
                    known[node] = height, _GROUND_M
    return known


def _segments(
    ways: Iterable[Way], places: Mapping[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, Floats]:
    """From which place to which, how far one is likely to rise, and how likely (the inverse variance)."""
    low, high, rises, weights = [], [], [], []
    for way in ways:
        incline = way.tags.incline
        variance = _TOLD if incline is not None and incline.told else _UNTOLD
        for (a, here), (b, there) in pairwise(zip(way.nodes, way.positions, strict=True)):
            length = max(segment(*here, *there)[0], _SHORTEST_M)
            low.append(places[a])
            high.append(places[b])
            rises.append(0.0 if incline is None else incline.slope * length)
            weights.append(1.0 / (variance * length))
    return np.array(low), np.array(high), np.array(rises), np.array(weights)


def _solve(
    pull: Floats,
    target: Floats,
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    weights: Floats,
) -> Floats:
    """The best fit: conjugate gradients on the normal equations, scaled by their diagonal."""
    count = len(pull)

    def times(heights: Floats) -> Floats:
        flow = (heights[high] - heights[low]) * weights
        return pull * heights + np.bincount(high, flow, count) - np.bincount(low, flow, count)

    diagonal = pull + np.bincount(high, weights, count) + np.bincount(low, weights, count)
    heights = np.zeros(count)
    rest = target.copy()
    scaled = rest / diagonal
    way = scaled.copy()
    size = begin = float(rest @ scaled)
    for _ in range(_MOST_STEPS):
        if size <= begin * _ACCURACY**2:
            break
        along = times(way)
        step = size / float(way @ along)
        heights += step * way
        rest -= step * along
        scaled = rest / diagonal
        before, size = size, float(rest @ scaled)
        way = scaled + size / before * way
    return heights
