"""One bucket of readings against geofences: what happened, and what the next bucket goes on from.

A fold in the order of time. The rules are in docs/geofences.md; those of silence and of bad positions are the
ones of trips (`ingest.derive.rules`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from fleetcell.contract.geofences import AlertKind
from ingest.derive.summary import great_circle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fleetcell.contract.geofences import Box
    from ingest.derive.rules import Rules
    from ingest.derive.track import Track
    from ingest.geofences.shapes import Bools, Floats, Shape

ENTER: Final = AlertKind.ENTER.value
EXIT: Final = AlertKind.EXIT.value
DWELL: Final = AlertKind.DWELL.value
GAP: Final = "gap"  # a long silence in a visit; nobody is alerted of it


@dataclass(frozen=True, slots=True)
class Fence:
    """A geofence as the worker needs it; `vehicles`: it holds for these only, None: for all."""

    id: int
    version: int
    shape: Shape
    margin_m: float
    dwell_s: int | None = None
    vehicles: frozenset[int] | None = None


class Fences:
    """All geofences, to be found by number and by place."""

    def __init__(self, fences: Iterable[Fence]) -> None:
        self.by_id = {fence.id: fence for fence in fences}
        boxes = [(*box, one.id) for one in self.by_id.values() for box in one.shape.boxes(0.0)]
        self._sides = np.array([box[:4] for box in boxes], dtype=float).reshape(-1, 4).T
        self._owners = [box[4] for box in boxes]

    def of(self, vehicle: int) -> dict[int, Fence]:
        """Those that hold for a vehicle, by number."""
        return {one.id: one for one in self.by_id.values() if one.vehicles is None or vehicle in one.vehicles}

    def near(self, box: Box) -> set[int]:
        """The numbers of those whose box has a place in common with this one."""
        south, west, north, east = self._sides
        meet = (south <= box[2]) & (box[0] <= north) & (west <= box[3]) & (box[1] <= east)
        return {self._owners[row] for row in np.flatnonzero(meet).tolist()}


class Whereabouts(msgspec.Struct, frozen=True):
    """What a bucket hands on to the next.

    position_us, lat, lon: the last position that is one; None: there was none yet.
    inside: the geofences that the vehicle is in; when it entered, in µs since 1970, where that is still
        needed because the vehicle has not been inside for `dwell_s` yet, else None.
    """

    position_us: int | None = None
    lat: float = 0.0
    lon: float = 0.0
    inside: dict[int, int | None] = {}

    def of(self, fences: Mapping[int, Fence]) -> Whereabouts:
        """The same without geofences that are not among these."""
        return msgspec.structs.replace(
            self, inside={one: since for one, since in self.inside.items() if one in fences}
        )


NOWHERE: Final = Whereabouts()


class Crossing(NamedTuple):
    """Something that happened between a vehicle and a geofence; times in µs since 1970.

    at_us: of the position that shows it. An exit in a long silence: of the last position before it.
    before_us: the position before (gap: where it begins); None: there was none.
    silence: it lies in a long silence, so nobody saw it.
    """

    fence: int
    at_us: int
    kind: str
    before_us: int | None
    silence: bool
    lat: float
    lon: float


@dataclass(slots=True)
class Crossed:
    """What a bucket's readings say; `box`: around its positions that count, None: it has none."""

    state: Whereabouts
    box: Box | None = None
    crossings: list[Crossing] = field(default_factory=list)


def cross(before: Whereabouts, track: Track, fences: Fences, vehicle: int, rules: Rules) -> Crossed:
    """One bucket.

    Args:
        before: what the bucket before handed on.
        track: its readings, in the order of time.
        fences: all geofences.
        vehicle: whose readings they are.
        rules: the parameters.
    """
    held = fences.of(vehicle)
    found = Crossed(before.of(held))
    steps = _Steps.of(before, track, rules)
    if steps is None:
        return found
    box = steps.box()
    was_inside, inside = found.state.inside, dict[int, int | None]()
    for number in sorted(was_inside.keys() | (fences.near(box) if box else ())):
        if number not in held:
            continue
        fold = _Fold(held[number], steps, number in was_inside, was_inside.get(number))
        found.crossings += fold.crossings()
        if fold.is_inside:
            inside[number] = fold.entered_us
    found.crossings.sort(key=lambda one: (one.at_us, one.fence, one.kind))
    found.box = box
    found.state = Whereabouts(int(steps.us[-1]), float(steps.lat[-1]), float(steps.lon[-1]), inside)
    return found


