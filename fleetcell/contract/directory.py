"""The directory of regions: which gateway serves a position, and who is asked when it does not answer. Pure.

A region is a set of H3 cells. They may be of any resolutions up to 11; a cell stands for all cells of
resolution 11 below it. So cells can be split and merged without moving a border, and the smallest cell
around a position decides, as the longest prefix does in routing: a region may be cut out of another one.

A border has a hysteresis of distance: a unit stays with its region until its own cell of resolution 11
and the six around it (30 to 100 m) are all beyond the border. Distance, because what makes a position
jump back and forth is the error of the receiver, in metres; a waiting time would keep a fast vehicle
long in the wrong region, and let one that is parked on the border change for ever.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import h3

from fleetcell.contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FINEST: Final = 11  # edge 29 m: what a unit's position can tell apart
CLAIMED: Final = 9  # edge 200 m: the cell that a unit tells in its claims
MOST_CELLS: Final = 20_000  # of one region, from an area that is drawn; a directory has to stay small
_DRAWN: Final = range(5, 10)  # resolutions that a drawn area is filled with, the finest that fits


def check_cell(text: str) -> str:
    """A region's cell, in H3's own spelling.

    Raises:
        ConfigError: no H3 cell, or one that is too small.
    """
    cell = text.strip().lower().removeprefix("0x")
    try:
        valid = h3.is_valid_cell(cell)
    except OverflowError:
        valid = False
    if not valid:
        raise ConfigError(f"{text[:40]!r} is not an H3 cell, such as 891126d3363ffff")
    if h3.get_resolution(cell) > FINEST:
        raise ConfigError(f"the H3 cell {cell} is too small: a region has cells of resolution 0 to {FINEST}")
    return cell


def compact(cells: Iterable[str]) -> list[str]:
    """The same area with the fewest cells, sorted.

    Raises:
        ConfigError: see `check_cell`.
    """
    found = {check_cell(cell) for cell in cells}
    found = {cell for cell in found if not _ancestors(cell) & found}
    for resolution in range(FINEST, 0, -1):
        families: defaultdict[str, set[str]] = defaultdict(set)
        for cell in found:
            if h3.get_resolution(cell) == resolution:
                families[h3.cell_to_parent(cell, resolution - 1)].add(cell)
        for parent, children in families.items():
            if len(children) == h3.cell_to_children_size(parent, resolution):
                found -= children
                found.add(parent)
    return sorted(found)


def _ancestors(cell: str) -> set[str]:
    return {h3.cell_to_parent(cell, resolution) for resolution in range(h3.get_resolution(cell))}


def cell_of(lat: float, lon: float, resolution: int = CLAIMED) -> str | None:
    """The cell at a position in degrees; None where that is none."""
    if not (abs(lat) <= 90 and abs(lon) <= 180):  # also refuses NaN
        return None
    cell: str = h3.cell_to_parent(h3.latlng_to_cell(lat, lon, FINEST), resolution)
    return cell


class Regions:
    """Who serves what.

    Args:
        cells: each region's cells, in any mix of resolutions. Of two regions with the very same cell, the
            first by name has it; `contested` tells which.

    Raises:
        ConfigError: see `check_cell`.
    """

    def __init__(self, cells: Mapping[str, Iterable[str]]) -> None:
        self.contested: dict[str, set[str]] = {}
        self._names = sorted(cells)
        self._owner: dict[str, str] = {}
        for region in self._names:
            for cell in compact(cells[region]):
                owner = self._owner.setdefault(cell, region)
                if owner != region:
                    self.contested.setdefault(cell, {owner}).add(region)
        self._resolutions = sorted({h3.get_resolution(cell) for cell in self._owner}, reverse=True)
        self._outlines: dict[str, list[tuple[tuple[float, float], float]]] = {
            region: [] for region in self._names
        }
        for cell, region in self._owner.items():
            radius = h3.average_hexagon_edge_length(h3.get_resolution(cell), unit="m")
            self._outlines[region].append((h3.cell_to_latlng(cell), radius))

    def at(self, lat: float, lon: float) -> str | None:
        """The region of a position in degrees; None where there is none."""
        cell = cell_of(lat, lon, FINEST)
        return None if cell is None else self._of(cell)

    def serving(self, lat: float, lon: float, held: str | None) -> str | None:
        """The region that should serve a unit at a position, which `held` serves now.

        None where no region is here or near: whoever serves it may go on.
        """
        cell = cell_of(lat, lon, FINEST)
        if cell is None:
            return None
        here = self._of(cell)
        if here == held or held not in self._outlines or here is None:
            return here
        around = (self._of(near) for near in h3.grid_disk(cell, 1))
        return held if held in around else here

    def nearest(self, lat: float, lon: float) -> list[str]:
        """All regions, the nearest first; one without cells is infinitely far, a tie goes by name."""
        return sorted(self._names, key=lambda region: (self._distance_m(region, lat, lon), region))

    def _of(self, cell: str) -> str | None:
        for resolution in self._resolutions:
            owner = self._owner.get(h3.cell_to_parent(cell, resolution))
            if owner is not None:
                return owner
        return None

    def _distance_m(self, region: str, lat: float, lon: float) -> float:
        """To the region's nearest cell, in metres, taking a cell for a circle; 0 inside."""
        if self.at(lat, lon) == region:
            return 0.0
        distances = (
            h3.great_circle_distance((lat, lon), centre, unit="m") - radius
            for centre, radius in self._outlines[region]
        )
        return max(min(distances, default=math.inf), 1.0)


