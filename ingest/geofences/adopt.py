"""A new or changed geofence: its history is derived, some vehicles at a time; then its alerts begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.database import statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.database import Connection
    from ingest.geofences.crossings import Fence
    from ingest.geofences.rows import FenceReader

LEAST_MARKED: Final = 256  # buckets in a step, where there are so many
MOST_VEHICLES: Final = 256  # in a step


async def backfill(connection: Connection, reader: FenceReader) -> bool:
    """One step, in a transaction of its own; true: there was something to do.

    The buckets that a geofence says something of, or said in its earlier version, are marked as dirty. A step
    follows when those of the one before are derived, so what is measured now never waits for long. Buckets
    that were derived without knowing the geofence, because it came meanwhile, are among them: one worker
    derives and marks, in turns.
    """
    async with connection.transaction():
        due = await connection.fetch(statement("geofences_to_backfill"))
        if not due:
            return False
        fences = await reader.read(connection)
        wanted = [fences.by_id[row["id"]] for row in due if row["id"] in fences.by_id]
        after: int | None = due[0]["backfill_after"]
        rows = await connection.fetch(statement("vehicles_after"), after, MOST_VEHICLES)
        marked = 0
        for row in rows:
            marked += await _mark(connection, row["id"], wanted)
            after = row["id"]
            if marked >= LEAST_MARKED:
                break
        await connection.execute(
            statement("geofences_backfilled"),
            [row["id"] for row in due],
            after if rows else None,
            [row["version"] for row in due],
        )
    return True


async def _mark(connection: Connection, vehicle: int, fences: Sequence[Fence]) -> int:
    holding = [one for one in fences if one.vehicles is None or vehicle in one.vehicles]
    boxes = [box for one in holding for box in one.shape.boxes(0.0)]
    sides = [[box[side] for box in boxes] for side in range(4)]
    marked = await connection.fetch(
        statement("mark_geofence_buckets"), vehicle, [one.id for one in fences], *sides
    )
    return len(marked)
