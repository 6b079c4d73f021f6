"""A layer of cells: where the sites stand, how loud each is at a place, and what rate that allows.

The model is 3GPP's for system-level simulation, reduced to what a vehicle's link shows:

- Sites on a hexagonal grid (TR 36.942 and TR 38.901 section 7.2), moved at random by up to 15 % of their
  distance; one cell a site, without sectors.
- Path loss without line of sight and its shadowing: TR 38.901 V16.1 table 7.4.1-1. The shadowing of a site
  changes over 50 m (table 7.5-6, UMa NLOS).
- RSRP is the power of one resource element; SINR counts the six nearest other sites, as busy as the load.
- Rate from SINR by the attenuated Shannon bound of TR 36.942 annex A.2: 0.6 of it downlink, 0.4 uplink, from
  -10 dB up to 4.4 and 2.0 bit/s/Hz. The uplink has 23 dBm (TS 36.101 power class 3) over its bandwidth, 5 dB
  noise figure and 3 dB interference over thermal noise.
- Other users take a share of a cell that is drawn anew every 10 s; in a congested cell, for two minutes,
  nearly all.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Final, NamedTuple

from vehicle_sim.links.noise import normal, state, uniform
from vehicle_sim.roads.geodesy import metres_per_degree

TILE_M: Final = 10.0  # reception is the same in all of a tile
LOAD_SLOT_S: Final = 10.0
_CONGESTION_SLOTS: Final = 12  # two minutes
_CONGESTED_LOAD: Final = 0.97
_SITE_SHIFT: Final = 0.15  # of the distance between sites
_CORRELATION_M: Final = 50.0  # between two points of shadowing
_LEAST_DISTANCE_M: Final = 35.0  # TR 38.901 table 7.2-1, UMa
_THERMAL_DBM_HZ: Final = -174.0
_UE_NOISE_DB: Final = 9.0
_SITE_NOISE_DB: Final = 5.0
_INTERFERENCE_OVER_THERMAL_DB: Final = 3.0
_UE_DBM: Final = 23.0
_SINR_MIN_DB: Final = -10.0
_DOWN_ATTENUATION, _DOWN_MAX = 0.6, 4.4
_UP_ATTENUATION, _UP_MAX = 0.4, 2.0
_TILES_ACROSS: Final = 5  # of a patch, the square between four points of shadowing
_MOST_PATCHES: Final = 8_000  # kept; half a kilobyte each
_PATCHES_ACROSS: Final = 1 << 24  # more than there are around the earth
_CORNERS: Final = ((0, 0), (1, 0), (0, 1), (1, 1))
_HEXAGON: Final = ((0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))

# What `uniform` is asked about; a place in its coordinates.
_SHIFT_X, _SHIFT_Y, _SHADOW, _LOAD, _CONGESTION, _HOLE = range(6)


@dataclass(frozen=True, slots=True)
class PathLoss:
    """`intercept + slope * log10(metres) + frequency * log10(GHz)` in dB, and the shadowing's deviation."""

    intercept: float
    slope: float
    frequency: float
    shadow_db: float

    def db(self, metres: float, ghz: float) -> float:
        """The loss without shadowing."""
        return self.intercept + self.slope * math.log10(metres) + self.frequency * math.log10(ghz)


