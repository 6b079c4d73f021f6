"""Commands in the database: the functions of the dashboard and the statements of the registrar."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from fleetcell.contract.commands import CommandEvent, CommandState, Progress, fold
from ingest.database import drop_old, statement
from ingest.register import database_time
from tests.ingest.commands import add, queue, steps
from tests.ingest.units import provision
from tests.postgres_servers import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest.database import Connection
    from tests.postgres_servers import Database


@pytest.fixture
async def dashboard(plain_database: Database) -> AsyncIterator[Connection]:
    async with connected(plain_database.dashboard) as connection:
        yield connection


@pytest.fixture
async def owner(plain_database: Database) -> AsyncIterator[Connection]:
    async with connected(plain_database.owner) as connection:
        await provision(connection, "car", "bus")
        yield connection


async def test_a_new_command_is_queued_due_and_announced(owner: Connection, dashboard: Connection) -> None:
    heard = asyncio.Event()
    await owner.add_listener("fleetcell_commands", lambda *_: heard.set())
    made = await queue(dashboard, "car", "lock", args={"a": 1}, require={"speed": 0}, by="ann")
    await asyncio.wait_for(heard.wait(), 60)
    row = await owner.fetchrow("SELECT * FROM fleet.command WHERE id = $1", made)
    assert row is not None
    assert (row["state"], row["args"], row["require"]) == ("queued", '{"a": 1}', '{"speed": 0}')
    assert row["next_at"] == row["created_at"]
    assert row["give_up_at"] == row["not_after"] == row["created_at"] + timedelta(seconds=60)
    assert await steps(dashboard, made) == ["queued"]


async def test_what_cannot_be_queued(owner: Connection, dashboard: Connection) -> None:
    await owner.execute("SELECT api.revoke('bus')")
    past = datetime.now(UTC) - timedelta(seconds=1)
    assert await add(dashboard, "nobody") == (None, False, "unknown")
    assert await add(dashboard, "bus") == (None, False, "revoked")
    assert await add(dashboard, "car", ttl_s=None, not_after=past) == (None, False, "deadline")
    for ttl_s in (None, 0.0, -1.0, 31 * 86400 + 1.0, float("nan")):
        assert await add(dashboard, "car", ttl_s=ttl_s) == (None, False, "deadline"), ttl_s
    assert await owner.fetchval("SELECT count(*) FROM fleet.command") == 0
    await owner.execute("UPDATE fleet.vehicle SET erased_at = now() WHERE name = 'car'")
    assert await add(dashboard, "car") == (None, False, "unknown")


async def test_the_same_key_at_the_same_moment_is_one_command(
    owner: Connection, plain_database: Database
) -> None:
    async def one(vehicle: str) -> tuple[object, bool, str | None]:
        async with connected(plain_database.dashboard) as connection:
            return await add(connection, vehicle, key="order-7")

    same = await asyncio.gather(*(one("car") for _ in range(5)))
    assert sorted(made for _, made, _ in same) == [False] * 4 + [True]
    assert len({number for number, _, _ in same}) == 1
    assert await one("bus") == (None, False, "reused")
    other = await add(owner, "bus", key="order-7", by="somebody else")
    assert other[1], "each caller has keys of his own"


async def test_two_vehicles_at_the_same_moment_with_one_key(
    plain_database: Database, owner: Connection
) -> None:
    async def one(vehicle: str, number: int) -> tuple[object, bool, str | None]:
        async with connected(plain_database.dashboard) as connection:
            return await add(connection, vehicle, key=f"order-{number}")

    for number in range(5):
        found = await asyncio.gather(one("car", number), one("bus", number))
        assert sorted(problem or "" for _, _, problem in found) == ["", "reused"]
    assert await owner.fetchval("SELECT count(*) FROM fleet.command") == 5


@pytest.mark.parametrize("event", [CommandEvent.CANCEL, CommandEvent.DEADLINE])
async def test_statements_end_a_command_as_the_fold_does(owner: Connection, event: CommandEvent) -> None:
    for state in CommandState:
        made = await queue(owner, "car")
        await owner.execute(
            "UPDATE fleet.command SET state = $1, give_up_at = clock_timestamp() WHERE id = $2", state, made
        )
        if event is CommandEvent.CANCEL:
            await owner.execute("SELECT api.command_cancel($1, 'ann')", made)
        else:
            await owner.execute(statement("expire_commands"), 10, await database_time(owner))
        after = await owner.fetchval("SELECT state FROM fleet.command WHERE id = $1", made)
        assert after == fold(Progress(state), event).state, state
        noted = await steps(owner, made)
        assert noted == ["queued", *([event.value] if after != state else [])]
        await owner.execute("DELETE FROM fleet.command")


async def test_cancel_tells_what_it_found(owner: Connection, dashboard: Connection) -> None:
    made = await queue(dashboard, "car")
    cancel = "SELECT state, cancelled FROM api.command_cancel($1, 'ann')"
    found = [[tuple(row) for row in await dashboard.fetch(cancel, made)] for _ in range(2)]
    assert found == [[("cancelled", True)], [("cancelled", False)]]
    assert await dashboard.fetch(cancel, uuid4()) == []


async def test_expiry_is_by_parts_and_leaves_the_rest(owner: Connection) -> None:
    made = [await queue(owner, "car") for _ in range(7)]
    await owner.execute(
        "UPDATE fleet.command SET give_up_at = clock_timestamp() WHERE id = ANY ($1)", made[:5]
    )
    now = await database_time(owner)
    parts = [len(await owner.fetch(statement("expire_commands"), 2, now)) for _ in range(4)]
    assert parts == [2, 2, 1, 0]
    rows = await owner.fetch("SELECT id, state FROM fleet.command")
    states = {row["id"]: row["state"] for row in rows}
    assert [states[number] for number in made] == ["expired"] * 5 + ["queued"] * 2


async def test_only_known_states_and_outcomes_are_kept(owner: Connection) -> None:
    await queue(owner, "car")
    for column in ("state", "outcome"):
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(f"UPDATE fleet.command SET {column} = 'lost'")


async def test_old_commands_that_ended_are_removed_with_their_steps(owner: Connection) -> None:
    ended, waiting = await queue(owner, "car"), await queue(owner, "car")
    await owner.execute("SELECT api.command_cancel($1, 'ann')", ended)
    await owner.execute("UPDATE fleet.command SET created_at = '2020-01-01', updated_at = '2020-01-01'")
    assert await drop_old(owner, timedelta(days=5)) == 1
    assert [row["id"] for row in await owner.fetch("SELECT id FROM fleet.command")] == [waiting]
    assert {row["command_id"] for row in await owner.fetch("SELECT command_id FROM fleet.command_step")} == {
        waiting
    }
