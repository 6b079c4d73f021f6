"""The rows of `vehicle_latest`: those renewed whole at once, the others read, merged and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest import latest
from ingest.arrays import array
from ingest.database import statement
from ingest.errors import ErasedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.database import Connection
    from ingest.latest import Position, Row


async def open_rows(connection: Connection, vehicle_ids: Sequence[int]) -> None:
    """Make the rows that are missing; before any is locked, as with the ledger's."""
    if vehicle_ids:
        await connection.execute(statement("open_latest"), array(vehicle_ids))


async def renew(connection: Connection, found: Mapping[int, Row]) -> dict[int, Position]:
    """Merge what was measured into the rows, locked in order.

    Args:
        connection: inside the transaction.
        found: by vehicle id, in order; the rows are there.

    Returns:
        The positions that changed, by vehicle id.

    Raises:
        ErasedError: a row is not there any more.
    """
    if not found:
        return {}
    renewed = await _renew_whole(connection, found)
    moved = {vehicle_id: here for vehicle_id in renewed if (here := found[vehicle_id].position) is not None}
    if len(renewed) < len(found):
        done = set(renewed)
        moved |= await _merge(connection, {key: row for key, row in found.items() if key not in done})
    return moved


async def _renew_whole(connection: Connection, found: Mapping[int, Row]) -> list[int]:
    """Lock all rows, and write those that hold the same signals, all measured before: which these are."""
    oldest = array([row.oldest_ms for row in found.values()])
    vehicle_ids, hashes, times, *rest = _columns(found)
    renewed = await connection.fetch(statement("renew_latest"), vehicle_ids, hashes, times, oldest, *rest)
    return [one[0] for one in renewed]


async def _merge(connection: Connection, found: Mapping[int, Row]) -> dict[int, Position]:
    rows = await connection.fetch(statement("lock_latest"), array(list(found)))
    if len(rows) < len(found):
        raise ErasedError("a vehicle of this batch was erased")
    held = {row["vehicle_id"]: latest.decode(row["signals"]) for row in rows}
    changed: dict[int, Row] = {}
    for vehicle_id, row in found.items():
        merged = latest.merge(held[vehicle_id], latest.decode(row.document))
        if merged != held[vehicle_id]:
            changed[vehicle_id] = latest.row_of(merged)
    if not changed:
        return {}
    await connection.execute(statement("write_latest"), *_columns(changed))
    return {
        vehicle_id: here
        for vehicle_id, row in changed.items()
        if (here := row.position) is not None and here != latest.position(held[vehicle_id])
    }


def _columns(found: Mapping[int, Row]) -> tuple[str | list[str], ...]:
    """As `write_latest` takes them: vehicle ids, and of each row all but `oldest_ms`."""
    rows = found.values()
    return (
        array(list(found)),
        array([row.keys_hash for row in rows]),
        array([row.time_ms for row in rows]),
        array([row.position_ms for row in rows]),
        array([row.lat for row in rows]),
        array([row.lon for row in rows]),
        array([row.heading for row in rows]),
        array([row.speed for row in rows]),
        [row.document for row in rows],
    )
