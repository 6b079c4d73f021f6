"""Derives everything once more from the readings, and compares it with what is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ingest.database import statement
from ingest.derive import rows
from ingest.derive.chain import START, State
from ingest.derive.journeys import advance, under_way
from ingest.derive.rules import BUCKET_US, Rules
from ingest.derive.summary import Rollup, summarise
from ingest.geofences.check import GeofenceCheck

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime

    from ingest.database import Connection
    from ingest.derive.segments import Segment

PAGE: Final = 144  # buckets whose readings are in memory at a time: a day
PRECISION: Final = 1e-9  # another processor may round the last digit of a sine elsewhere

Key = tuple[bool, str, int, int]  # open, kind, start and end in µs since 1970
Figures = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` of a vehicle, from `start_us` on, is kept otherwise than derived now.

    That is a rollup, trip or stop, or of a geofence an enter, exit, dwell or gap.
    """

    vehicle: str
    what: str
    start_us: int
    why: str


@dataclass(slots=True)
class Verified:
    """One vehicle: how much was compared, how much was not because it is still to be derived."""

    vehicle: str
    buckets: int = 0
    pending: int = 0
    differences: list[Difference] = field(default_factory=list)


async def vehicles_to_verify(
    connection: Connection, names: Sequence[str] | None = None
) -> list[tuple[int, str]]:
    """Id and name of the vehicles that have readings or anything derived, by name."""
    return [(row["id"], row["name"]) for row in await connection.fetch(statement("verify_vehicles"), names)]


async def verify(
    connection: Connection, *, vehicles: Sequence[str] | None = None, since: datetime | None = None
) -> AsyncIterator[Verified]:
    """Verify vehicles one after the other, each in a snapshot of its own; nothing is changed.

    What is dirty, and what follows it, is not compared: it is the worker's to derive yet.

    Args:
        connection: outside of a transaction.
        vehicles: names; None: all.
        since: compare from the bucket of this time on, believing what is kept before it.
    """
    rules = await rows.rules(connection) or Rules()
    first = 0 if since is None else int(since.timestamp() * 1e6) // BUCKET_US
    for vehicle_id, name in await vehicles_to_verify(connection, vehicles):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield await _verify(connection, rules, vehicle_id, name, first)


async def _verify(connection: Connection, rules: Rules, vehicle_id: int, name: str, first: int) -> Verified:
    found_rows = await connection.fetch(statement("verify_buckets"), vehicle_id, first)
    numbers = [row["number"] for row in found_rows]
    dirty = await connection.fetchval(statement("first_dirty_bucket"), vehicle_id)
    found = Verified(name)
    if dirty is not None:
        found.pending = sum(number >= dirty for number in numbers)
    numbers, state = await _beginning(connection, vehicle_id, numbers)
    numbers = [number for number in numbers if dirty is None or number < dirty]
    wanted: dict[int, list[Segment]] = {}
    fences = await GeofenceCheck.begin(connection, vehicle_id, numbers, rules)
    for page in (numbers[start : start + PAGE] for start in range(0, len(numbers), PAGE)):
        tracks = await rows.tracks(connection, [(vehicle_id, number) for number in page])
        kept = {
            row["number"]: Rollup(*list(row)[1:])
            for row in await connection.fetch(statement("verify_rollups"), vehicle_id, page[0], page[-1])
        }
        for number in page:
            track = tracks.get((vehicle_id, number))
            derived: Rollup | None = None
            if track is not None:
                summary = summarise(state.last, track, rules)
                journey, wanted[number] = advance(state.journey, summary.segments, rules)
                derived, state = summary.rollup, State(summary.last, journey)
            why = _otherwise(kept.get(number), derived)
            if why is not None:
                found.differences.append(Difference(name, "rollup", number * BUCKET_US, why))
        if fences is not None:
            of_page = {number: one for (_, number), one in tracks.items()}
            others = await fences.compare(connection, page, of_page)
            found.differences += [Difference(name, one.kind, one.at_us, one.why) for one in others]
    found.buckets = len(numbers)
    going_on = under_way(state.journey, rules) if dirty is None else None
    found.differences += _compare_journeys(
        name,
        await connection.fetch(statement("verify_journeys"), vehicle_id),
        wanted,
        going_on,
        ended=dirty is not None,
    )
    return found


async def _beginning(connection: Connection, vehicle_id: int, numbers: list[int]) -> tuple[list[int], State]:
    """Where to begin: what is kept before is believed, because its readings may be past the retention."""
    if not numbers:
        return [], START
    before = (await rows.before(connection, {vehicle_id: numbers[0]})).get(vehicle_id)
    if before is not None:
        return numbers, before
    kept = (await rows.kept(connection, {vehicle_id: numbers[0]}, 1))[vehicle_id]
    if kept and kept[0].segments and kept[0].segments[0].start_us < kept[0].number * BUCKET_US:
        first = kept[0]  # it goes on from a bucket that the retention has removed
        return [number for number in numbers if number > first.number], first.state
    return numbers, START


def _compare_journeys(
    vehicle: str,
    kept_rows: Iterable[Any],
    wanted: dict[int, list[Segment]],
    going_on: Segment | None,
    *,
    ended: bool,
) -> list[Difference]:
    kept: dict[Key, Figures] = {
        (row["open"], row["kind"], row["start_us"], row["end_us"]): tuple(row)[5:]
        for row in kept_rows
        if (not ended if row["open"] else row["number"] in wanted)
    }
    derived: dict[Key, Figures] = {
        (is_open, rows.KIND_NAMES[one.kind], one.start_us, one.end_us): (
            one.distance_m,
            one.moving_s,
            one.speed_max,
            one.soc_used,
            one.soc_charged,
            one.fuel_used,
            one.fuel_filled,
        )
        for is_open, segments in (
            (False, [one for found in wanted.values() for one in found]),
            (True, [] if going_on is None else [going_on]),
        )
        for one in segments
    }
    differences = []
    for key in sorted(kept.keys() | derived.keys(), key=lambda key: key[2]):
        why = _otherwise(kept.get(key), derived.get(key))
        if why is not None:
            differences.append(Difference(vehicle, key[1], key[2], why))
    return differences


def _otherwise(kept: Rollup | Figures | None, derived: Rollup | Figures | None) -> str | None:
    """How they differ, or None."""
    if kept is None or derived is None:
        if kept is derived:
            return None
        return "not there" if kept is None else "should not be there"
    for one, other in zip(_figures(kept), _figures(derived), strict=True):
        if one != other and (
            one is None or other is None or not math.isclose(one, other, rel_tol=PRECISION, abs_tol=1e-6)
        ):
            return f"{one} is kept, {other} is derived"
    return None


def _figures(of: Rollup | Figures) -> Figures:
    return msgspec.structs.astuple(of) if isinstance(of, Rollup) else of
