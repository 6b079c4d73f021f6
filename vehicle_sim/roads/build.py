"""`fleetcell sim roads build`: from an OpenStreetMap extract to one file of roads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from vehicle_sim.roads import format as road_format
from vehicle_sim.roads.elevation import Tiles
from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.heights import heights_of
from vehicle_sim.roads.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vehicle_sim.roads.graph import Piece

_STEEP_M: Final = 20.0  # what is shorter may be steep by the rounding of its ends


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built.

    Attributes:
        roads: roads between junctions; `nodes`: the junctions and ends; `km`: their length.
        left_out: roads that cannot be driven to from the rest and back.
        signals: ends of roads with a traffic signal.
        no_turns: turns from road to road that signs forbid, or that lead nowhere.
        no_paths: the same over more than two roads.
        unread: turn restrictions that were left out, by the reason.
        heights: "sea" or "relative", as in the file; None: nothing is known of any height.
        steepest: rise over run of the steepest road of 20 m or more; 0 without heights.
        land: polygons by kind.
        bounds: west, south, east, north in degrees.
        size_bytes: of the file.
    """

    roads: int
    nodes: int
    km: float
    left_out: int
    signals: int
    no_turns: int
    no_paths: int
    unread: dict[str, int]
    heights: Literal["sea", "relative"] | None
    steepest: float
    land: dict[str, int]
    bounds: tuple[float, float, float, float]
    size_bytes: int


def build(
    pbf: Path,
    out: Path,
    progress: Progress | None = None,
    *,
    buildings: bool = True,
    heights: Path | None = None,
) -> BuildReport:
    """Build the network of all roads open to cars in the extract and write it to `out`.

    `buildings` False leaves their outlines out, which makes the file of a large extract much smaller.
    `heights` is a folder of SRTM tiles.

    Raises:
        RoadsError: the extract or a tile cannot be read, the extract has no network, `out` cannot be
            written, or the extra `roads` is not installed.
    """
    report_progress = progress or silent
    try:
        # Here and not above: only a build needs the extra's libraries.
        from vehicle_sim.roads import extract, forbidden, graph, land  # noqa: PLC0415
    except ImportError as error:
        raise RoadsError(
            f"building roads needs pip install 'fleetcell[roads]' ({error.name} is missing)"
        ) from error
    found = extract.read_extract(pbf, buildings=buildings, progress=report_progress)
    if not found.ways:
        raise RoadsError(f"{pbf}: no road open to cars in the extract")
    ground = None if heights is None else Tiles(heights).height
    high = heights_of(found.ways, found.ele, ground)
    datum: Literal["sea", "relative"] | None = (
        None if high is None else "sea" if high.sea_level else "relative"
    )
    pieces = graph.split(found.ways, found.controls, None if high is None else high.by_node)
    report_progress("roads between junctions", len(pieces))
    closed, ambiguous = forbidden.forbidden_paths(pieces, found.restrictions)
    try:
        kept, paths = graph.largest_component(pieces, closed)
    except RoadsError as error:
        raise RoadsError(f"{pbf}: {error}") from error
    report_progress("roads in one network", len(kept))
    roads = graph.road_features(kept)
    bounds = _bounds([p for piece in kept for p in piece.positions])
    land_features = land.land_features(found.areas, found.coastlines, found.box or bounds)
    report_progress("polygons", len(land_features))
    size = road_format.write(
        road_format.RoadFile(
            format=road_format.FORMAT,
            version=road_format.VERSION,
            attribution=road_format.ATTRIBUTION,
            source=pbf.name,
            bbox=bounds,
            features=[*land_features, *roads],
            heights=datum,
            no_turns=graph.numbered_paths(kept, paths),
        ),
        out,
    )
    return BuildReport(
        roads=len(kept),
        nodes=len({node for piece in kept for node in (piece.start, piece.end)}),
        km=round(sum(piece.length_m for piece in kept) / 1000, 3),
        left_out=len(pieces) - len(kept),
        signals=_signals(roads),
        no_turns=sum(len(path) == 2 for path in paths),
        no_paths=sum(len(path) > 2 for path in paths),
        unread=dict(sorted((found.unread + ambiguous).items())),
        heights=datum,
        steepest=_steepest(kept),
        land=_land_counts(land_features),
        bounds=bounds,
        size_bytes=size,
    )


def _bounds(positions: Sequence[road_format.Position]) -> tuple[float, float, float, float]:
    lons, lats = [lon for lon, _ in positions], [lat for _, lat in positions]
    return min(lons), min(lats), max(lons), max(lats)


def _signals(roads: Sequence[road_format.Feature]) -> int:
    ends = [
        end
        for road in roads
        if isinstance(road.properties, road_format.RoadProperties)
        for end in (road.properties.control, road.properties.control_back)
    ]
    return ends.count("signal")


def _steepest(pieces: Sequence[Piece]) -> float:
    slopes = [
        abs(piece.heights[-1] - piece.heights[0]) / piece.length_m
        for piece in pieces
        if piece.heights and piece.length_m >= _STEEP_M
    ]
    return round(max(slopes, default=0.0), 3)


def _land_counts(features: Sequence[road_format.Feature]) -> dict[str, int]:
    counts = {"water": 0, "park": 0, "building": 0}
    for feature in features:
        counts[type(feature.properties).__name__.lower()] += 1
    return counts