@dataclass(frozen=True, slots=True)
class _Steps:
    """The positions of a bucket, each with the step that leads to it.

    counts: it is no jump of the receiver. silent: after a long silence. elsewhere: at another place then.
    before_*: the position before each; NaN, and -1 as time, where there is none.
    """

    us: npt.NDArray[np.int64]
    lat: Floats
    lon: Floats
    acc: Floats
    before_us: npt.NDArray[np.int64]
    before_lat: Floats
    before_lon: Floats
    counts: Bools
    silent: Bools
    elsewhere: Bools

    @classmethod
    def of(cls, before: Whereabouts, track: Track, rules: Rules) -> _Steps | None:
        """None: the bucket has no position."""
        good = ~np.isnan(track.lat) & ~np.isnan(track.lon) & ~(track.acc > rules.max_acc_m)
        if len(track):  # of positions at the same time the last one holds
            kept = np.flatnonzero(good)
            kept = kept[np.append(np.diff(track.times_us[kept]) > 0, True)] if len(kept) else kept
        else:
            kept = np.array([], dtype=np.intp)
        if not len(kept):
            return None
        us, lat, lon = track.times_us[kept], track.lat[kept], track.lon[kept]
        first = before.position_us is not None
        before_us = np.concatenate([[before.position_us if first else -1], us[:-1]]).astype(np.int64)
        before_lat = np.concatenate([[before.lat if first else np.nan], lat[:-1]])
        before_lon = np.concatenate([[before.lon if first else np.nan], lon[:-1]])
        seconds = (us - before_us) / 1e6
        metres = np.nan_to_num(great_circle(before_lat, before_lon, lat, lon))
        silent = (seconds > rules.gap_s) & (before_us >= 0)
        return cls(
            us,
            lat,
            lon,
            np.nan_to_num(track.acc[kept]),
            before_us,
            before_lat,
            before_lon,
            metres <= rules.max_kmh / 3.6 * np.maximum(seconds, 1.0),
            silent,
            silent & (metres > rules.same_place_m),
        )

    def box(self) -> Box | None:
        """Around the positions that count."""
        lat, lon = self.lat[self.counts], self.lon[self.counts]
        if not len(lat):
            return None
        return float(lat.min()), float(lon.min()), float(lat.max()), float(lon.max())


class _Fold:
    """One geofence over a bucket's positions."""

    def __init__(self, fence: Fence, steps: _Steps, was_inside: bool, entered_us: int | None) -> None:
        self._fence = fence
        self._steps = steps
        self._was_inside = was_inside
        self.entered_us = entered_us  # of the visit that goes on; None: not needed any more
        said = self._said()
        said[steps.elsewhere & (said == 0)] = -1  # nobody knows: outside, until a position says inside
        known = np.concatenate([[1 if was_inside else -1], said])
        filled = known[np.maximum.accumulate(np.where(known != 0, np.arange(len(known)), 0))]
        self._prior: Bools = filled[:-1] > 0
        self._now: Bools = filled[1:] > 0
        self.is_inside = bool(self._now[-1])

    def crossings(self) -> list[Crossing]:
        """In the order of time; afterwards `entered_us` is that of the visit that goes on."""
        steps, dwell_s = self._steps, self._fence.dwell_s
        lost = self._prior & steps.elsewhere  # the visit ended in a silence
        enters = self._now & (~self._prior | lost)
        exits = ~self._now & self._prior & ~lost
        gaps = self._prior & steps.silent & ~lost
        found: list[Crossing] = []
        if not self._was_inside:
            self.entered_us = None
        start = 0  # from where on the visit that is under way has not been looked at for dwelling
        for row in np.flatnonzero(lost | enters | exits | gaps).tolist():
            if lost[row] or exits[row]:
                found += self._dwelt(start, row)
                self.entered_us = None
            if lost[row]:
                found.append(self._left_unseen(row))
            if gaps[row]:
                found.append(self._at(GAP, row, silence=True))
            if exits[row]:
                found.append(self._at(EXIT, row, silence=bool(steps.silent[row])))
            if enters[row]:
                found.append(self._at(ENTER, row, silence=bool(steps.silent[row])))
                self.entered_us = None if dwell_s is None else int(steps.us[row])
                start = row
        if self.is_inside:
            found += self._dwelt(start, len(steps.us))
        return found

    def _said(self) -> npt.NDArray[np.int8]:
        """What each position says by itself: 1 inside, -1 outside, 0 neither."""
        steps, fence = self._steps, self._fence
        margin = np.maximum(steps.acc, fence.margin_m)
        near = np.zeros(len(steps.us), dtype=bool)
        for south, west, north, east in fence.shape.boxes(float(margin.max())):
            near |= (south <= steps.lat) & (steps.lat <= north) & (west <= steps.lon) & (steps.lon <= east)
        said = np.full(len(steps.us), -1, dtype=np.int8)
        inside = fence.shape.inside(steps.lat[near], steps.lon[near])
        beyond = np.ones(len(inside), dtype=bool)
        outside = ~inside
        beyond[outside] = (
            fence.shape.outside_m(steps.lat[near][outside], steps.lon[near][outside]) > margin[near][outside]
        )
        said[near] = np.where(inside, 1, np.where(beyond, -1, 0))
        said[~steps.counts] = 0
        return said

    def _dwelt(self, start: int, end: int) -> Iterator[Crossing]:
        """When the visit under way had lasted for long, seen between two rows; at most once a visit."""
        if self.entered_us is None or self._fence.dwell_s is None:
            return
        due_us = self.entered_us + self._fence.dwell_s * 1_000_000
        row = start + int(np.searchsorted(self._steps.us[start:end], due_us))
        if row < end:
            self.entered_us = None
            yield self._at(DWELL, row, silence=bool(self._steps.silent[row]))

    def _at(self, kind: str, row: int, *, silence: bool) -> Crossing:
        steps = self._steps
        before = int(steps.before_us[row])
        place = float(steps.lat[row]), float(steps.lon[row])
        return Crossing(
            self._fence.id, int(steps.us[row]), kind, before if before >= 0 else None, silence, *place
        )

    def _left_unseen(self, row: int) -> Crossing:
        steps = self._steps
        at = int(steps.before_us[row])
        place = float(steps.before_lat[row]), float(steps.before_lon[row])
        return Crossing(self._fence.id, at, EXIT, at, True, *place)