# TR 38.901 table 7.4.1-1, NLOS, a terminal 1.5 m high; RMa: streets of 20 m, houses of 5 m, masts of 35 m.
URBAN_MACRO: Final = PathLoss(13.54, 39.08, 20.0, 6.0)
RURAL_MACRO: Final = PathLoss(3.64, 38.63, 20.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLayer:
    """One operator's cells of one technology.

    Attributes:
        rat: as the signal `rat` shows it.
        inter_site_m: distance between neighbouring sites.
        ghz: carrier frequency.
        down_hz, up_hz: bandwidth of each direction; of a TDD carrier its share.
        element_hz, elements: of one resource element, and how many the carrier has.
        site_dbm: power of a site over the whole carrier.
        gain_db: of the site's antenna, both ways.
        load: the least and the most that others take of a cell, 0 to 1.
        congested: share of the time in which a cell is congested.
        holes: share of the squares (a side is `hole_m`) that have a coverage hole in them.
        min_rsrp_dbm: below it there is no service (q-RxLevMin, TS 36.304).
        hysteresis_db, time_to_trigger_s: of the measurement event A3 (TS 36.331 section 5.5.4.4).
        interruption_s: of user data in a handover.
        radio_link_failure_s: without coverage for so long, the connection is lost (T310, TS 36.331).
        reselect_s: from the return of coverage until data flow again.
    """

    rat: str
    inter_site_m: float
    ghz: float
    down_hz: float
    up_hz: float
    element_hz: float
    elements: int
    path_loss: PathLoss
    site_dbm: float = 46.0
    gain_db: float = 15.0
    load: tuple[float, float] = (0.3, 0.7)
    congested: float = 0.0
    holes: float = 0.0
    hole_m: float = 1000.0
    min_rsrp_dbm: float = -120.0
    hysteresis_db: float = 3.0
    time_to_trigger_s: float = 0.32
    interruption_s: float = 0.05
    radio_link_failure_s: float = 1.0
    reselect_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Site:
    """A cell: its place in metres on the plane, its name, its numbers in the grid, its shadowing's seed."""

    name: str
    x: float
    y: float
    i: int
    j: int
    shadows: int


_Patch = tuple[tuple[Site, ...], "array[float]"]
"""Sites, and for each of them the shadowing at the corners, as `_CORNERS` has them."""


class Heard(NamedTuple):
    """A cell at a place: its RSRP, the loss on the way, and its SINR downlink as a ratio."""

    site: Site
    rsrp_dbm: float
    loss_db: float
    sinr: float
    layer: CellLayer

    @property
    def up(self) -> float:
        """The best rate if nobody else used the cell, bytes a second."""
        layer = self.layer
        noise = _THERMAL_DBM_HZ + 10.0 * math.log10(layer.up_hz) + _SITE_NOISE_DB
        sinr_db = _UE_DBM + layer.gain_db - self.loss_db - noise - _INTERFERENCE_OVER_THERMAL_DB
        return _rate(_from_db(sinr_db), _UP_ATTENUATION, _UP_MAX) * layer.up_hz

    @property
    def down(self) -> float:
        """Likewise."""
        return _rate(self.sinr, _DOWN_ATTENUATION, _DOWN_MAX) * self.layer.down_hz


@dataclass(frozen=True, slots=True)
class Plane:
    """A flat map around a whole degree of latitude, in metres: good enough for a city or a drive."""

    east_m: float  # a degree of longitude
    north_m: float

    @classmethod
    def at(cls, lat: float) -> Plane:
        """The plane for this latitude; the same for all vehicles of a place."""
        return cls(*metres_per_degree(min(max(float(round(lat)), -85.0), 85.0)))

    def xy(self, lon: float, lat: float) -> tuple[float, float]:
        """Metres east and north."""
        return lon * self.east_m, lat * self.north_m


class Cells:
    """The cells of one layer and one seed, without end."""

    def __init__(self, layer: CellLayer, seed: int) -> None:
        self.layer = layer
        self._seed = seed
        self._patches: dict[int, _Patch] = {}  # the oldest first
        self._sites: dict[tuple[int, int], Site] = {}
        self._around: dict[tuple[int, int], tuple[Site, ...]] = {}
        self._fixed_db = layer.path_loss.db(1.0, layer.ghz)  # of the loss, at any distance
        self._element_dbm = layer.site_dbm - 10.0 * math.log10(layer.elements) + layer.gain_db
        self._noise = _from_db(_THERMAL_DBM_HZ + 10.0 * math.log10(layer.element_hz) + _UE_NOISE_DB)

    def heard(self, x: float, y: float) -> tuple[Heard, ...]:
        """Cells with service at a place, the loudest first; none in a coverage hole."""
        return self.heard_in((math.floor(x / TILE_M), math.floor(y / TILE_M)))

    def heard_in(self, tile: tuple[int, int]) -> tuple[Heard, ...]:
        """The same in a tile, by its number east and north.

        The shadowing of each site is interpolated between the corners of its patch.
        """
        (east, a), (north, b) = divmod(tile[0], _TILES_ACROSS), divmod(tile[1], _TILES_ACROSS)
        x, y = (tile[0] + 0.5) * TILE_M, (tile[1] + 0.5) * TILE_M
        if self.in_hole(x, y):
            return ()
        sites, shadows = self._patch(east, north)
        w00, w10, w01, w11 = _WEIGHTS[b * _TILES_ACROSS + a]
        layer, points = self.layer, iter(shadows)
        fixed_db, slope, shadow_db = self._fixed_db, layer.path_loss.slope, layer.path_loss.shadow_db
        losses = []
        for site, s00, s10, s01, s11 in zip(sites, points, points, points, points, strict=True):
            metres = max(math.hypot(x - site.x, y - site.y), _LEAST_DISTANCE_M)
            shadow = w00 * s00 + w10 * s10 + w01 * s01 + w11 * s11
            losses.append((fixed_db + slope * math.log10(metres) + shadow_db * shadow, site))
        losses.sort(key=_first)
        element_dbm = self._element_dbm
        powers = [math.pow(10.0, (element_dbm - loss) / 10.0) for loss, _ in losses]
        busy = sum(layer.load) / 2
        others = sum(powers) * busy + self._noise
        least = layer.min_rsrp_dbm
        return tuple(
            Heard(site, element_dbm - loss, loss, power / (others - power * busy), layer)
            for (loss, site), power in zip(losses, powers, strict=True)
            if element_dbm - loss >= least
        )

    def free(self, site: Site, slot: int) -> float:
        """The share of a cell that others leave, 0 to 1, in slot `slot` of `LOAD_SLOT_S` seconds."""
        seed, layer = self._seed, self.layer
        low, high = layer.load
        if layer.congested:
            period = slot // _CONGESTION_SLOTS
            if uniform(seed, _CONGESTION, site.i, site.j, period) < layer.congested:
                return 1.0 - _CONGESTED_LOAD
        return 1.0 - low - (high - low) * uniform(seed, _LOAD, site.i, site.j, slot)

    def in_hole(self, x: float, y: float) -> bool:
        """Whether a coverage hole is here: a circle somewhere in its square, 10 to 30 % of it across."""
        layer, seed = self.layer, self._seed
        if not layer.holes:
            return False
        i, j = math.floor(x / layer.hole_m), math.floor(y / layer.hole_m)
        if uniform(seed, _HOLE, i, j, 0) >= layer.holes:
            return False
        radius = layer.hole_m * (0.1 + 0.2 * uniform(seed, _HOLE, i, j, 1))
        room = layer.hole_m - 2 * radius
        centre_x = i * layer.hole_m + radius + room * uniform(seed, _HOLE, i, j, 2)
        centre_y = j * layer.hole_m + radius + room * uniform(seed, _HOLE, i, j, 3)
        return math.hypot(x - centre_x, y - centre_y) < radius

    # -- inside -----------------------------------------------------------------------------------

    def _patch(self, east: int, north: int) -> _Patch:
        """The sites around a square of `_CORRELATION_M`, and the shadowing of each at its four corners."""
        key = east * _PATCHES_ACROSS + north
        found = self._patches.get(key)
        if found is None:
            if len(self._patches) >= _MOST_PATCHES:
                del self._patches[next(iter(self._patches))]  # the oldest
            sites = self._near((east + 0.5) * _CORRELATION_M, (north + 0.5) * _CORRELATION_M)
            shadows = array(
                "d", (normal(site.shadows, east + i, north + j) for site in sites for i, j in _CORNERS)
            )
            found = self._patches[key] = sites, shadows
        return found

    def _near(self, x: float, y: float) -> tuple[Site, ...]:
        """The site of the hexagon around a place, and the six around that."""
        distance = self.layer.inter_site_m
        j = round(y / (distance * math.sqrt(3.0) / 2.0))
        i = round(x / distance - j / 2.0)
        found = self._around.get((i, j))
        if found is None:
            found = self._around[i, j] = tuple(self._site(i + di, j + dj) for di, dj in _HEXAGON)
        return found

    def _site(self, i: int, j: int) -> Site:
        site = self._sites.get((i, j))
        if site is None:
            distance = self.layer.inter_site_m
            shift_x = (uniform(self._seed, _SHIFT_X, i, j) - 0.5) * 2 * _SITE_SHIFT
            shift_y = (uniform(self._seed, _SHIFT_Y, i, j) - 0.5) * 2 * _SITE_SHIFT
            x = (i + j / 2.0 + shift_x) * distance
            y = (j * math.sqrt(3.0) / 2.0 + shift_y) * distance
            site = self._sites[i, j] = Site(
                f"{i & 0xFFFF:04x}{j & 0xFFFF:04x}", x, y, i, j, state(self._seed, _SHADOW, i, j)
            )
        return site


def _weights(a: int, b: int) -> tuple[float, float, float, float]:
    """Of the corners of a patch, for a tile in it; scaled so that the deviation is kept."""
    u, v = (a + 0.5) / _TILES_ACROSS, (b + 0.5) / _TILES_ACROSS
    w00, w10, w01, w11 = (1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v
    scale = math.hypot(w00, w10, w01, w11)
    return w00 / scale, w10 / scale, w01 / scale, w11 / scale


_WEIGHTS: Final = tuple(_weights(a, b) for b in range(_TILES_ACROSS) for a in range(_TILES_ACROSS))


def _rate(sinr: float, attenuation: float, most: float) -> float:
    """Bytes a second for a hertz, TR 36.942 annex A.2."""
    if sinr < _from_db(_SINR_MIN_DB):
        return 0.0
    return min(attenuation * math.log2(1.0 + sinr), most) / 8.0


def _first(found: tuple[float, Site]) -> float:
    return found[0]


def _from_db(db: float) -> float:
    return math.pow(10.0, db / 10.0)
