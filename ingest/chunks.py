"""How much time a chunk of the hypertable covers, by how fast the table really grows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from ingest.database import statement
from ingest.tier import Tier, detect_tier

if TYPE_CHECKING:
    from ingest.database import Connection

log = structlog.get_logger()

# At most a day: whole chunks are dropped, so up to that much more is kept than was asked for.
INTERVALS: Final = tuple(timedelta(hours=hours) for hours in (1, 2, 3, 4, 6, 8, 12, 24))
LEAST_S: Final = 600.0  # a rate is measured for at least so long


def interval_for(bytes_per_s: float, target: int, held: timedelta) -> timedelta:
    """The longest interval whose chunk, with its indexes, stays within `target` bytes at this rate.

    A chunk that is being written should stay in memory. What is held stays while it is at most a quarter too
    long or half of what would do, so that a rate that swings does not change it every hour.

    Args:
        bytes_per_s: how fast the table and its indexes grow.
        target: bytes.
        held: as it is now.
    """
    if bytes_per_s <= 0:
        return held
    fits_s = target / bytes_per_s
    best = max((one for one in INTERVALS if one.total_seconds() <= fits_s), default=INTERVALS[0])
    if held.total_seconds() <= fits_s * 1.25 and held * 2 >= best and held <= INTERVALS[-1]:
        return held
    return best


async def adapt_interval(
    connection: Connection, *, target: int | None = None, least_s: float = LEAST_S
) -> timedelta | None:
    """Set the interval of the chunks to come from what the newest one took so far.

    Args:
        connection: of the owner.
        target: bytes of a chunk; None: the server's shared_buffers.
        least_s: measure for at least so long, in seconds.

    Returns:
        The new one; None: nothing to change, or nothing to measure yet, or no hypertable.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: as any statement.
    """
    if await detect_tier(connection) is Tier.PLAIN:
        return None
    row = await connection.fetchrow(statement("chunk_growth"))
    if row is None or row["seconds"] < least_s:
        return None
    best = interval_for(row["bytes"] / row["seconds"], target or row["shared_buffers"], row["held"])
    if best == row["held"]:
        return None
    await connection.execute(statement("set_chunk_interval"), best)
    log.info(
        "chunks of telemetry", hours=best / timedelta(hours=1), bytes_per_s=row["bytes"] / row["seconds"]
    )
    return best
