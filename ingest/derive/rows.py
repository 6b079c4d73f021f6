"""The tables of derived data, read and written for several vehicles at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ingest.database import statement
from ingest.derive.chain import Derived, State
from ingest.derive.journeys import Journey
from ingest.derive.rules import BUCKET_US, Rules
from ingest.derive.segments import Kind, Segment
from ingest.derive.summary import Last
from ingest.derive.track import Track

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ingest.database import Connection
    from ingest.derive.chain import Changes

KIND_NAMES: Final = {Kind.MOVING: "trip", Kind.STILL: "stop"}

_segments: Final = msgspec.json.Decoder(list[Segment])
_last: Final = msgspec.json.Decoder(Last)
_journey: Final = msgspec.json.Decoder(Journey)
_rules: Final = msgspec.json.Decoder(Rules)


class Due(NamedTuple):
    """A dirty bucket, and how often it had been marked when it was looked at."""

    vehicle_id: int
    number: int
    marks: int


async def due(connection: Connection, after: tuple[int, int], delay_s: float, limit: int) -> list[Due]:
    """Dirty buckets after (vehicle, number) that have waited this long, in order."""
    rows = await connection.fetch(statement("due_buckets"), *after, delay_s, limit)
    return [Due(*row) for row in rows]


async def due_of(connection: Connection, vehicles: Sequence[int], limit: int) -> list[Due]:
    """Dirty buckets of these vehicles, in order."""
    rows = await connection.fetch(statement("due_buckets_of"), vehicles, limit)
    return [Due(*row) for row in rows]


async def requests(connection: Connection, limit: int) -> dict[int, int]:
    """The vehicles that somebody waits for, and the number of the newest request of each."""
    return {
        row["vehicle_id"]: row["asked"] for row in await connection.fetch(statement("derive_requests"), limit)
    }


async def answer(connection: Connection, done: Mapping[int, int]) -> None:
    """Say that the requests up to these numbers are done, by vehicle."""
    await _write_columns(connection, "finish_requests", list(done.items()))


async def tracks(connection: Connection, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Track]:
    """The readings of (vehicle, bucket number) pairs; a bucket without readings is left out."""
    if not wanted:
        return {}
    vehicles, numbers = [vehicle for vehicle, _ in wanted], [number for _, number in wanted]
    rows = await connection.fetch(
        statement("bucket_tracks"), vehicles, numbers, min(numbers), max(numbers) + 1
    )
    return {(row["vehicle_id"], row["number"]): Track.of_wire(dict(row)) for row in rows}


async def before(connection: Connection, places: Mapping[int, int]) -> dict[int, State]:
    """By vehicle, what was handed on to its bucket; nothing where there was none before."""
    rows = await connection.fetch(statement("rollups_before"), list(places), list(places.values()))
    return {
        row["vehicle_id"]: State(_last.decode(row["last"]), _journey.decode(row["journey"])) for row in rows
    }


async def kept(connection: Connection, places: Mapping[int, int], limit: int) -> dict[int, list[Derived]]:
    """By vehicle, what is kept from its bucket on, in order, at most so many of each."""
    found: dict[int, list[Derived]] = {vehicle: [] for vehicle in places}
    rows = await connection.fetch(statement("rollups_from"), list(places), list(places.values()), limit)
    for row in rows:
        state = State(_last.decode(row["last"]), _journey.decode(row["journey"]))
        found[row["vehicle_id"]].append(Derived(row["number"], _segments.decode(row["segments"]), state))
    return found


async def write(connection: Connection, changes: Mapping[int, Changes]) -> None:
    """Write the changes by vehicle id, inside the caller's transaction; marks nothing."""
    await _write_rollups(connection, changes)
    await _write_columns(
        connection,
        "write_rollup_journeys",
        [(v, n, _json(j)) for v, of in changes.items() for n, j in of.journeys.items()],
    )
    await _write_columns(
        connection, "remove_rollups", [(v, n) for v, of in changes.items() for n in of.emptied]
    )
    await _write_columns(
        connection, "remove_journeys", [(v, n) for v, of in changes.items() for n in of.ended]
    )
    ends = [vehicle for vehicle, of in changes.items() if of.to_the_end]
    await connection.execute(statement("remove_open_journeys"), ends)
    ended = [
        (vehicle, number, False, segment)
        for vehicle, of in changes.items()
        for number, segments in of.ended.items()
        for segment in segments
    ]
    going_on = [
        (vehicle, of.open.end_us // BUCKET_US, True, of.open)
        for vehicle, of in changes.items()
        if of.open is not None
    ]
    await _write_columns(connection, "write_journeys", [_journey_row(*row) for row in (*ended, *going_on)])


async def mark(connection: Connection, buckets: Sequence[tuple[int, int]]) -> None:
    """Mark (vehicle, bucket number) pairs, in order, as dirty."""
    await _write_columns(connection, "mark_dirty", buckets)


async def finish(connection: Connection, done: Sequence[Due]) -> None:
    """Take the marks off, except where a bucket was marked again meanwhile."""
    await _write_columns(connection, "finish_buckets", done)


async def rules(connection: Connection) -> Rules | None:
    """The rules by which what there is was derived."""
    text = await connection.fetchval(statement("derived_by"))
    return None if text is None else _rules.decode(text)


async def adopt_rules(connection: Connection, wanted: Rules) -> bool:
    """Derive by these rules from now on; true: others were in use, and every bucket is dirty now."""
    async with connection.transaction():
        held = await rules(connection)
        if held == wanted:
            return False
        await connection.execute(statement("write_derived_by"), _json(wanted))
        if held is not None:
            await connection.execute(statement("mark_all_dirty"))
        return held is not None


async def _write_rollups(connection: Connection, changes: Mapping[int, Changes]) -> None:
    await _write_columns(
        connection,
        "write_rollups",
        [
            (
                vehicle,
                number,
                *msgspec.structs.astuple(rollup),
                _json(segments),
                _json(state.last),
                _json(state.journey),
            )
            for vehicle, of in changes.items()
            for number, (rollup, segments, state) in of.rollups.items()
        ],
    )


def _journey_row(vehicle: int, number: int, is_open: bool, segment: Segment) -> tuple[object, ...]:
    return (
        vehicle,
        number,
        is_open,
        KIND_NAMES[segment.kind],
        segment.start_us,
        segment.end_us,
        *(segment.start or (None, None)),
        *(segment.end or (None, None)),
        segment.distance_m,
        segment.moving_s,
        segment.speed_max,
        segment.soc_used,
        segment.soc_charged,
        segment.fuel_used,
        segment.fuel_filled,
    )


async def _write_columns(connection: Connection, name: str, rows: Iterable[Sequence[object]]) -> None:
    """A statement that takes rows as one array a column; nothing where there are none."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        await connection.execute(statement(name), *columns)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
