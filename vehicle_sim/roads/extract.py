"""Reads an OpenStreetMap extract with pyosmium. The only module that touches it; needs the extra `roads`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import osmium

from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.format import DECIMALS, Position
from vehicle_sim.roads.restrictions import CONDITIONAL, KEYS, Restriction, Unread, read_restriction
from vehicle_sim.roads.tags import NodeControl, WayTags, node_control, parse_height, way_tags

if TYPE_CHECKING:
    from pathlib import Path

    from vehicle_sim.roads.progress import Progress

_REPORT_EVERY: Final = 10_000

# What a polygon shows on the map, by key and value; None takes every value.
_LAND: Final[tuple[tuple[str, str, frozenset[str] | None], ...]] = (
    ("water", "natural", frozenset({"water", "bay"})),
    ("water", "landuse", frozenset({"reservoir"})),
    ("water", "waterway", frozenset({"riverbank", "dock"})),
    (
        "park",
        "leisure",
        frozenset({"park", "garden", "golf_course", "nature_reserve", "pitch", "playground"}),
    ),
    (
        "park",
        "landuse",
        frozenset(
            {"grass", "forest", "meadow", "cemetery", "village_green", "recreation_ground", "allotments"}
        ),
    ),
    ("park", "natural", frozenset({"wood", "scrub", "grassland", "heath"})),
    ("building", "building", None),
)


@dataclass(slots=True)
class Way:
    """A drivable way: OpenStreetMap's node ids and their positions, as long as each other."""

    id: int
    tags: WayTags
    nodes: list[int]
    positions: list[Position]


@dataclass(slots=True)
class Area:
    """A polygon with holes, as found: not clipped, not simplified."""

    id: int
    kind: str
    name: str
    outer: list[Position]
    holes: list[list[Position]]


@dataclass(slots=True)
class Extract:
    """What the extract has of interest.

    Attributes:
        box: the header's west, south, east, north, if it has one.
        ele: surveyed heights in metres above the sea, by node id.
        unread: restrictions that were left out, counted by the reason.
    """

    box: tuple[float, float, float, float] | None = None
    ways: list[Way] = field(default_factory=list)
    controls: dict[int, NodeControl] = field(default_factory=dict)
    ele: dict[int, float] = field(default_factory=dict)
    restrictions: list[Restriction] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    areas: list[Area] = field(default_factory=list)
    coastlines: list[list[Position]] = field(default_factory=list)


def read_extract(path: Path, *, buildings: bool, progress: Progress) -> Extract:
    """Read any OpenStreetMap file that osmium knows (.osm.pbf, .osm, .osm.gz, ...).

    Raises:
        RoadsError: no such file, or it is cut off, damaged or of another kind.
    """
    if not path.is_file():
        raise RoadsError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    extract = Extract()
    try:
        with osmium.io.Reader(str(path), osmium.osm.NOTHING) as reader:
            box = reader.header().box()
            if box.valid():
                extract.box = (box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat)
        _read_objects(path, extract, buildings=buildings, progress=progress)
    except RuntimeError as error:  # osmium's only error, whatever is wrong with the file
        raise RoadsError(f"{path}: cannot be read as an OpenStreetMap extract: {error}") from error
    return extract


def _read_objects(path: Path, extract: Extract, *, buildings: bool, progress: Progress) -> None:
    keys = {key for kind, key, _ in _LAND if buildings or kind != "building"}
    objects = (
        osmium.FileProcessor(str(path))
        .with_locations()
        .with_areas(osmium.filter.KeyFilter(*keys))
        .with_filter(osmium.filter.KeyFilter("highway", "ele", *KEYS, *CONDITIONAL, *keys))
    )
    for number, item in enumerate(objects):
        if number % _REPORT_EVERY == 0:
            progress("objects read", number)
        if isinstance(item, osmium.osm.Node):
            control = node_control(dict(item.tags))
            if control is not None:
                extract.controls[item.id] = control
            height = parse_height(item.tags.get("ele") or "")
            if height is not None:
                extract.ele[item.id] = height
        elif isinstance(item, osmium.osm.Way):
            _read_way(item, extract)
        elif isinstance(item, osmium.osm.Area):
            _read_area(item, extract, buildings=buildings)
        elif isinstance(item, osmium.osm.Relation):
            _read_relation(item, extract)


def _read_relation(relation: osmium.osm.Relation, extract: Extract) -> None:
    members = [(member.type, member.ref, member.role) for member in relation.members]
    try:
        restriction = read_restriction(dict(relation.tags), members)
    except Unread as reason:
        extract.unread[str(reason)] += 1
        return
    if restriction is not None:
        extract.restrictions.append(restriction)


def _read_way(way: osmium.osm.Way, extract: Extract) -> None:
    if way.tags.get("natural") == "coastline":
        extract.coastlines += [positions for _, positions in _runs(way.nodes) if len(positions) > 1]
        return
    tags = way_tags(dict(way.tags))
    if tags is not None:
        extract.ways += [Way(way.id, tags, nodes, positions) for nodes, positions in _runs(way.nodes)]


def _runs(refs: osmium.osm.NodeRefList) -> list[tuple[list[int], list[Position]]]:
    """The way's stretches of nodes that the extract has: one may lead out of it and come back."""
    runs: list[tuple[list[int], list[Position]]] = [([], [])]
    for ref in refs:
        if not ref.location.valid():
            runs.append(([], []))
            continue
        nodes, positions = runs[-1]
        nodes.append(ref.ref)
        positions.append(_position(ref))
    return [run for run in runs if len(run[0]) > 1]


def _position(ref: osmium.osm.NodeRef) -> Position:
    return round(ref.lon, DECIMALS), round(ref.lat, DECIMALS)


def _read_area(area: osmium.osm.Area, extract: Extract, *, buildings: bool) -> None:
    for kind, key, values in _LAND:
        value = area.tags.get(key)
        if value is None or value == "no" or (values is not None and value not in values):
            continue
        if kind == "building" and not buildings:
            return
        name = area.tags.get("name") or ""
        for ring in area.outer_rings():
            holes = [[_position(ref) for ref in hole] for hole in area.inner_rings(ring)]
            extract.areas.append(Area(area.id, kind, name, [_position(ref) for ref in ring], holes))
        return
