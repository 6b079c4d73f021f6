"""Reports into `fleet.hazard`, one transaction for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ingest.database import statement
from ingest.hazards.rules import Change, Held, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleetcell.contract.hazards import Report
    from ingest.database import Connection

MOST_OF_A_STATION: Final = 32  # hazards that one pseudonym keeps up at a time


async def store(
    connection: Connection, region: str, reports: Sequence[Report], most_active: int
) -> list[Change]:
    """Store reports in their order and COMMIT; what became of each.

    Two workers may do it at the same time, while one takes over from the other.

    Args:
        connection: outside of a transaction.
        region: that was told.
        reports: oldest first.
        most_active: hazards of the region at a time; more are not taken until others are over.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was stored, or after a
            lost connection perhaps all of it; to store it again changes nothing.
    """
    async with connection.transaction():
        await connection.execute(statement("lock_hazards"), region)
        room = most_active - await connection.fetchval(statement("active_hazards"), region)
        changes = []
        for report in reports:
            change = await _take(connection, region, report, room > 0)
            room -= change is Change.NEW
            room += change in (Change.CANCELLED, Change.NEGATED)
            changes.append(change)
    return changes


async def _take(connection: Connection, region: str, report: Report, is_room: bool) -> Change:
    found = await connection.fetchrow(statement("find_hazard"), region, report.station_id, report.sequence)
    held = None if found is None else Held(found["id"], found["reference_ms"], found["over"])
    change = fold(held, report)
    if change is Change.NEW:
        told = await connection.fetchval(statement("hazards_of_station"), region, report.station_id)
        if not is_room or told >= MOST_OF_A_STATION:
            return Change.FULL
        await connection.execute(
            statement("add_hazard"), region, report.station_id, report.sequence, *_columns(report)
        )
    elif change is Change.UPDATE:
        assert held is not None, "there is something to update"
        await connection.execute(statement("update_hazard"), held.id, *_columns(report))
    elif change in (Change.CANCELLED, Change.NEGATED):
        assert held is not None, "there is something to end"
        await connection.execute(statement("end_hazard"), held.id, report.reference_ms, change.value)
    return change


def _columns(report: Report) -> tuple[float | None, ...]:
    return (
        report.cause,
        report.sub_cause,
        report.quality,
        report.lat,
        report.lon,
        report.speed,
        report.heading,
        report.detected_ms,
        report.reference_ms,
        report.expires_ms,
    )
