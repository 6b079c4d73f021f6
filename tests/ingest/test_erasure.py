"""Erasing a vehicle on a real database: all of it, nothing else, and nothing after it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from fleetcell.contract.messages import ClaimKind
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Message
from ingest.batch import Batch, Rejection
from ingest.database import connect
from ingest.derive.recompute import BEGIN, derive_some
from ingest.derive.rules import Rules
from ingest.erasure import erase
from ingest.errors import ErasedError
from ingest.store import prepare, store
from tests.ingest.platform import Platform
from tests.ingest.units import REGION, arrival, new_boot, provision, sample, telemetry, topic

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.database import Connection

NAME = "erase-me-7731"
OTHER = "keep-me-4242"
# What stays: the tombstone, and that it was erased.
KEPT = {"vehicle", "erasure"}


async def fill(connection: Connection) -> dict[str, int]:
    """Rows of two vehicles in every table that can have some."""
    ids = await provision(connection, NAME, OTHER)
    for name, number in ids.items():
        boot = new_boot()
        batch = Batch()
        batch.add(arrival(name, telemetry(boot, [sample(n) for n in range(1, 6)])))
        event = json.dumps({"boot": boot, "seq": 6, "t": 0, "kind": "dtc", "data": {}})
        rejected = Rejection(topic(name), event.encode(), "of this test")
        await store(connection, prepare(batch, ids))
        await store(connection, prepare(Batch([], [rejected], 1), ids))
        await connection.execute(
            "INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind) VALUES (now(), $1, $2, 7, 'dtc')",
            number,
            UUID(boot),
        )
        await connection.execute(
            "INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)"
            " VALUES ($1, 'online', 'attach', now(), 1, 'helsinki')",
            number,
        )
        seen = {"vehicle_id": number, "at": "2026-01-01T00:00:00Z", "state": "online", "reason": "attach"}
        seen |= {"epoch": 1, "region": "helsinki", "previous_region": "tampere"}
        await connection.fetch("SELECT fleet.append_presence_events($1::jsonb)", json.dumps([seen]))
        await connection.fetch(
            "SELECT api.command_add($1, 'ping', '{}', '{}', NULL, 60, 'ops', $2)", name, f"key of {name}"
        )
    assert await derive_some(connection, Rules(), after=BEGIN, delay_s=0, limit=10)
    for number in ids.values():
        await connection.execute("INSERT INTO fleet.dirty_bucket VALUES ($1, '2026-01-01')", number)
        await connection.execute("INSERT INTO fleet.derive_request VALUES ($1)", number)
        await connection.execute(
            "INSERT INTO fleet.journey VALUES ($1, 'stop', now(), now(), true, now(),"
            " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
            number,
        )
        await visit_a_geofence(connection, number)
    return ids


async def visit_a_geofence(connection: Connection, number: int) -> None:
    fence = await connection.fetchval(
        "INSERT INTO fleet.geofence (name, geometry, radius_m, margin_m, restricted, alert_enter, alert_exit,"
        " created_by, updated_by) VALUES ($1, '{}', 1, 1, true, true, true, 'ops', 'ops') RETURNING id",
        f"fence {number}",
    )
    await connection.execute("INSERT INTO fleet.geofence_vehicle VALUES ($1, $2)", fence, number)
    await connection.execute(
        "INSERT INTO fleet.geofence_bucket (vehicle_id, bucket, inside) VALUES ($1, '2026-01-01', '{}')"
        " ON CONFLICT DO NOTHING",
        number,
    )
    await connection.execute(
        "INSERT INTO fleet.geofence_crossing"
        " VALUES ($1, $2, now(), 'enter', '2026-01-01', null, false, 0, 0)",
        number,
        fence,
    )
    await connection.execute(
        "INSERT INTO fleet.alert (vehicle_id, geofence_id, geofence, version, kind, at, lat, lon)"
        " VALUES ($1, $2, 'fence', 1, 'enter', now(), 0, 0)",
        number,
        fence,
    )


async def begin(connection: Connection, name: str = NAME) -> int:
    number: int = await connection.fetchval("SELECT api.erase($1, 'key ops')", name)
    return number


async def count(connection: Connection) -> dict[str, int]:
    rows = await connection.fetch("SELECT part, count FROM api.erase_count($1)", NAME)
    return {row["part"]: row["count"] for row in rows}


async def rows_of(connection: Connection, number: int, name: str) -> dict[str, int]:
    """How many rows each table has that name the vehicle, found by the catalogue, not by our list."""
    found = await connection.fetch(
        "SELECT c.table_name::text, c.column_name::text, c.data_type::text"
        " FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t USING (table_schema, table_name)"
        " WHERE c.table_schema = 'fleet' AND t.table_type = 'BASE TABLE'"
    )
    counts: dict[str, int] = {}
    for table, column, kind in found:
        if column == "vehicle_id" or (table, column) == ("vehicle", "id"):
            condition, value = f'"{column}" = $1', number
        elif kind in ("text", "json", "jsonb", "ARRAY"):
            condition, value = f'position($1 in "{column}"::text) > 0', name  # type: ignore[assignment]
        else:
            continue
        found_here = await connection.fetchval(
            f'SELECT count(*) FROM fleet."{table}" WHERE {condition}', value
        )
        counts[table] = max(counts.get(table, 0), found_here)
    steps = (
        "SELECT count(*) FROM fleet.command_step AS s JOIN fleet.command AS c ON c.id = s.command_id"
        " WHERE c.vehicle_id = $1"
    )
    counts["command_step"] = await connection.fetchval(steps, number)
    return {table: count for table, count in counts.items() if count}


async def test_no_table_of_vehicles_is_forgotten(connection: Connection) -> None:
    """Fails for a new table until it is in fleet.parts_of_vehicle, and in `fill` above."""
    of_vehicles = {
        row[0]
        for row in await connection.fetch(
            "SELECT table_name::text FROM information_schema.columns"
            " WHERE table_schema = 'fleet' AND column_name LIKE '%vehicle%'"
            " UNION SELECT conrelid::regclass::text FROM pg_constraint"
            " WHERE confrelid = 'fleet.vehicle'::regclass AND conrelid::regclass::text NOT LIKE 'fleet.%'"
        )
    }
    parts = {row[0] for row in await connection.fetch("SELECT part FROM fleet.parts_of_vehicle()")}
    assert of_vehicles - parts == {"erasure"}
    assert parts - of_vehicles == {"dead_letter", "command_step"}, "known by topic and by their command"
    refers = await connection.fetch(
        "SELECT DISTINCT conrelid::regclass::text AS name FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = ANY (ARRAY(SELECT ('fleet.' || part)::regclass"
        " FROM fleet.parts_of_vehicle()))"
    )
    assert {row["name"].removeprefix("fleet.") for row in refers} <= parts, "what refers to an erased row"


async def test_all_of_it_goes_and_nothing_else(any_connection: Connection) -> None:
    connection = any_connection
    ids = await fill(connection)
    before = await rows_of(connection, ids[NAME], NAME)
    others = await rows_of(connection, ids[OTHER], OTHER)
    parts = {row[0] for row in await connection.fetch("SELECT part FROM fleet.parts_of_vehicle()")}
    assert set(before) == parts | {"vehicle"}, "this test has a row in every table"
    counted = await count(connection)
    assert counted == {part: before[part] for part in parts}
    generation = await connection.fetchval("SELECT generation FROM api.feed")

    erasure = await begin(connection)
    assert not await connection.fetchval("SELECT EXISTS (SELECT FROM api.vehicles WHERE vehicle = $1)", NAME)
    assert await connection.fetchval("SELECT generation FROM api.feed") != generation
    with pytest.raises(asyncpg.ObjectInUseError):
        await connection.fetch("SELECT * FROM api.provision($1, $2)", [NAME], ["0" * 64])
    await erase(connection, erasure)
    assert set(await rows_of(connection, ids[NAME], NAME)) <= KEPT
    assert await rows_of(connection, ids[OTHER], OTHER) == others
    row = await connection.fetchrow("SELECT * FROM api.erasures")
    assert row is not None
    assert (row["vehicle"], row["asked_by"], row["regions"]) == (NAME, "key ops", ["helsinki", "tampere"])
    assert json.loads(row["removed"]) == counted
    assert row["finished_at"] > row["asked_at"]
    tombstone = await connection.fetchrow("SELECT * FROM fleet.vehicle WHERE name = $1", NAME)
    assert tombstone is not None
    assert (tombstone["mac"], tombstone["retention_days"]) == (None, None)

    assert await begin(connection) == erasure, "once more: nothing new"
    assert await begin(connection, "nobody") is None
    await connection.fetch("SELECT * FROM api.provision($1, $2)", [NAME], ["0" * 64])
    assert await begin(connection) > erasure, "the name was in use again"


async def test_many_rows_go_a_part_at_a_time_and_a_kill_loses_no_count(any_connection: Connection) -> None:
    connection = any_connection
    ids = await fill(connection)
    await connection.execute(
        "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, received_at)"
        " SELECT now() - n * interval '1 minute', $1, gen_random_uuid(), n, now()"
        " FROM generate_series(1, 3000) AS n",
        ids[NAME],
    )
    counted = await count(connection)
    erasure = await begin(connection)
    sizes: list[int] = []
    async with asyncio.timeout(60):
        while True:
            if len(sizes) == 2:  # killed before its COMMIT: the server rolls back
                transaction = connection.transaction()
                await transaction.start()
                await connection.fetchval("SELECT fleet.erase_some($1, 700)", erasure)
                await transaction.rollback()
            removed = await connection.fetchval("SELECT fleet.erase_some($1, 700)", erasure)
            if not removed:
                break
            sizes.append(removed)
    assert max(sizes) <= 701
    removed = await connection.fetchval("SELECT removed FROM fleet.erasure")
    assert json.loads(removed) == counted
    assert set(await rows_of(connection, ids[NAME], NAME)) <= KEPT


async def test_a_batch_that_began_before_stores_nothing_after(
    any_connection: Connection, any_dsn: str
) -> None:
    """Known boot and new boot; under way when the erasure begins, and remembered by another worker."""
    connection = any_connection
    ids = await provision(connection, NAME, OTHER)
    known = new_boot()

    def batch(boot: str, seq: int, name: str = NAME) -> Any:
        made = Batch()
        made.add(arrival(name, telemetry(boot, [sample(seq)])))
        return prepare(made, ids)

    await store(connection, batch(known, 1))
    slow = await connect(any_dsn)
    for boot in (known, new_boot()):  # a transaction under way: the erasure waits for it, and takes its rows
        async with slow.transaction():
            await store(slow, batch(boot, 2))
            erasing = asyncio.create_task(begin(connection))
            waiting = (
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND query LIKE '%api.erase(%')"
            )
            async with asyncio.timeout(60):
                while not await slow.fetchval(waiting):
                    await slow.execute("SELECT pg_stat_clear_snapshot()")
        await erase(connection, await erasing)
        assert set(await rows_of(connection, ids[NAME], NAME)) <= KEPT
        for late in (known, new_boot()):
            with pytest.raises(ErasedError):
                await store(slow, batch(late, 3))
        rejected = Rejection(topic(NAME), b"late", "of this test")
        await store(slow, prepare(Batch([], [rejected], 1), ids))
        assert set(await rows_of(connection, ids[NAME], NAME)) <= KEPT
        await connection.fetch("SELECT * FROM api.provision($1, $2)", [NAME], ["0" * 64])
        await store(slow, batch(known, 1))
    await slow.close()


async def test_in_live_traffic_the_session_ends_the_state_goes_and_late_messages_are_counted(
    platform: Platform, connection: Connection
) -> None:
    unit, other = await platform.unit(NAME), await platform.unit(OTHER)
    await unit.attach()
    await other.attach()
    boot, sending = new_boot(), True
    service = platform.service
    assert service is not None

    async def drive() -> None:
        seq = 0
        while sending:
            seq += 1
            for one in (unit, other):
                await one.send(Channel.TELEMETRY, telemetry(boot, [sample(seq)]))

    unit.not_again()
    driving = asyncio.create_task(drive())
    await unit.ack(lambda ack: ack.seq > 5)
    erasure = await begin(connection)
    closed = unit._bridge
    assert closed is not None
    await platform.until(lambda: not closed.connected)
    sending = False
    driving.cancel()
    await asyncio.gather(driving, return_exceptions=True)
    done = f"SELECT finished_at IS NOT NULL AND regions = '{{}}' FROM fleet.erasure WHERE id = {erasure}"
    await platform.becomes(connection, done)
    # A late message, from a broker that holds it still.
    refused = service.metrics.refused._value.get()
    late = telemetry(boot, [sample(9999)])
    service.receive(Message(vehicle_topic(REGION, NAME, Channel.TELEMETRY), late, qos=1, retain=False))
    await platform.until(lambda: service.metrics.refused._value.get() > refused)
    number = await connection.fetchval("SELECT id FROM fleet.vehicle WHERE name = $1", NAME)
    assert set(await rows_of(connection, number, NAME)) <= KEPT
    states: list[bytes] = []
    async with platform.watch(f"fleet/v1/{REGION}/+/state", states.append):
        await other.claim(ClaimKind.DETACH)  # told after all that was retained
        await platform.until(lambda: any(b'"offline"' in state for state in states))
    assert all(OTHER.encode() in state for state in states)
    assert NAME not in platform.credentials_file.read_text()


async def test_a_gateway_that_was_away_clears_the_state_when_it_is_back(
    plain_dsn: str, connection: Connection, tmp_path: Path
) -> None:
    platform = Platform(plain_dsn, tmp_path)
    await platform.start()
    try:
        unit = await platform.unit(NAME)
        await unit.attach()
        await unit.claim(ClaimKind.DETACH)
        await unit.disconnect()
        await platform.kill_service()
        erasure = await begin(connection)
        assert await connection.fetchval("SELECT regions FROM fleet.erasure") == [REGION]
        states: list[bytes] = []
        async with platform.watch(vehicle_topic(REGION, NAME, Channel.STATE), states.append):
            await platform.until(lambda: len(states) == 1)
            await platform.start_service()
            await platform.until(lambda: states[-1] == b"")
        query = f"SELECT finished_at IS NOT NULL AND regions = '{{}}' FROM fleet.erasure WHERE id = {erasure}"
        await platform.becomes(connection, query)
    finally:
        await platform.stop()
