"""The office of a region's registrar: whoever holds the advisory lock on its database connection has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest.database import Connection

STAND_BY_S: Final = 0.25  # how often a second registrar asks whether the first is gone
ANSWER_S: Final = 10.0  # least time that the database has for an answer before the office is given up

_TRY_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('fleetcell registrar'), hashtext($1))"


async def take(connection: Connection, region: str, stand_by: Callable[[], Awaitable[None]]) -> None:
    """Return when the office is ours; `stand_by` is awaited each time that another has it.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database is away.
    """
    while not await connection.fetchval(_TRY_LOCK, region):
        await stand_by()
        await asyncio.sleep(STAND_BY_S)


async def keep(connection: Connection) -> None:
    """After a statement failed: return when the connection answers, for it has the lock while it lives.

    Whoever took the office over could not know what was said meanwhile, and all vehicles would be unknown
    (gateway). So a slow database, or a statement that it refuses, is no reason to leave.

    Raises:
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: it does not, the office is lost.
    """
    question = "ROLLBACK" if connection.is_in_transaction() else "SELECT"
    async with asyncio.timeout(ANSWER_S):
        await connection.execute(question)
