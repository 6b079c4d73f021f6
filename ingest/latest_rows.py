"""The rows of `vehicle_latest`: those renewed whole at once, the others read, merged and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest import latest
from ingest.arrays import array
from ingest.database import statement
from ingest.errors import ErasedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ingest.database import Connection
    from ingest.latest import Position, Signals


async def open_rows(connection: Connection, vehicle_ids: Sequence[int]) -> None:
    """Make the rows that are missing; before any is locked, as with the ledger's."""
    if vehicle_ids:
        await connection.execute(statement("open_latest"), array(vehicle_ids))


async def renew(connection: Connection, found: Mapping[int, Signals]) -> dict[int, Position]:
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
    renewed = await _renew_whole(connection, {key: signals for key, signals in found.items() if signals})
    positions = {vehicle_id: latest.position(found[vehicle_id]) for vehicle_id in renewed}
    moved = {vehicle_id: position for vehicle_id, position in positions.items() if position is not None}
    if len(renewed) < len(found):
        rest = {vehicle_id: signals for vehicle_id, signals in found.items() if vehicle_id not in positions}
        moved |= await _merge(connection, rest)
    return moved


async def _renew_whole(connection: Connection, found: Mapping[int, Signals]) -> list[int]:
    """Lock all rows, and write those that hold the same signals, all measured before: which these are."""
    moments = [[one.t for one in signals.values()] for signals in found.values()]
    rows = await connection.fetch(
        statement("renew_latest"),
        array(list(found)),
        array([latest.keys_hash(signals) for signals in found.values()]),
        array([max(times) for times in moments]),
        array([min(times) for times in moments]),
        *_columns(found.values()),
    )
    return [row[0] for row in rows]


async def _merge(connection: Connection, found: Mapping[int, Signals]) -> dict[int, Position]:
    rows = await connection.fetch(statement("lock_latest"), array(list(found)))
    if len(rows) < len(found):
        raise ErasedError("a vehicle of this batch was erased")
    held = {row["vehicle_id"]: latest.decode(row["signals"]) for row in rows}
    merged = {vehicle_id: latest.merge(held[vehicle_id], found[vehicle_id]) for vehicle_id in found}
    changed = {vehicle_id: signals for vehicle_id, signals in merged.items() if signals != held[vehicle_id]}
    if not changed:
        return {}
    await connection.execute(
        statement("write_latest"),
        array(list(changed)),
        array([latest.keys_hash(signals) for signals in changed.values()]),
        array([max(one.t for one in signals.values()) for signals in changed.values()]),
        *_columns(changed.values()),
    )
    positions = {vehicle_id: latest.position(signals) for vehicle_id, signals in changed.items()}
    return {
        vehicle_id: position
        for vehicle_id, position in positions.items()
        if position is not None and position != latest.position(held[vehicle_id])
    }


def _columns(found: Collection[Signals]) -> tuple[str, str, str, str, str, list[str]]:
    """When and where the vehicles were, heading, speed, and the document of all signals."""
    positions = [latest.position(signals) for signals in found]
    return (
        array([None if position is None else position.time_ms for position in positions]),
        array([None if position is None else position.lat for position in positions]),
        array([None if position is None else position.lon for position in positions]),
        array([latest.value(signals, "heading") for signals in found]),
        array([latest.value(signals, "speed") for signals in found]),
        [latest.encode(signals) for signals in found],
    )
