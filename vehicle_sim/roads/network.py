"""The road network as vehicles drive it: directed roads, shared by all vehicles and never changed."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from vehicle_sim.roads import format as road_format
from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.geodesy import segment, turn_deg
from vehicle_sim.roads.tags import Control
from vehicle_sim.roads.turning import ways_on, with_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_sim.roads.turning import Path as RoadPath

HELSINKI: Final = Path(__file__).parent / "data" / "helsinki.geojson.gz"
"""The centre of Helsinki, © OpenStreetMap contributors, ODbL 1.0: the default network."""

# A polyline's corner stands for a curve: its tangents reach half way along the segments beside it, but
# mapped points lie as close as a metre, and no car follows such jags.
_TANGENT_LOW_M: Final = 5.0
_TANGENT_HIGH_M: Final = 25.0
_STRAIGHT_DEG: Final = 3.0

# What a control costs on average, for the choice of routes.
_DELAY_S: Final = {None: 0.0, Control.SIGNAL: 8.0, Control.STOP: 4.0, Control.GIVE_WAY: 2.0}


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """One direction of a road between two nodes.

    Attributes:
        index: its place in `RoadNetwork.roads`.
        start, end: node numbers.
        kind: OpenStreetMap's highway class.
        limit_ms: speed limit in m/s.
        control: what the driver meets at the end.
        length_m: length on the ellipsoid.
        points: (longitude, latitude) in degrees, at least two.
        offsets_m: metres from the start to each point; the last is `length_m`.
        headings: degrees of each segment, one fewer than points.
        bends: (metres from the start, radius in m) of the corners on the way, ends left out.
        reverse: index of the other direction, None on a one-way road.
        heights_m: of each point; empty where heights are not known.
    """

    index: int
    start: int
    end: int
    kind: str
    name: str
    limit_ms: float
    control: Control | None
    tunnel: bool
    bridge: bool
    length_m: float
    points: tuple[road_format.Position, ...]
    offsets_m: tuple[float, ...]
    headings: tuple[float, ...]
    bends: tuple[tuple[float, float], ...]
    reverse: int | None
    heights_m: tuple[float, ...] = ()

    def at(self, offset_m: float) -> tuple[float, float, float]:
        """(longitude, latitude, heading) in degrees, `offset_m` metres from the start, clamped."""
        offsets = self.offsets_m
        i = bisect_right(offsets, offset_m, 1, len(offsets) - 1) - 1
        begin = offsets[i]
        share = min(max((offset_m - begin) / (offsets[i + 1] - begin), 0.0), 1.0)
        (lon1, lat1), (lon2, lat2) = self.points[i], self.points[i + 1]
        return lon1 + (lon2 - lon1) * share, lat1 + (lat2 - lat1) * share, self.headings[i]

    def height_at(self, offset_m: float) -> float:
        """The height in m there, clamped; 0 where heights are not known."""
        if not self.heights_m:
            return 0.0
        offsets, heights = self.offsets_m, self.heights_m
        i = bisect_right(offsets, offset_m, 1, len(offsets) - 1) - 1
        share = min(max((offset_m - offsets[i]) / (offsets[i + 1] - offsets[i]), 0.0), 1.0)
        return heights[i] + (heights[i + 1] - heights[i]) * share


@dataclass(frozen=True, slots=True, eq=False)
class RoadNetwork:
    """Directed roads and what follows on what.

    Attributes:
        roads: every direction of every road.
        successors: for each road, the indexes of the roads that may follow. Turning back is among them only
            where there is no other way, a turn that a sign forbids never.
        times_s: seconds each road takes at its limit, with what its signal or sign takes on average.
        starts_m: metres of all roads up to each, itself included: where to put a vehicle at random.
        bounds: west, south, east, north in degrees.
        attribution: to be shown with the data.
        path: the file, which a map can draw.
        onward: what may follow by state, for who looks for a route: a sign may forbid a way on to those who
            come from somewhere. A road's index is the state of who begins there; states of others follow,
            where there are any.
        state_roads: the road of each state; `state_times_s`: its time.
        heights: "sea", where roads have heights above the sea; "relative", where they are right but for what
            all have too much or too little; None: they have none.
    """

    roads: Sequence[Road]
    successors: Sequence[tuple[int, ...]]
    times_s: Sequence[float]
    starts_m: Sequence[float]
    bounds: tuple[float, float, float, float]
    attribution: str
    source: str
    path: Path
    onward: Sequence[tuple[int, ...]]
    state_roads: Sequence[int]
    state_times_s: Sequence[float]
    heights: Literal["sea", "relative"] | None = None

    @property
    def length_m(self) -> float:
        """Metres of all directions together."""
        return self.starts_m[-1]


def load(path: Path | None = None) -> RoadNetwork:
    """Load a file that `build` made; the centre of Helsinki when none is named.

    Raises:
        RoadsError: the file cannot be read, is no road network, or has a road that leads nowhere.
    """
    path = HELSINKI if path is None else path
    file = road_format.read(path)
    roads: list[Road] = []
    numbers: dict[int, int] = {}  # of directed roads in the file -> index
    for feature in file.features:
        line, properties = feature.geometry, feature.properties
        if isinstance(line, road_format.LineString) and isinstance(properties, road_format.RoadProperties):
            directions = _directions(path, len(roads), line.coordinates, properties)
            number = len(numbers) // 2 + 1
            numbers[number], numbers[-number] = directions[0].index, directions[-1].index
            roads += directions
    if not roads:
        raise RoadsError(f"{path}: no road in the file")
    forbidden = _forbidden(path, file, roads, numbers)
    successors = ways_on(
        {road.index: (road.start, road.end) for road in roads},
        {road.index: road.reverse for road in roads if road.reverse is not None},
        forbidden,
    )
    states = with_memory(successors, forbidden)
    for state, onward in states.following.items():
        if not onward:
            raise RoadsError(f"{path}: no road leads on from node {roads[states.road(state)].end}")
    state_roads = [states.road(state) for state in range(len(states.paths))]
    times_s = [road.length_m / road.limit_ms + _DELAY_S[road.control] for road in roads]
    return RoadNetwork(
        roads=roads,
        successors=[successors[road.index] for road in roads],
        onward=[states.following[state] for state in range(len(states.paths))],
        state_roads=state_roads,
        state_times_s=[times_s[road] for road in state_roads],
        heights=file.heights,
        times_s=times_s,
        starts_m=list(accumulate(road.length_m for road in roads)),
        bounds=file.bbox,
        attribution=file.attribution,
        source=file.source,
        path=path,
    )


def _directions(
    path: Path, index: int, points: list[road_format.Position], properties: road_format.RoadProperties
) -> list[Road]:
    forth = _road(path, index, tuple(points), properties, None if properties.oneway else index + 1)
    if properties.oneway:
        return [forth]
    turned = road_format.RoadProperties(
        kind=properties.kind,
        name=properties.name,
        start=properties.end,
        end=properties.start,
        speed=properties.speed_back or properties.speed,
        length=properties.length,
        tunnel=properties.tunnel,
        bridge=properties.bridge,
        control=properties.control_back,
        heights=properties.heights and properties.heights[::-1],
    )
    return [forth, _road(path, index + 1, tuple(reversed(points)), turned, index)]


def _road(
    path: Path,
    index: int,
    points: tuple[road_format.Position, ...],
    properties: road_format.RoadProperties,
    reverse: int | None,
) -> Road:
    segments = [segment(*a, *b) for a, b in pairwise(points)]
    total = math.fsum(length for length, _ in segments)
    if any(length == 0 for length, _ in segments) or abs(total / properties.length - 1) > 0.01:
        raise RoadsError(
            f"{path}: the road from node {properties.start} to {properties.end} is not as long as it says"
        )
    scale = properties.length / total
    offsets = [0.0]
    for length, _ in segments:
        offsets.append(offsets[-1] + length * scale)
    offsets[-1] = properties.length
    return Road(
        index=index,
        start=properties.start,
        end=properties.end,
        kind=properties.kind,
        name=properties.name,
        limit_ms=properties.speed / 3.6,
        control=None if properties.control is None else Control(properties.control),
        tunnel=properties.tunnel,
        bridge=properties.bridge,
        length_m=properties.length,
        points=points,
        offsets_m=tuple(offsets),
        headings=tuple(heading for _, heading in segments),
        bends=_bends(offsets, segments),
        reverse=reverse,
        heights_m=tuple(properties.heights or ()),
    )


def _bends(offsets: list[float], segments: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    bends = []
    for offset, (before, after) in zip(offsets[1:-1], pairwise(segments), strict=True):
        radius = corner_radius_m(turn_deg(before[1], after[1]), before[0], after[0])
        if radius is not None:
            bends.append((offset, radius))
    return tuple(bends)


def corner_radius_m(turn: float, before_m: float, after_m: float) -> float | None:
    """The radius of the curve that a corner stands for; None where the road is as good as straight.

    `turn` is in degrees; `before_m` and `after_m` are the lengths of the segments that meet there.
    """
    if abs(turn) <= _STRAIGHT_DEG:
        return None
    tangent = min(max(min(before_m, after_m) / 2, _TANGENT_LOW_M), _TANGENT_HIGH_M)
    return tangent / math.tan(math.radians(min(abs(turn), 179.0)) / 2)


def _forbidden(
    path: Path, file: road_format.RoadFile, roads: Sequence[Road], numbers: Mapping[int, int]
) -> set[RoadPath]:
    """The file's forbidden turns and paths, by index."""
    paths = set()
    for listed in file.no_turns:
        for before, after in pairwise(listed):
            known = all(
                n in numbers and (n > 0 or roads[numbers[n]].reverse is not None) for n in (before, after)
            )
            if not known or roads[numbers[before]].end != roads[numbers[after]].start:
                raise RoadsError(f"{path}: no_turns: {after} does not follow {before}")
        paths.add(tuple(numbers[n] for n in listed))
    return paths
