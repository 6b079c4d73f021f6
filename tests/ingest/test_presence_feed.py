"""fleet.append_presence_events: cursors become visible in order; who reads on from his misses none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.postgres_servers import Database, PlainServer, connected, fresh_database

if TYPE_CHECKING:
    from tests.postgres_servers import Connection

VEHICLES = 8


def event(vehicle_id: int, **more: Any) -> dict[str, Any]:
    held = {
        "at": "2026-11-20T12:00:00Z",
        "state": "online",
        "reason": "attach",
        "epoch": 1,
        "region": "north",
    }
    return {"vehicle_id": vehicle_id, **held, **more}


async def append(connection: Connection, *events: dict[str, Any]) -> list[int]:
    rows = await connection.fetch("SELECT fleet.append_presence_events($1::jsonb)", json.dumps(events))
    return [row[0] for row in rows]


async def register(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO fleet.vehicle (name) SELECT 'v' || n FROM generate_series(1, $1::int) AS n", VEHICLES
    )
    await connection.execute(
        "INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)"
        " SELECT id, 'online', 'attach', now(), 1, 'north' FROM fleet.vehicle"
    )


@pytest.fixture
async def writer(any_database: Database) -> AsyncIterator[Connection]:
    async with connected(any_database.owner) as connection:
        await register(connection)
        yield connection


async def test_keeps_what_is_given_in_its_order(writer: Connection) -> None:
    first = event(
        2,
        evidence={"claim": "attach"},
        deadline="2026-11-20T12:01:15Z",
        n=3,
        cell="8a1f",
        address="10.1.0.2",
        seen_address="127.0.0.2",
        previous_state="suspect",
        previous_region="south",
    )
    cursors = await append(writer, first, event(1), event(2, state="suspect", reason="lost"))
    assert cursors == [cursors[0], cursors[0] + 1, cursors[0] + 2]
    rows = await writer.fetch("SELECT * FROM api.presence_events ORDER BY cursor")
    assert [row["vehicle"] for row in rows] == ["v2", "v1", "v2"]
    kept = dict(rows[0])
    kept["at"], kept["deadline"] = (
        kept[key].isoformat().replace("+00:00", "Z") for key in ("at", "deadline")
    )
    kept["evidence"] = json.loads(kept["evidence"])
    assert {key: kept[key] for key in first} == first
    assert rows[1]["evidence"] == "{}"
    assert rows[2]["n"] is None


async def test_registrations_point_at_their_newest(writer: Connection) -> None:
    cursors = await append(writer, event(1), event(2), event(1, state="suspect", reason="lost"))
    held = await writer.fetch("SELECT cursor FROM fleet.registration ORDER BY vehicle_id LIMIT 3")
    assert [row["cursor"] for row in held] == [cursors[2], cursors[1], 0]
    assert await writer.fetchval("SELECT cursor FROM api.feed") == cursors[2]


async def test_nothing_to_append(writer: Connection) -> None:
    assert await append(writer) == []
    assert await writer.fetchval("SELECT cursor FROM api.feed") == 0


async def test_listeners_hear_the_newest_cursor_after_commit(
    any_database: Database, writer: Connection
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connected(any_database.dashboard) as dashboard:
        await dashboard.add_listener("fleetcell_presence", lambda *said: heard.put_nowait(said[3]))
        async with writer.transaction():
            cursors = await append(writer, event(1), event(2))
            await dashboard.fetchval("SELECT 1")
            assert heard.empty()
        assert int(await asyncio.wait_for(heard.get(), 60)) == cursors[-1]


async def test_a_later_cursor_waits_for_an_earlier_one(any_database: Database, writer: Connection) -> None:
    async with connected(any_database.owner) as other:
        transaction = writer.transaction()
        await transaction.start()
        (first,) = await append(writer, event(1))
        later = asyncio.create_task(append(other, event(2)))
        async with connected(any_database.superuser) as watcher:
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with asyncio.timeout(60):
                while await watcher.fetchval(waits) == 0:
                    assert not later.done()
            assert await watcher.fetchval("SELECT cursor FROM api.feed") == 0
        await transaction.commit()
        assert (await later)[0] > first


async def test_a_follower_misses_none(any_database: Database, writer: Connection) -> None:
    """Many writers, some of which give up; a reader that goes on from its newest cursor sees all of them."""
    done = asyncio.Event()
    seen: list[int] = []
    written: list[int] = []

    async def write(vehicle_id: int) -> None:
        async with connected(any_database.owner) as connection:
            for turn in range(20):
                transaction = connection.transaction()
                await transaction.start()
                cursors = await append(connection, event(vehicle_id, n=turn), event(vehicle_id, n=turn))
                if turn % 5 == vehicle_id % 5:
                    await transaction.rollback()
                else:
                    await transaction.commit()
                    written.extend(cursors)

    async def follow() -> None:
        async with connected(any_database.dashboard) as dashboard:
            question = "SELECT cursor FROM api.presence_events WHERE cursor > $1 ORDER BY cursor"
            while not done.is_set():
                seen.extend(row[0] for row in await dashboard.fetch(question, seen[-1] if seen else 0))
            seen.extend(row[0] for row in await dashboard.fetch(question, seen[-1]))

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(write(vehicle_id) for vehicle_id in range(1, VEHICLES + 1)))
    done.set()
    await follower
    assert seen == sorted(written)
    assert len(seen) == VEHICLES * 16 * 2
    learned = await writer.fetch("SELECT learned_at FROM fleet.presence_event ORDER BY cursor")
    times = [row["learned_at"] for row in learned]
    assert times == sorted(times), "time never runs against the cursor"


async def test_wrong_event_appends_nothing(writer: Connection) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await append(writer, event(1), {"vehicle_id": 2})
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await append(writer, event(1), event(VEHICLES + 1))
    assert await writer.fetchval("SELECT count(*) FROM fleet.presence_event") == 0


async def test_generation_is_the_databases_own(plain_server: PlainServer) -> None:
    """Copies of one database, as a restored dump is one, are other feeds; the same one stays the same."""
    question = "SELECT generation FROM api.feed"
    stored = "SELECT generation FROM fleet.feed"
    with fresh_database(plain_server) as one, fresh_database(plain_server) as other:
        async with connected(one.owner) as a, connected(other.owner) as b:
            assert await a.fetchval(stored) == await b.fetchval(stored), "both come from the template"
            first = await a.fetchval(question)
            assert await b.fetchval(question) != first
        async with connected(one.dashboard) as again:
            assert await again.fetchval(question) == first
