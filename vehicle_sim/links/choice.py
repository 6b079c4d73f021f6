"""From what `--link` says to links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vehicle_sim.links import drivelog, mahimahi
from vehicle_sim.links.cells import Cells, Plane
from vehicle_sim.links.cellular import CellularAir
from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.link import KEPT_EVENTS, Link
from vehicle_sim.links.noise import seed_of
from vehicle_sim.links.profiles import PROFILES, TRACE, Profile
from vehicle_sim.links.recorded import DriveLogAir, FreeAir, OpportunityAir
from vehicle_sim.links.track import Track
from vehicle_sim.links.tunnels import BUILT_IN
from vehicle_sim.links.zones import road_tunnels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vehicle_sim.links.air import Air
    from vehicle_sim.links.drivelog import DriveLog
    from vehicle_sim.links.mahimahi import Opportunities
    from vehicle_sim.roads import Road

PERFECT: Final = "perfect"
_TRACE: Final = "trace:"
_DIRECTION: Final = re.compile(r"\.(up|down)(\.gz)?$")
_OTHER: Final = {"up": "down", "down": "up"}


@dataclass(frozen=True, slots=True)
class Recording:
    """A trace: a drive log, or delivery opportunities uplink and downlink; `start_s` seconds into it."""

    source: DriveLog | tuple[Opportunities, Opportunities]
    start_s: float

    def air(self) -> Air:
        """For one link."""
        if isinstance(self.source, tuple):
            return OpportunityAir(*self.source, self.start_s)
        return DriveLogAir(self.source, self.start_s)


class Links:
    """Makes the links of one run: the same cells for all, each with decisions of its own.

    Args:
        profile: what kind.
        seed: of the run; the same seed, the same links.
        recording: rates of a trace, instead of the profile's cells.
        roads: whose tunnels count, where the profile has tunnels.
    """

    def __init__(
        self,
        profile: Profile,
        seed: int,
        *,
        recording: Recording | None = None,
        roads: Iterable[Road] = (),
    ) -> None:
        self.profile = profile
        self._seed = seed
        self._recording = recording
        self._cells = None if profile.cells is None else Cells(profile.cells, seed_of(seed, "cells"))
        self._zones = (*road_tunnels(roads), *BUILT_IN) if profile.zones else ()

    def make(self, name: str, kept_events: int = KEPT_EVENTS) -> Link:
        """The link of one vehicle or other client; another name, other decisions. It keeps so many events."""
        seed = seed_of(self._seed, name, "link")
        return Link(self.profile, self._air(seed), seed, kept_events)

    def covers(self, lon: float, lat: float) -> bool:
        """Whether a vehicle has service at this place (degrees); always, where no cells are modelled."""
        if self._cells is None:
            return True
        if any(zone.covers(lon, lat) for zone in self._zones):
            return False
        return bool(self._cells.heard(*Plane.at(lat).xy(lon, lat)))

    def _air(self, seed: int) -> Air:
        if self._recording is not None:
            return self._recording.air()
        if self._cells is None:
            return FreeAir()
        return CellularAir(self._cells, self._zones, Track.random(seed, self.profile.track_tunnels))


def check_profile(name: str) -> str:
    """The name as `--link` takes it, a trace's file by its full path.

    Raises:
        LinkError: no such profile (the message lists those that are), or a trace that cannot be used.
    """
    if name.startswith(_TRACE):
        path, start_s = _trace_of(name)
        _read(path, start_s)
        return f"{_TRACE}{path.absolute()}@{start_s:g}"
    if name not in PROFILES:
        listed = "; ".join(f"{profile} ({what.about})" for profile, what in PROFILES.items())
        raise LinkError(
            f"no link profile {name!r}; there is: {listed}; trace:FILE[@START] (a recording, from START s)"
        )
    return name


def load(name: str, seed: int, roads: Iterable[Road] = ()) -> Links:
    """The links of a profile or trace.

    Raises:
        LinkError: as `check_profile`.
    """
    if name.startswith(_TRACE):
        return Links(TRACE, seed, recording=_read(*_trace_of(name)))
    return Links(PROFILES[check_profile(name)], seed, roads=roads)


def _trace_of(name: str) -> tuple[Path, float]:
    file, at, start = name.removeprefix(_TRACE).rpartition("@")
    if not at or not re.fullmatch(r"\d+(\.\d+)?", start):  # no start; an @ may be in a file's name
        file, start = name.removeprefix(_TRACE), "0"
    if not file:
        raise LinkError(f"--link {name}: name a file, as in trace:drive.up@700")
    return Path(file).expanduser(), float(start)


def _read(path: Path, start_s: float) -> Recording:
    if path.suffix == ".csv":
        return Recording(drivelog.read(path), start_s)
    direction = _DIRECTION.search(path.name)
    if direction is None:
        both = mahimahi.read(path)
        return Recording((both, both), start_s)
    this = mahimahi.read(path)
    other = mahimahi.read(_counterpart(path, direction))
    return Recording((this, other) if direction[1] == "up" else (other, this), start_s)


def _counterpart(path: Path, direction: re.Match[str]) -> Path:
    """The file of the other direction, beside this one."""
    stem = path.name[: direction.start()]
    candidates = [path.with_name(f"{stem}.{_OTHER[direction[1]]}{suffix}") for suffix in ("", ".gz")]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        raise LinkError(
            f"{path}: the other direction is missing: {candidates[0].name} or {candidates[1].name} beside it"
        )
    return found
