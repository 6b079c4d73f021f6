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
from dataclasses import dataclass
from typing import Final, NamedTuple

from vehicle_sim.links.noise import normal, state, uniform
from vehicle_sim.roads.geodesy import metres_per_degree

TILE_M: Final = 10.0  # reception is worked out once a tile
LOAD_SLOT_S: Final = 10.0
_CONGESTION_SLOTS: Final = 12  # two minutes
_CONGESTED_LOAD: Final = 0.97
_SITE_SHIFT: Final = 0.15  # of the distance between sites
_CORRELATION_M: Final = 50.0
_LEAST_DISTANCE_M: Final = 35.0  # TR 38.901 table 7.2-1, UMa
_THERMAL_DBM_HZ: Final = -174.0
_UE_NOISE_DB: Final = 9.0
_SITE_NOISE_DB: Final = 5.0
_INTERFERENCE_OVER_THERMAL_DB: Final = 3.0
_UE_DBM: Final = 23.0
_SINR_MIN_DB: Final = -10.0
_DOWN_ATTENUATION, _DOWN_MAX = 0.6, 4.4
_UP_ATTENUATION, _UP_MAX = 0.4, 2.0
_MOST_TILES: Final = 1_000  # kept; about a kilobyte each
_MOST_POINTS: Final = 40_000  # of shadowing; a ninth of one
_POINTS_ACROSS: Final = 1 << 24  # more than there are around the earth
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
    """The cells of one layer and one seed, without end; what is heard in a tile is worked out once."""

    def __init__(self, layer: CellLayer, seed: int) -> None:
        self.layer = layer
        self._seed = seed
        self._tiles: dict[tuple[int, int], tuple[Heard, ...]] = {}
        self._shadows: dict[int, dict[int, float]] = {}  # by site, then by point
        self._points = 0  # in all of them
        self._sites: dict[tuple[int, int], Site] = {}
        self._around: dict[tuple[int, int], tuple[Site, ...]] = {}
        self._element_dbm = layer.site_dbm - 10.0 * math.log10(layer.elements) + layer.gain_db
        self._noise = _from_db(_THERMAL_DBM_HZ + 10.0 * math.log10(layer.element_hz) + _UE_NOISE_DB)

    def heard(self, x: float, y: float) -> tuple[Heard, ...]:
        """Cells with service at a place, the loudest first; none in a coverage hole."""
        return self.heard_in((math.floor(x / TILE_M), math.floor(y / TILE_M)))

    def heard_in(self, tile: tuple[int, int]) -> tuple[Heard, ...]:
        """The same in a tile, by its number east and north."""
        found = self._tiles.get(tile)
        if found is None:
            if len(self._tiles) >= _MOST_TILES:
                self._tiles.clear()
            found = self._tiles[tile] = self._survey((tile[0] + 0.5) * TILE_M, (tile[1] + 0.5) * TILE_M)
        return found

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

    def _survey(self, x: float, y: float) -> tuple[Heard, ...]:
        if self.in_hole(x, y):
            return ()
        layer = self.layer
        losses = [(self._loss(site, x, y), site) for site in self._near(x, y)]
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

    def _loss(self, site: Site, x: float, y: float) -> float:
        metres = max(math.hypot(x - site.x, y - site.y), _LEAST_DISTANCE_M)
        return self.layer.path_loss.db(metres, self.layer.ghz) + self._shadow(site, x, y)

    def _shadow(self, site: Site, x: float, y: float) -> float:
        """Interpolated between points 50 m apart, and scaled so that the deviation is kept."""
        u, v = x / _CORRELATION_M, y / _CORRELATION_M
        i, j = math.floor(u), math.floor(v)
        a, b = u - i, v - j
        w00, w10, w01, w11 = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
        at = self._shadow_at
        mixed = (
            w00 * at(site, i, j)
            + w10 * at(site, i + 1, j)
            + w01 * at(site, i, j + 1)
            + w11 * at(site, i + 1, j + 1)
        )
        return self.layer.path_loss.shadow_db * mixed / math.hypot(w00, w10, w01, w11)

    def _shadow_at(self, site: Site, i: int, j: int) -> float:
        """At a point of the grid of `_CORRELATION_M`."""
        points = self._shadows.get(site.shadows)
        key = i * _POINTS_ACROSS + j
        found = None if points is None else points.get(key)
        if found is None:
            if self._points >= _MOST_POINTS:
                self._shadows.clear()
                self._points = 0
            found = self._shadows.setdefault(site.shadows, {})[key] = normal(site.shadows, i, j)
            self._points += 1
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


def _rate(sinr: float, attenuation: float, most: float) -> float:
    """Bytes a second for a hertz, TR 36.942 annex A.2."""
    if sinr < _from_db(_SINR_MIN_DB):
        return 0.0
    return min(attenuation * math.log2(1.0 + sinr), most) / 8.0


def _first(found: tuple[float, Site]) -> float:
    return found[0]


def _from_db(db: float) -> float:
    return math.pow(10.0, db / 10.0)
