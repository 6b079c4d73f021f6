"""For `fleetcell db verify`: a vehicle's geofences derived once more, compared with what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ingest.geofences import rows
from ingest.geofences.crossings import ENTER, NOWHERE, cross

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.database import Connection
    from ingest.derive.rules import Rules
    from ingest.derive.track import Track
    from ingest.geofences.crossings import Crossing, Fences, Whereabouts


class Otherwise(NamedTuple):
    """A crossing of this kind is kept otherwise than it is derived now."""

    kind: str
    at_us: int
    why: str


class GeofenceCheck:
    """Takes a vehicle's buckets in order, and says what differs; nothing where there is no geofence."""

    def __init__(self, vehicle: int, fences: Fences, state: Whereabouts, rules: Rules) -> None:
        self._vehicle = vehicle
        self._fences = fences
        self._state = state
        self._rules = rules
        self._believed: int | None = None  # it goes on from a bucket that the retention has removed

    @classmethod
    async def begin(
        cls, connection: Connection, vehicle: int, numbers: Sequence[int], rules: Rules
    ) -> GeofenceCheck | None:
        """From the first of these buckets on, believing what is kept before it.

        None: there is nothing to compare, for there is no geofence, or the history of one is to follow.
        """
        reader = rows.FenceReader()
        fences = await reader.read(connection)
        if not fences.by_id or reader.pending or not numbers:
            return None
        first = (vehicle, numbers[0])
        around = (await rows.states(connection, [first]))[first]
        check = cls(vehicle, fences, around.before or NOWHERE, rules)
        if around.before is None and around.own is not None:
            here = (await rows.crossings_of(connection, [first])).get(first, [])
            if _goes_on(around.own, here):
                check._believed = numbers[0]
                check._state = around.own
        return check

    async def compare(
        self, connection: Connection, numbers: Sequence[int], tracks: dict[int, Track]
    ) -> list[Otherwise]:
        """The next buckets, with the readings of those that have some."""
        held = await rows.crossings_of(connection, [(self._vehicle, number) for number in numbers])
        found: list[Otherwise] = []
        for number in numbers:
            if number == self._believed:
                continue
            derived: list[Crossing] = []
            if number in tracks:
                crossed = cross(self._state, tracks[number], self._fences, self._vehicle, self._rules)
                self._state, derived = crossed.state, crossed.crossings
            kept = [one for one in held.get((self._vehicle, number), ()) if one.fence in self._fences.by_id]
            found += _compare(kept, derived)
        return found


def _goes_on(own: Whereabouts, crossings: Sequence[Crossing]) -> bool:
    """Whether a visit was under way when the bucket began."""
    first = {one.fence: one.kind for one in reversed(crossings)}
    return any(kind != ENTER for kind in first.values()) or any(one not in first for one in own.inside)


def _compare(kept: list[Crossing], derived: list[Crossing]) -> Iterator[Otherwise]:
    for one in kept:
        if one not in derived:
            yield Otherwise(one.kind, one.at_us, f"geofence {one.fence}: should not be there like this")
    for one in derived:
        if one not in kept:
            yield Otherwise(one.kind, one.at_us, f"geofence {one.fence}: not there like this")
