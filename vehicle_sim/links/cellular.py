"""The air of a vehicle among cells: which one serves it, handovers, and the loss and return of coverage."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.air import Change, Direction, Event, Reception
from vehicle_sim.links.cells import LOAD_SLOT_S, TILE_M, Plane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_sim.links.cells import Cells, Heard
    from vehicle_sim.links.track import Track
    from vehicle_sim.links.zones import Zone

_NEVER: Final = math.inf
_STEP_S: Final = 2.0  # between measurements on a track


class CellularAir:
    """One vehicle among the cells.

    Args:
        cells: shared by all vehicles of a run.
        zones: tunnels; no cell is heard in them.
        track: where the vehicle is while nobody has told by `move`.
    """

    def __init__(self, cells: Cells, zones: Sequence[Zone], track: Track) -> None:
        self._cells = cells
        self._zones = zones
        self._track: Track | None = track
        self._plane: Plane | None = None
        self._tile: tuple[int, int] | None = None  # where it was told to be
        self._there: Sequence[Heard] = ()  # without tunnels
        self._heard: Sequence[Heard] = ()
        self._serving: Heard | None = None
        self._now = 0.0
        self._step_at = 0.0
        self._gap_until = 0.0  # no data before: handover, or the way back into the network
        self._target: str | None = None  # of a handover to come
        self._handover_at = _NEVER
        self._lost_at: float | None = None  # since when there is no coverage; None: never had any
        self._slot = 0
        self._rates: tuple[float, float] | None = None  # worked out when a packet asks for them
        self.next_change = 0.0

    @property
    def reception(self) -> Reception:
        serving, rat = self._serving, self._cells.layer.rat
        if serving is None:
            return Reception(None, None, None)
        return Reception(serving.site.name, round(serving.rsrp_dbm, 1), rat)

    def advance(self, now: float) -> list[Event]:
        events: list[Event] = []
        while (due := self.next_change) <= now:
            self._now = due
            if due >= self._handover_at:
                events += self._hand_over(due)
            if due >= self._step_at:
                events += self._step(due)
            self._settle()
        self._now = max(self._now, now)
        return events

    def rate(self, direction: Direction, t: float) -> tuple[float, float]:
        if t < self._gap_until:
            return 0.0, self._gap_until
        rates = self._rates
        if rates is None:
            rates = self._rates = self._rates_now()
        return rates[direction], self.next_change

    def move(self, lon: float, lat: float, now: float) -> list[Event]:
        events = self.advance(now)
        if self._track is not None:  # what it met on the track is forgotten
            self._track, self._step_at = None, _NEVER
            self._serving = self._lost_at = self._target = None
            self._handover_at = _NEVER
        if self._plane is None:
            self._plane = Plane.at(lat)
        covered = not any(zone.covers(lon, lat) for zone in self._zones)
        x, y = self._plane.xy(lon, lat)
        tile = (math.floor(x / TILE_M), math.floor(y / TILE_M))
        if tile != self._tile:
            self._tile, self._there = tile, self._cells.heard_in(tile)
        events += self._measure(self._there if covered else (), now)
        self._settle()
        return events

    # -- inside -----------------------------------------------------------------------------------

    def _step(self, now: float) -> list[Event]:
        track = self._track
        assert track is not None
        self._step_at = now + _STEP_S
        return self._measure(() if track.in_tunnel(now) else self._cells.heard(*track.at(now)), now)

    def _measure(self, heard: Sequence[Heard], now: float) -> list[Event]:
        """What the modem does about what it hears now."""
        self._heard = heard
        if not heard:
            return self._lose(now, "nothing heard")
        if self._serving is None:
            return self._come_back(heard[0], now)
        serving = self._find(self._serving.site.name)
        if serving is None:  # too far away by now: no time for a handover
            return [*self._lose(now, "too far from its cell"), *self._come_back(heard[0], now)]
        self._serving = serving
        best = heard[0]
        if best.rsrp_dbm <= serving.rsrp_dbm + self._cells.layer.hysteresis_db:
            self._target, self._handover_at = None, _NEVER
        elif best.site.name != self._target:
            self._target = best.site.name
            self._handover_at = now + self._cells.layer.time_to_trigger_s
        return []

    def _hand_over(self, now: float) -> list[Event]:
        target = self._find(self._target)
        self._target, self._handover_at = None, _NEVER
        assert target is not None  # a measurement without it has cancelled the handover
        self._serving = target
        self._gap_until = now + self._cells.layer.interruption_s
        return [Event(now, Change.HANDOVER, f"to {target.site.name}")]

    def _lose(self, now: float, why: str) -> list[Event]:
        self._target, self._handover_at = None, _NEVER
        if self._serving is None:
            return []
        self._serving, self._lost_at = None, now
        return [Event(now, Change.COVERAGE_LOST, why)]

    def _come_back(self, best: Heard, now: float) -> list[Event]:
        layer, lost_at = self._cells.layer, self._lost_at
        self._serving, self._lost_at = best, None
        if lost_at is None:  # it was in the network before the run began
            return []
        if now - lost_at >= layer.radio_link_failure_s:
            self._gap_until = now + layer.reselect_s
        else:
            self._gap_until = max(self._gap_until, now + layer.interruption_s)
        return [Event(now, Change.COVERAGE_BACK, f"in {best.site.name}", now - lost_at)]

    def _find(self, name: str | None) -> Heard | None:
        return next((heard for heard in self._heard if heard.site.name == name), None)

    def _settle(self) -> None:
        """Something has changed: so have the rates, and when that will be again."""
        self._slot = int(self._now // LOAD_SLOT_S)
        self._rates = None
        gap = self._gap_until if self._gap_until > self._now else _NEVER
        load = (self._slot + 1) * LOAD_SLOT_S if self._serving is not None else _NEVER
        self.next_change = min(self._step_at, gap, self._handover_at, load)

    def _rates_now(self) -> tuple[float, float]:
        serving = self._serving
        if serving is None:
            return 0.0, 0.0
        free = self._cells.free(serving.site, self._slot)
        return serving.up * free, serving.down * free