# -- how a region's cells are written down -------------------------------------------------------


def read_cells(text: str) -> list[str]:
    """The cells of a file: GeoJSON with areas, or a cell a line (`#` begins a comment).

    Raises:
        ConfigError: neither; the message says where.
    """
    if text.lstrip().startswith("{"):
        return _drawn_cells(text)
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    cells = compact(line for line in lines if line)
    if not cells:
        raise ConfigError("there is no cell in it")
    return cells


def _drawn_cells(text: str) -> list[str]:
    """Cells whose centre is in an area, as fine as `MOST_CELLS` allows: neighbours' areas do not overlap."""
    try:
        polygons = list(_polygons(json.loads(text)))
        found: list[str] = []
        for resolution in _DRAWN:
            finer = [cell for polygon in polygons for cell in h3.geo_to_cells(polygon, resolution)]
            found = finer or found
            if len(found) * 7 > MOST_CELLS:
                break
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise ConfigError(f"no GeoJSON with areas: {error}") from None
    if not found:
        raise ConfigError("its areas have no cell: draw larger ones, or list H3 cells")
    return compact(found)


def _polygons(item: Any) -> Iterable[dict[str, Any]]:
    match item["type"]:
        case "FeatureCollection":
            for feature in item["features"]:
                yield from _polygons(feature)
        case "Feature":
            yield from _polygons(item["geometry"])
        case "GeometryCollection":
            for geometry in item["geometries"]:
                yield from _polygons(geometry)
        case "Polygon" | "MultiPolygon":
            yield item
        case other:
            raise ValueError(f"{other} is no area; use Polygon or MultiPolygon")


def split_box(
    bounds: tuple[float, float, float, float], names: Sequence[str], resolution: int = 10
) -> dict[str, list[str]]:
    """Cut a box (west, south, east, north in degrees) into regions from west to east, alike in cells."""
    west, south, east, north = bounds
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    box = {"type": "Polygon", "coordinates": [corners]}
    inside = set(h3.geo_to_cells(box, resolution))
    covering = {near for cell in inside for near in h3.grid_disk(cell, 1)}  # over the edges, too
    ordered = sorted(covering, key=lambda cell: (h3.cell_to_latlng(cell)[1], cell))
    cuts = [round(len(ordered) * part / len(names)) for part in range(len(names) + 1)]
    return {
        name: compact(ordered[first:last]) for name, (first, last) in zip(names, pairwise(cuts), strict=True)
    }
