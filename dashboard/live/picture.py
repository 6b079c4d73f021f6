"""What is known of the fleet now, and how it is shown. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dashboard import shapes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from dashboard.live.filter import Filter
    from dashboard.shapes import Moved, Place, Vehicle
    from fleetcell.contract.messages import State


class Change(msgspec.Struct, frozen=True):
    """One presence event; `state.cursor` orders it."""

    state: State
    previous_region: str | None = None


class Known(msgspec.Struct, frozen=True):
    """A vehicle as the database has it when the hub starts."""

    vehicle: str
    state: State | None
    position: Moved | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Presence events read from the table: all those after a client's cursor, up to `up_to`."""

    up_to: int
    changes: Sequence[Change]


class Picture:
    """State and position of each vehicle, and which regions' gateways are silent.

    states: as the register has them; `shown` is what clients are told.
    positions: the newest measured of each vehicle.
    digest: of the silent regions; empty for none.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.states: dict[str, State] = {}
        self.positions: dict[str, Moved] = {}
        self.digest = ""
        self._silent: dict[str, datetime] = {}  # region to the last heartbeat

    def load(self, known: Iterable[Known]) -> None:
        """What the database holds; positions that arrived live and are newer stay."""
        live, self.positions = self.positions, {}
        self.names.clear()
        self.states.clear()
        for vehicle in known:
            self.names.add(vehicle.vehicle)
            if vehicle.state is not None:
                self.states[vehicle.vehicle] = vehicle.state
            if vehicle.position is not None:
                self.positions[vehicle.vehicle] = vehicle.position
        for name, moved in live.items():
            current = self.positions.get(name)
            if name in self.names and (current is None or moved.time > current.time):
                self.positions[name] = moved

    def change(self, change: Change) -> str | None:
        """Take a presence event; the region that served the vehicle before."""
        name = change.state.vehicle
        before = self.states.get(name)
        self.names.add(name)
        self.states[name] = change.state
        return before.region if before is not None else change.previous_region

    def refresh(self, known: Iterable[str], revoked: Iterable[str], states: Iterable[State]) -> None:
        """Take what changed without a presence event.

        Args:
            known: vehicles that there are.
            revoked: vehicles that are not shown any more.
            states: with evidence and deadlines that moved on; one of another cursor is passed over.
        """
        self.names.update(known)
        for name in revoked:
            self.names.discard(name)
        for state in states:
            held = self.states.get(state.vehicle)
            if held is not None and held.cursor == state.cursor:
                self.states[state.vehicle] = state

    def move(self, moved: Moved) -> bool:
        """Take a position, unless it is not newer than the known one."""
        current = self.positions.get(moved.vehicle)
        if current is not None and moved.time <= current.time:
            return False
        self.names.add(moved.vehicle)
        self.positions[moved.vehicle] = moved
        return True

    def silence(self, silent: Mapping[str, datetime]) -> list[State]:
        """Take which regions are silent, since when; the states that are shown differently now."""
        toggled = set(silent) ^ set(self._silent)
        if not toggled:
            return []
        self._silent = dict(silent)
        self.digest = _digest(silent)
        states = [state for state in self.states.values() if state.region in toggled]
        return sorted(states, key=lambda state: state.cursor)

    def shown(self, state: State) -> State:
        """What clients are told: the register, unless the region's gateway is silent."""
        silent_since = self._silent.get(state.region) if state.region is not None else None
        return state if silent_since is None else shapes.without_gateway(state, silent_since)

    def region(self, name: str) -> str | None:
        """The region that serves a vehicle."""
        state = self.states.get(name)
        return state.region if state is not None else None

    def matches(self, wanted: Filter, name: str, region: str | None) -> bool:
        """Whether a vehicle where it is now, served by `region`, is wanted."""
        return wanted.is_open or wanted.matches(name, region, self.positions.get(name))

    def vehicles(self, wanted: Filter, now: datetime) -> Iterator[Vehicle]:
        """The vehicles that are wanted, in the order of their ids."""
        for name in sorted(self.names):
            if self.matches(wanted, name, self.region(name)):
                yield self._vehicle(name, now)

    def _vehicle(self, name: str, now: datetime) -> Vehicle:
        state, moved = self.states.get(name), self.positions.get(name)
        place: Place | None = moved.place if moved is not None else None
        return shapes.Vehicle(
            id=name,
            registration=shapes.registration_of(self.shown(state)) if state is not None else None,
            latest=shapes.place_values(place, now) if place is not None else {},
            position=place,
        )


def _digest(regions: Iterable[str]) -> str:
    """Short, and the same for the same set of regions; empty for none."""
    names = sorted(regions)
    return hashlib.sha256("/".join(names).encode()).hexdigest()[:8] if names else ""
