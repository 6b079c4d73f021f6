"""From ways to roads: split at junctions and signals, keep what can be driven for ever. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pyproj import Geod

from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.format import Feature, LineString, Position, RoadProperties
from vehicle_sim.roads.turning import ways_on, with_memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from vehicle_sim.roads.extract import Way
    from vehicle_sim.roads.tags import Control, NodeControl, WayTags
    from vehicle_sim.roads.turning import Path, States

_GEOD: Final = Geod(ellps="WGS84")
_CENTIMETRES: Final = 2


@dataclass(slots=True)
class Piece:
    """A way between two junctions. `start` and `end` are OpenStreetMap node ids.

    `control` is met at the end by who drives in the order of the points, `control_back` at the start by
    who drives the other way. `heights` are those of the positions in m, empty where they are not known.
    """

    way: int
    tags: WayTags
    start: int
    end: int
    positions: list[Position]
    length_m: float
    control: Control | None = None
    control_back: Control | None = None
    heights: list[float] = field(default_factory=list)


def split(
    ways: Sequence[Way], controls: Mapping[int, NodeControl], heights: Mapping[int, float] | None = None
) -> list[Piece]:
    """Cut the ways at every node that two of them share, that a way passes twice, or that has a control.

    `heights`: in m, of all nodes.
    """
    uses = Counter(node for way in ways for node in way.nodes)
    uses.update(node for way in ways for node in (way.nodes[0], way.nodes[-1]))  # ends always cut
    pieces = []
    for way in sorted(ways, key=lambda w: (w.id, w.nodes)):
        cuts = [i for i, node in enumerate(way.nodes) if uses[node] > 1 or node in controls]
        own = [piece for a, b in pairwise(cuts) if (piece := _piece(way, a, b, heights))]
        _place_controls(own, controls)
        pieces += own
    return pieces


def _piece(way: Way, begin: int, end: int, heights: Mapping[int, float] | None) -> Piece | None:
    points = [begin]
    for point in range(begin + 1, end + 1):
        if way.positions[point] != way.positions[points[-1]]:  # nodes nearer than the rounding fall together
            points.append(point)
    if len(points) < 2:
        return None
    positions = [way.positions[point] for point in points]
    lons, lats = zip(*positions, strict=True)
    piece = Piece(
        way.id,
        way.tags,
        way.nodes[begin],
        way.nodes[end],
        positions,
        round(_GEOD.line_length(lons, lats), _CENTIMETRES),
    )
    if heights is not None:
        # Nodes that fall together at an end have the height of the one that other roads share.
        nodes = [piece.start, *(way.nodes[point] for point in points[1:-1]), piece.end]
        piece.heights = [round(heights[node], _CENTIMETRES) for node in nodes]
    return piece


def _place_controls(pieces: Sequence[Piece], controls: Mapping[int, NodeControl]) -> None:
    """Say for each piece of one way who meets the signal or sign at its ends."""
    for i, piece in enumerate(pieces):
        if found := controls.get(piece.end):
            ahead = pieces[i + 1].length_m if i + 1 < len(pieces) else 0.0
            # A sign without a direction is for those who come to the junction beyond it: the nearer one.
            if found.forward or (found.forward is None and ahead <= piece.length_m):
                piece.control = found.control
        if found := controls.get(piece.start):
            ahead = pieces[i - 1].length_m if i > 0 else 0.0
            if found.backward or (found.backward is None and ahead < piece.length_m):
                piece.control_back = found.control


def largest_component(
    pieces: Sequence[Piece], forbidden: Collection[Path] = ()
) -> tuple[list[Piece], list[Path]]:
    """The largest network in which each directed road can be driven to from each other.

    Directed pieces are numbered: 2 i along piece i, 2 i + 1 against it. A piece of which one direction leads
    nowhere is kept as a one-way road.

    Returns:
        The pieces, and the forbidden paths among them, in their new numbers. To those given come paths after
        which one could only drive to what is left out: without them nobody gets stuck.

    Raises:
        RoadsError: there is none.
    """
    ends: dict[int, tuple[int, int]] = {}
    reverses: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        if piece.tags.forward:
            ends[2 * i] = (piece.start, piece.end)
        if piece.tags.backward:
            ends[2 * i + 1] = (piece.end, piece.start)
        if piece.tags.forward and piece.tags.backward:
            reverses |= {2 * i: 2 * i + 1, 2 * i + 1: 2 * i}
    following = ways_on(ends, reverses, forbidden)
    states = with_memory(following, forbidden)
    found = [
        set(members)
        for members in strong_components(states.following)
        if len(members) > 1 or members[0] in states.following[members[0]]
    ]
    if not found:
        raise RoadsError("no road in the extract can be driven in a circle: there is no network to drive on")

    def size(members: set[int]) -> tuple[float, int]:
        return sum(pieces[n // 2].length_m for n in {states.road(state) for state in members}), -min(members)

    circle = max(found, key=size)
    kept = {states.road(state) for state in circle}
    places = {i: place for place, i in enumerate(sorted({number // 2 for number in kept}))}
    narrowed = [
        replace(piece, tags=replace(piece.tags, forward=2 * i in kept, backward=2 * i + 1 in kept))
        for i, piece in enumerate(pieces)
        if i in places
    ]
    paths = {
        path
        for path in forbidden
        if kept.issuperset(path) and (len(path) == 2 or all(b in following[a] for a, b in pairwise(path)))
    }
    paths |= _dead_ends(states, circle, kept)
    return narrowed, sorted(tuple(2 * places[n // 2] + n % 2 for n in path) for path in paths)


def _dead_ends(states: States, circle: Collection[int], kept: Collection[int]) -> set[Path]:
    """Paths over roads that are kept after which nobody comes back to where all can be driven to.

    The more one has to remember, the less one may do. So what leads nowhere from a state does so from all
    that remember more, and what is forbidden here takes nothing from those who may go on.
    """
    before: dict[int, list[int]] = {}
    for state, following in states.following.items():
        for after in following:
            if states.road(state) in kept and states.road(after) in kept:
                before.setdefault(after, []).append(state)
    alive, waiting = set(circle), list(circle)
    for state in waiting:  # it grows meanwhile
        fresh = [earlier for earlier in before.get(state, ()) if earlier not in alive]
        alive.update(fresh)
        waiting += dict.fromkeys(fresh)
    return {
        (*states.paths[state], states.road(after))
        for state in alive
        for after in states.following[state]
        if states.road(after) in kept and after not in alive
    }


def strong_components(onward: Mapping[int, Sequence[int]]) -> Iterable[list[int]]:
    """Tarjan's strongly connected components of a graph given by each node's successors."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in onward:
        if root in index:
            continue
        work = [(root, iter(onward[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for after in rest:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on_stack.add(after)
                    work.append((after, iter(onward[after])))
                    break
                if after in on_stack:
                    low[node] = min(low[node], index[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    members: list[int] = []
                    while not members or members[-1] != node:
                        members.append(stack.pop())
                        on_stack.discard(members[-1])
                    yield members


def road_features(pieces: Sequence[Piece]) -> list[Feature]:
    """The pieces as features of the file, nodes numbered from 0 in the order of their OpenStreetMap ids."""
    ids = sorted({node for piece in pieces for node in (piece.start, piece.end)})
    numbers = {node: number for number, node in enumerate(ids)}
    return [_feature(piece, numbers) for piece in pieces]


def numbered_paths(pieces: Sequence[Piece], paths: Iterable[Path]) -> list[Path]:
    """Paths of directed pieces in the file's numbers: from 1, negative against the feature's points."""
    numbers = {}
    for i, piece in enumerate(pieces):
        forth = 1 if piece.tags.forward else -1  # `_feature` turns what is only driven against its way
        numbers[2 * i], numbers[2 * i + 1] = forth * (i + 1), -forth * (i + 1)
    return [tuple(numbers[number] for number in path) for path in paths]


def _feature(piece: Piece, numbers: Mapping[int, int]) -> Feature:
    tags = piece.tags
    turned = not tags.forward  # a one-way road against its way: written as it is driven
    start, end = (piece.end, piece.start) if turned else (piece.start, piece.end)
    speed, back = (
        (tags.speed_backward, tags.speed_forward) if turned else (tags.speed_forward, tags.speed_backward)
    )
    oneway = not (tags.forward and tags.backward)
    control, control_back = (
        (piece.control_back, piece.control) if turned else (piece.control, piece.control_back)
    )
    return Feature(
        LineString(piece.positions[::-1] if turned else piece.positions),
        RoadProperties(
            kind=tags.kind,
            start=numbers[start],
            end=numbers[end],
            speed=speed,
            length=piece.length_m,
            name=tags.name,
            oneway=oneway,
            speed_back=None if oneway or back == speed else back,
            tunnel=tags.tunnel,
            bridge=tags.bridge,
            control=control.value if control else None,
            control_back=control_back.value if control_back and not oneway else None,
            heights=(piece.heights[::-1] if turned else piece.heights) or None,
        ),
    )
