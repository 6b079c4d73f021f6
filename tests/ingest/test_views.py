"""What the dashboard reads: the delivery ledger explained, and telemetry by its index."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

from ingest.database import drop_old
from ingest.tier import Tier
from tests.postgres_servers import Database, connected

LEDGERS = {
    # received, evicted, quarantined, dead, claimed: pending
    ("{}", "{}", "{}", "{}", 0): "{}",
    ("{}", "{}", "{}", "{}", 3): "{[1,4)}",
    ("{[1,4)}", "{}", "{}", "{}", 3): "{}",
    ("{[1,3),[5,9)}", "{}", "{}", "{}", 0): "{[3,5)}",
    ("{[1,3),[5,9)}", "{}", "{}", "{}", 10): "{[3,5),[9,11)}",
    ("{[1,3),[5,9)}", "{[3,4)}", "{[4,5)}", "{[9,10)}", 10): "{[10,11)}",
    ("{[5,6)}", "{}", "{}", "{}", 0): "{[1,5)}",
}


async def test_pending_is_what_must_exist_and_is_nowhere(plain_database: Database) -> None:
    boots = [uuid4() for _ in LEDGERS]
    async with connected(plain_database.owner) as owner:
        await owner.execute("INSERT INTO fleet.vehicle (name) VALUES ('v')")
        await owner.executemany(
            "INSERT INTO fleet.ledger (vehicle_id, boot, received, evicted, quarantined, dead, claimed)"
            " SELECT id, $1, $2::text::int8multirange, $3::text::int8multirange, $4::text::int8multirange,"
            " $5::text::int8multirange, $6 FROM fleet.vehicle",
            [(boot, *ledger) for boot, ledger in zip(boots, LEDGERS, strict=True)],
        )
    async with connected(plain_database.dashboard) as dashboard:
        rows = await dashboard.fetch(
            "SELECT boot, pending::text, received_count + evicted_count + quarantined_count"
            " + dead_lettered_count + pending_count AS explained,"
            " greatest(claimed, upper(received + evicted + dead_lettered) - 1) AS newest"
            " FROM api.delivery WHERE vehicle = 'v'"
        )
    found = {row["boot"]: row["pending"] for row in rows}
    assert [found[boot] for boot in boots] == list(LEDGERS.values())
    assert [row["explained"] for row in rows] == [row["newest"] for row in rows], "each number has one place"


async def fill(database: Database) -> None:
    """Ten days of 20 vehicles, a reading each 10 minutes."""
    async with connected(database.owner) as owner:
        await owner.execute(
            "INSERT INTO fleet.vehicle (name) SELECT 'v' || n FROM generate_series(1, 20) AS n"
        )
        await owner.execute(
            "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, lat, lon, speed, received_at)"
            " SELECT now() - n * interval '10 minutes', id, '00000000-0000-0000-0000-000000000001', 1440 - n,"
            " 60.17, 24.94, n % 50, now() FROM generate_series(0, 1439) AS n, fleet.vehicle"
        )
        await owner.execute("ANALYZE fleet.telemetry")


async def test_one_vehicles_readings_come_by_index_from_the_days_asked_for(any_database: Database) -> None:
    await fill(any_database)
    for column in ("vehicle_id = 7", "vehicle = 'v7'"):
        await check_plan(any_database, column)


async def check_plan(any_database: Database, column: str) -> None:
    async with connected(any_database.dashboard) as dashboard:
        now = await dashboard.fetchval("SELECT date_trunc('day', now())")
        question = (
            f"SELECT * FROM api.telemetry WHERE {column} AND time >= '{now - timedelta(hours=36)}'"
            f" AND time < '{now - timedelta(hours=26)}' ORDER BY time DESC"
        )
        plan = "\n".join(row[0] for row in await dashboard.fetch(f"EXPLAIN {question}"))
        rows = await dashboard.fetch(question)
    assert len(rows) == 60
    assert "Seq Scan on telemetry" not in plan
    assert "telemetry_vehicle_time" in plan
    if any_database.tier is not Tier.PLAIN:
        assert len(set(re.findall(r"_hyper_\d+_\d+_chunk(?!_)", plan))) == 1, plan


async def test_retention_drops_what_is_old_and_nothing_else(any_database: Database) -> None:
    await fill(any_database)
    async with connected(any_database.owner) as owner:
        await owner.execute(
            "INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind)"
            " SELECT now() - n * interval '1 day', 1, gen_random_uuid(), 1, 'dtc'"
            " FROM generate_series(1, 10) AS n"
        )
        await owner.execute(
            "INSERT INTO fleet.dead_letter (topic, sha256, payload, size, reason, last_at)"
            " SELECT 't', sha256(n::text::bytea), '', 0, 'r', now() - n * interval '1 day'"
            " FROM generate_series(1, 10) AS n"
        )
        recent = "SELECT count(*) FROM fleet.telemetry WHERE time >= now() - interval '5 days'"
        kept = await owner.fetchval(recent)
        assert await drop_old(owner, timedelta(days=5)) > 0
        assert await owner.fetchval(recent) == kept
        # A hypertable drops whole days; the one that the cutoff is in stays.
        slack = "1 day" if any_database.tier is not Tier.PLAIN else "0"
        oldest = f"SELECT min(time) >= now() - interval '5 days' - interval '{slack}' FROM fleet.telemetry"
        assert await owner.fetchval(oldest)
        assert await owner.fetchval("SELECT count(*) FROM fleet.event") == 4
        assert await owner.fetchval("SELECT count(*) FROM fleet.dead_letter") == 4
        assert await drop_old(owner, timedelta(days=5)) == 0


async def test_retention_of_a_plain_table_works_in_parts(plain_database: Database) -> None:
    await fill(plain_database)
    async with connected(plain_database.owner) as owner:
        parts = [await owner.fetchval("SELECT fleet.drop_old(now(), 12000)") for _ in range(4)]
        assert parts == [12000, 12000, 20 * 1440 - 24000, 0]


async def test_a_vehicle_has_a_retention_of_its_own(any_database: Database) -> None:
    """Shorter than the fleet's, or longer: then no chunk of that time is dropped, and the others' rows go."""
    await fill(any_database)
    async with connected(any_database.owner) as owner:
        ids = [row[0] for row in await owner.fetch("SELECT id FROM fleet.vehicle ORDER BY id")]
        days = "SELECT now() - n * interval '1 day' - interval '1 minute'"
        await owner.execute("DELETE FROM fleet.telemetry")
        for number in ids:
            await owner.execute(
                "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, received_at)"
                f" {days}, $1, gen_random_uuid(), n, now() FROM generate_series(0, 19) AS n",
                number,
            )
            await owner.execute(
                "INSERT INTO fleet.event (time, vehicle_id, boot, seq, kind)"
                f" {days}, $1, gen_random_uuid(), n, 'dtc' FROM generate_series(0, 19) AS n",
                number,
            )
        short, long, *rest = ids
        assert rest
        name = await owner.fetchval("SELECT name FROM fleet.vehicle WHERE id = $1", short)
        assert await owner.fetchval("SELECT api.set_retention($1, 2)", name)
        await owner.execute("UPDATE fleet.vehicle SET retention_days = 15 WHERE id = $1", long)
        assert await drop_old(owner, timedelta(days=5)) > 0
        slack = 0 if any_database.tier is Tier.PLAIN else 1  # at the end of what anybody keeps: whole chunks
        kept = "SELECT vehicle_id, count(*) FROM fleet.{} GROUP BY vehicle_id"
        readings = {row[0]: row[1] for row in await owner.fetch(kept.format("telemetry"))}
        assert readings[short] == 2
        assert 15 <= readings[long] <= 15 + slack
        assert {readings[number] for number in rest} == {5}
        events = {row[0]: row[1] for row in await owner.fetch(kept.format("event"))}
        assert (events[short], events[long], {events[number] for number in rest}) == (2, 15, {5})
        assert await drop_old(owner, timedelta(days=5)) == 0
