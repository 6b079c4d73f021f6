"""The file of a road network: one gzipped GeoJSON FeatureCollection (RFC 7946), for vehicles and for maps.

Beside the members of GeoJSON the collection has

- `format`: "fleetcell-roads", `version`: 3;
- `attribution`: to be shown wherever the data are; `source`: the extract's file name;
- `bbox`: [west, south, east, north] of the roads, degrees;
- `heights`, where there are any: "sea" (metres above the sea) or "relative" (only differences are known);
- `no_turns`, where there are any: lists of two roads or more that must not be driven one after the other.
  Roads are numbered from 1 in the order of the file, negative when driven from `to` to `from`.

Version 1 had no `no_turns`, version 2 only pairs there and no heights; their files are still read.

Each feature's property `kind` says what it is:

- `road`, a LineString from node `from` to node `to` (numbers from 0). `class` is OpenStreetMap's highway
  class; `speed` the limit in km/h; `length` in metres on the ellipsoid. Where they apply: `name`;
  `oneway` true (only from -> to); `speed_back`, the limit to -> from if another; `tunnel`, `bridge` true;
  `control` ("signal", "stop", "give_way") that a driver meets at node `to`, `control_back` at node `from`;
  `heights`, one in metres for each point of the line. Roads that meet have the same height there.
- `water`, `park` (anything green), `building`: a Polygon, for the map only; `name` where it has one.

Coordinates are rounded to 1e-6 degrees (11 cm). The same input gives the same bytes
(with the same zlib).
"""

from __future__ import annotations

import gzip
import math
import zlib
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from vehicle_sim.roads.errors import RoadsError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "fleetcell-roads"
VERSION: Final = 3
_READ: Final = (1, 2, 3)
ATTRIBUTION: Final = "© OpenStreetMap contributors, ODbL 1.0"
DECIMALS: Final = 6
_HIGHEST_M: Final = 10_000.0

Position = tuple[float, float]
"""(longitude, latitude) in degrees."""
Ring = list[Position]


class LineString(msgspec.Struct, tag_field="type", tag="LineString"):
    """The way of a road."""

    coordinates: list[Position]


class Polygon(msgspec.Struct, tag_field="type", tag="Polygon"):
    """An outer ring, then the holes."""

    coordinates: list[Ring]


class RoadProperties(
    msgspec.Struct,
    tag_field="kind",
    tag="road",
    omit_defaults=True,
):
    """A road between two junctions (see the module)."""

    kind: str = msgspec.field(name="class")
    start: int = msgspec.field(name="from")
    end: int = msgspec.field(name="to")
    speed: int
    length: float
    name: str = ""
    oneway: bool = False
    speed_back: int | None = None
    tunnel: bool = False
    bridge: bool = False
    control: Literal["signal", "stop", "give_way"] | None = None
    control_back: Literal["signal", "stop", "give_way"] | None = None
    heights: list[float] | None = None


class LandProperties(msgspec.Struct, tag_field="kind", omit_defaults=True):
    """A polygon for the map."""

    name: str = ""


class Water(LandProperties, tag="water"):
    """Sea, lakes, wide rivers."""


class Park(LandProperties, tag="park"):
    """Parks, woods, lawns."""


class Building(LandProperties, tag="building"):
    """Outlines of buildings."""


class Feature(msgspec.Struct, tag_field="type", tag="Feature"):
    """One road or polygon."""

    geometry: LineString | Polygon
    properties: RoadProperties | Water | Park | Building


class RoadFile(msgspec.Struct, tag_field="type", tag="FeatureCollection", omit_defaults=True):
    """The whole file."""

    format: str
    version: int
    attribution: str
    source: str
    bbox: tuple[float, float, float, float]
    features: list[Feature]
    heights: Literal["sea", "relative"] | None = None
    no_turns: list[Annotated[tuple[int, ...], msgspec.Meta(min_length=2)]] = []


def write(file: RoadFile, path: Path) -> int:
    """Write the file, whole or not at all; its size in bytes."""
    data = gzip.compress(msgspec.json.encode(file), compresslevel=9, mtime=0)
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        raise RoadsError(f"{path}: cannot be written: {error.strerror or error}") from error
    return len(data)


def read(path: Path) -> RoadFile:
    """Read a file and check its form.

    Raises:
        RoadsError: it cannot be read, is damaged, of another format or version, or a value is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RoadsError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RoadsError(f"{path}: the file is cut off or damaged: {error}") from error
    try:
        header = msgspec.json.decode(text, type=_Header)
    except msgspec.DecodeError as error:
        raise RoadsError(
            f"{path}: not a road network: {error} (`fleetcell sim roads build` makes one)"
        ) from error
    if header.format != FORMAT or header.version not in _READ:
        raise RoadsError(
            f"{path}: {header.format!r} version {header.version}, not {FORMAT!r} version {VERSION} or older: "
            "build it again with `fleetcell sim roads build`"
        )
    try:
        file = msgspec.json.decode(text, type=RoadFile)
    except msgspec.DecodeError as error:
        raise RoadsError(f"{path}: {error}") from error
    for number, feature in enumerate(file.features):
        if problem := _problem(feature) or _height_problem(feature, file.heights):
            raise RoadsError(f"{path}: feature {number}: {problem}")
    return file


class _Header(msgspec.Struct):
    """What must be right before the rest is worth reading."""

    format: str = ""
    version: int = 0


def _problem(feature: Feature) -> str | None:
    road, line = feature.properties, feature.geometry
    if not isinstance(road, RoadProperties):
        return None if isinstance(line, Polygon) else "land is not a Polygon"
    if not isinstance(line, LineString):
        return "a road is not a LineString"
    if len(line.coordinates) < 2:
        return "a road of fewer than two points"
    if not all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in line.coordinates):
        return "a position outside the Earth's degrees"
    if road.start < 0 or road.end < 0:
        return "a node number below 0"
    if not math.isfinite(road.length) or road.length <= 0:
        return f"length {road.length} m"
    if not all(1 <= speed <= 300 for speed in (road.speed, road.speed_back or road.speed)):
        return f"speed limit {road.speed} km/h"
    return None


def _height_problem(feature: Feature, heights: str | None) -> str | None:
    road, line = feature.properties, feature.geometry
    if not isinstance(road, RoadProperties):
        return None
    if (road.heights is None) is not (heights is None):
        return "either all roads have heights or none"
    if road.heights is None:
        return None
    if len(road.heights) != len(line.coordinates):
        return f"{len(road.heights)} heights of {len(line.coordinates)} points"
    if not all(-_HIGHEST_M <= height <= _HIGHEST_M for height in road.heights):
        return "a height that no road has"
    return None
