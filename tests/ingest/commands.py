"""What tests of commands ask the database, as the dashboard does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.database import Connection

STEPS = "SELECT event FROM api.command_steps WHERE command_id = $1 ORDER BY id"


async def add(
    connection: Connection,
    vehicle: str,
    name: str = "ping",
    *,
    args: dict[str, Any] | None = None,
    require: dict[str, Any] | None = None,
    ttl_s: float | None = 60,
    not_after: datetime | None = None,
    by: str = "test",
    key: str | None = None,
) -> tuple[UUID | None, bool, str | None]:
    """`api.command_add`: id, whether it was made, problem."""
    row = await connection.fetchrow(
        "SELECT * FROM api.command_add($1, $2, $3::jsonb, $4::jsonb, $5, $6, $7, $8)",
        vehicle,
        name,
        msgspec.json.encode(args or {}).decode(),
        msgspec.json.encode(require or {}).decode(),
        not_after,
        ttl_s,
        by,
        key,
    )
    assert row is not None
    return row["id"], row["created"], row["problem"]


async def queue(connection: Connection, vehicle: str, name: str = "ping", **fields: Any) -> UUID:
    """The id of a new command."""
    made, created, problem = await add(connection, vehicle, name, **fields)
    assert made is not None, problem
    assert created
    return made


async def steps(connection: Connection, command: UUID) -> list[str]:
    """The events of a command, in order."""
    return [row["event"] for row in await connection.fetch(STEPS, command)]


async def reaches(connection: Connection, command: UUID, state: str) -> dict[str, Any]:
    """Wait until a command is in this state; its row."""
    seen = None
    try:
        async with asyncio.timeout(60):
            while True:
                row = await connection.fetchrow("SELECT * FROM api.commands WHERE id = $1", command)
                assert row is not None
                if (seen := row["state"]) == state:
                    return dict(row)
                await asyncio.sleep(0.01)
    except TimeoutError:
        happened = await steps(connection, command)
        raise AssertionError(f"{seen} after {happened}, wanted {state}") from None


async def happens(connection: Connection, command: UUID, event: str, times: int = 1) -> None:
    """Wait until an event is among the steps of a command, so often."""
    try:
        async with asyncio.timeout(60):
            while (await steps(connection, command)).count(event) < times:
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{await steps(connection, command)}, wanted {times} x {event}") from None
