"""Visits and alerts in real databases, from the transaction of a batch to the views of the API."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingest.database import statement
from ingest.derive.recompute import BEGIN, derive_some
from ingest.derive.rows import adopt_rules
from ingest.derive.verify import verify
from ingest.geofences.adopt import backfill
from ingest.geofences.rows import FenceReader
from tests.ingest.geofences.depot import DEPOT, HISTORY, RULES, at, put, round_trip, settle
from tests.ingest.units import new_boot, provision

if TYPE_CHECKING:
    from ingest.database import Connection


async def fence(connection: Connection, name: str = "depot", **more: Any) -> int:
    """Make a geofence of 250 m, and derive its history."""
    row = await connection.fetchrow(
        "SELECT * FROM api.geofence_put($1, $2, $3::text::jsonb, $4, $5, $6, $7, $8, $9, 'key ops')",
        more.get("id"),
        name,
        json.dumps(more.get("geometry", DEPOT)),
        more.get("radius_m", 250.0),
        25.0,
        more.get("vehicles"),
        more.get("enter", True),
        more.get("exit", True),
        more.get("dwell_s"),
    )
    assert row is not None
    assert row["problem"] is None
    number: int = row["geofence"]
    await settle(connection)
    return number


async def since_an_hour(connection: Connection) -> None:
    """As if the geofences had been there for an hour: what was before them raises no alert."""
    await connection.execute("UPDATE fleet.geofence SET alerts_from = alerts_from - interval '1 hour'")


async def drop(connection: Connection, cutoff: datetime) -> None:
    while await connection.fetchval("SELECT fleet.drop_old($1)", cutoff):
        pass


async def visits(connection: Connection) -> list[tuple[Any, ...]]:
    """Vehicle, geofence, and in seconds of HISTORY: entered, left, last reading; whether it has a gap."""
    rows = await connection.fetch("SELECT * FROM api.visits ORDER BY vehicle, geofence, entered_at")

    def seconds(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - HISTORY).total_seconds()

    return [
        (
            row["vehicle"],
            row["geofence"],
            *(seconds(row[one]) for one in ("entered_at", "left_at", "last_at")),
            row["gap"],
        )
        for row in rows
    ]


async def alerts(connection: Connection) -> list[tuple[str, str, str | None]]:
    rows = await connection.fetch("SELECT kind, state, correction FROM api.alerts ORDER BY id")
    return [tuple(row) for row in rows]


async def differences(connection: Connection) -> list[Any]:
    return [found async for one in verify(connection) for found in one.differences]


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_arrival_gives_the_same_history(any_connection: Connection, seed: int) -> None:
    rng = random.Random(seed)
    await adopt_rules(any_connection, RULES)
    ids = await provision(any_connection, "car", "bus")
    before = await fence(any_connection)
    messages = []
    for name in ids:
        boot, found = new_boot(), round_trip(HISTORY)
        messages += [(name, found[start : start + 4], boot) for start in range(0, len(found), 4)]
    messages += rng.sample(messages, 6)
    rng.shuffle(messages)
    for name, part, boot in messages:
        await put(any_connection, ids, name, part, boot)
        if rng.random() < 0.5:
            await derive_some(any_connection, RULES, after=BEGIN, delay_s=0, limit=rng.randint(1, 8))
    after = await fence(any_connection, "drawn later", radius_m=550.0, dwell_s=600, vehicles=["bus"])
    assert before != after
    assert await differences(any_connection) == []
    assert await visits(any_connection) == [
        ("bus", "depot", 80.0, 1380.0, 1370.0, False),
        ("bus", "drawn later", 50.0, 1410.0, 1400.0, False),
        ("car", "depot", 80.0, 1380.0, 1370.0, False),
    ]
    dwells = await any_connection.fetch("SELECT at FROM fleet.geofence_crossing WHERE kind = 'dwell'")
    assert [row["at"] for row in dwells] == [HISTORY + timedelta(seconds=700)]
    assert await alerts(any_connection) == [], "all of it is long ago"


async def test_a_change_derives_the_history_anew_and_a_removal_ends_it(connection: Connection) -> None:
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    await put(connection, ids, "car", round_trip(HISTORY), new_boot())
    await settle(connection)
    assert not await connection.fetchval("SELECT count(*) FROM fleet.geofence_bucket"), "there is no geofence"
    number = await fence(connection)
    assert [row[2:4] for row in await visits(connection)] == [(80.0, 1380.0)]
    assert await fence(connection, "yard", id=number, radius_m=550.0) == number
    assert await visits(connection) == [("car", "yard", 50.0, 1410.0, 1400.0, False)]
    await fence(connection, "yard", id=number, geometry={"type": "Point", "coordinates": [26.0, 60.0]})
    assert await visits(connection) == []
    await fence(connection, "yard", id=number, radius_m=550.0)
    assert len(await visits(connection)) == 1
    assert await differences(connection) == []
    versions = await connection.fetchrow("SELECT version, pending FROM api.geofences")
    assert versions is not None
    assert tuple(versions) == (4, False)

    assert await connection.fetchval("SELECT api.geofence_remove($1, 'ops')", number)
    assert not await connection.fetchval("SELECT api.geofence_remove($1, 'ops')", number)
    assert await visits(connection) == []
    await drop(connection, HISTORY - timedelta(days=1))
    assert not await connection.fetchval("SELECT count(*) FROM fleet.geofence_crossing")


async def test_an_alert_is_of_now_raised_once_and_corrected(any_connection: Connection) -> None:
    connection = any_connection
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car", "bus")
    await fence(connection, dwell_s=60)
    await since_an_hour(connection)
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    begin = now  # up to two minutes ahead: however slow this test is, it is live
    boot, found = new_boot(), [at(begin, n * 10.0, 400.0 if n < 3 else 0.0, n + 1) for n in range(12)]
    await put(connection, ids, "car", [found[0], found[4]], boot)
    await settle(connection)
    assert await alerts(connection) == [("enter", "open", None)]

    await put(connection, ids, "car", found, boot)  # late ones: it entered earlier
    await settle(connection)
    assert await alerts(connection) == [("enter", "open", "moved"), ("dwell", "open", None)]
    held = await connection.fetchrow("SELECT at, holds_at FROM api.alerts WHERE kind = 'enter'")
    assert held is not None
    assert held["at"] - held["holds_at"] == timedelta(seconds=10)

    old = [at(begin, -3600 + n * 10.0, 0.0 if 2 < n < 5 else 400.0, n + 1) for n in range(9)]
    await put(connection, ids, "bus", old, new_boot())  # an hour late
    await settle(connection)
    assert len(await connection.fetch("SELECT FROM api.visits WHERE vehicle = 'bus'")) == 1
    assert len(await alerts(connection)) == 2

    rows = await connection.fetch("SELECT * FROM api.alert_acknowledge(2, 'user ann')")
    rows += await connection.fetch("SELECT * FROM api.alert_acknowledge(2, 'user bob')")
    assert [tuple(row) for row in rows] == [("acknowledged", True), ("acknowledged", False)]
    assert await connection.fetchval("SELECT acknowledged_by FROM api.alerts WHERE id = 2") == "user ann"
    assert not await connection.fetch("SELECT * FROM api.alert_acknowledge(77, 'user ann')")
    assert await differences(connection) == []


async def test_an_alert_is_found_by_the_crossing_that_it_moved_to(connection: Connection) -> None:
    """However long ago that was, and where the alert was raised."""
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    await fence(connection)
    await since_an_hour(connection)
    begin: datetime = await connection.fetchval("SELECT clock_timestamp()")
    boot, found = new_boot(), [at(begin, n * 10.0, 400.0 if n < 3 else 0.0, n + 1) for n in range(5)]
    await put(connection, ids, "car", [found[0], found[4]], boot)
    await settle(connection)
    await put(connection, ids, "car", found, boot)
    await settle(connection)
    assert await alerts(connection) == [("enter", "open", "moved")]
    await connection.execute("UPDATE fleet.alert SET at = at - interval '1 minute'")
    await connection.execute("UPDATE fleet.geofence SET alerts_from = alerts_from + interval '1 day'")
    await put(connection, ids, "car", [at(begin, 29, 0.0, 9)], boot)
    await settle(connection)
    held = await connection.fetchrow("SELECT at, holds_at FROM api.alerts")
    assert held is not None
    assert held["holds_at"] - held["at"] == timedelta(seconds=29 - (40 - 60))
    await drop(connection, begin)
    assert len(await alerts(connection)) == 1
    await drop(connection, begin + timedelta(days=1))
    assert await alerts(connection) == [], "past the retention"


async def test_a_history_is_pending_until_it_is_derived(connection: Connection) -> None:
    """Also of one that was changed again meanwhile; and no visit of before stays."""
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    one_bucket = [at(HISTORY, n * 10.0, east, n + 1) for n, east in enumerate((400.0, 0.0, 400.0))]
    await put(connection, ids, "car", one_bucket, new_boot())
    number = await fence(connection)
    assert [row[2:4] for row in await visits(connection)] == [(10.0, 20.0)]
    await connection.execute(
        "SELECT api.geofence_put($1, 'depot', $2::text::jsonb, 250, 25, null, true, true, null, 'key ops')",
        number,
        json.dumps({"type": "Point", "coordinates": [26.0, 60.0]}),
    )
    reader, pending = FenceReader(), "SELECT pending FROM api.geofences"
    await connection.execute(statement("geofences_backfilled"), [number], None, [1])
    assert await connection.fetchval(pending), "that was of the version before"
    assert await backfill(connection, reader)
    assert not await backfill(connection, reader)
    assert await connection.fetchval(pending), "what was marked is not derived yet"
    await settle(connection)
    assert not await connection.fetchval(pending)
    assert await visits(connection) == []


async def test_what_never_was_is_withdrawn_and_a_changed_geofence_alerts_nobody_of_before(
    connection: Connection,
) -> None:
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    number = await fence(connection)
    await since_an_hour(connection)
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    begin, boot = now, new_boot()  # ahead of the clock: however slow this test is, it is live
    away = [at(begin, n * 10.0, 400.0, n + 1) for n in range(4)]
    await put(connection, ids, "car", [*away, at(begin, 40, 0.0, 5), at(begin, 50, 0.0, 6)], boot)
    await settle(connection)
    assert await alerts(connection) == [("enter", "open", None)]
    await connection.execute("DELETE FROM fleet.telemetry WHERE seq IN (5, 6)")
    await connection.execute("UPDATE fleet.rollup SET count = count")
    await connection.execute(
        "INSERT INTO fleet.dirty_bucket (vehicle_id, bucket) SELECT vehicle_id, bucket FROM fleet.rollup"
    )
    await settle(connection)
    assert await alerts(connection) == [("enter", "corrected", "withdrawn")]

    await fence(connection, id=number, radius_m=500.0)  # it has been inside of this one all the time
    await since_an_hour(connection)
    assert len(await visits(connection)) == 1
    await put(connection, ids, "car", [at(begin, 60, 390.0, 7)], boot)
    await settle(connection)
    assert await alerts(connection) == [("enter", "corrected", "withdrawn")]
    assert await differences(connection) == []


async def test_retention_keeps_the_beginning_of_a_visit_that_goes_on(connection: Connection) -> None:
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    await fence(connection)
    boot = new_boot()
    day = [at(HISTORY, n * 600.0, 400.0 if n == 0 else 0.0, n + 1) for n in range(12)]
    await put(connection, ids, "car", day, boot)
    await settle(connection)
    assert [row[2:4] for row in await visits(connection)] == [(600.0, None)]
    await drop(connection, HISTORY + timedelta(seconds=4000))
    assert [row[2:4] for row in await visits(connection)] == [(600.0, None)]
    await put(connection, ids, "car", [at(HISTORY, 7300, 400.0, 20)], boot)
    await settle(connection)
    assert [row[2:4] for row in await visits(connection)] == [(600.0, 7300.0)]
    assert await differences(connection) == []
    await drop(connection, HISTORY + timedelta(days=1))
    assert await visits(connection) == []


async def test_retention_takes_the_visits_before_the_one_that_goes_on(connection: Connection) -> None:
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    await fence(connection)
    day = [at(HISTORY, n * 600.0, 400.0 if n in {0, 2} else 0.0, n + 1) for n in range(12)]
    await put(connection, ids, "car", day, new_boot())
    await settle(connection)
    assert [row[2:4] for row in await visits(connection)] == [(600.0, 1200.0), (1800.0, None)]
    await drop(connection, HISTORY + timedelta(seconds=4000))
    assert [row[2:4] for row in await visits(connection)] == [(1800.0, None)]


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"id": 99}, ("unknown", None)),
        ({"vehicles": ["car", "nobody", "another"]}, ("vehicles", ["another", "nobody"])),
        ({"name": "depot"}, ("name", None)),
    ],
)
async def test_what_is_refused(
    connection: Connection, wish: dict[str, Any], problem: tuple[Any, ...]
) -> None:
    await provision(connection, "car")
    await fence(connection)
    row = await connection.fetchrow(
        "SELECT * FROM api.geofence_put($1, $2, $3::text::jsonb, 1, 1, $4, true, true, null, 'key ops')",
        wish.get("id"),
        wish.get("name", "new"),
        json.dumps(DEPOT),
        wish.get("vehicles"),
    )
    assert row is not None
    assert (row["geofence"], row["problem"], row["missing"]) == (None, *problem)


async def test_one_that_cannot_be_read_does_not_stop_the_others(connection: Connection) -> None:
    """The API refuses it; whoever writes past it harms nobody else."""
    await adopt_rules(connection, RULES)
    ids = await provision(connection, "car")
    await connection.execute(
        "INSERT INTO fleet.geofence (name, geometry, margin_m, restricted, alert_enter, alert_exit,"
        " created_by, updated_by)"
        " VALUES ('wrong', '{\"type\": \"Polygon\"}', 1, false, true, true, 'ops', 'ops')"
    )
    await fence(connection)
    await put(connection, ids, "car", round_trip(HISTORY), new_boot())
    await settle(connection)
    assert [row[1] for row in await visits(connection)] == ["depot"]
    assert not await connection.fetchval("SELECT bool_or(pending) FROM api.geofences")
