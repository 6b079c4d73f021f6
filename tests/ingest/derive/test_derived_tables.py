"""Rollups, trips and stops in real databases, from the transaction of a batch to the rows."""

from __future__ import annotations

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.messages import Sample
from ingest.batch import Batch
from ingest.database import connect, drop_old
from ingest.derive import recompute, rows
from ingest.derive.recompute import BEGIN, derive_asked, derive_some
from ingest.derive.rules import Rules
from ingest.derive.segments import Kind
from ingest.derive.verify import Difference, verify
from ingest.store import prepare, store
from tests.ingest.derive.drives import RULES, START_US, Phase, at_once, drive, journeys
from tests.ingest.units import arrival, new_boot, provision, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.inbox import Arrival
    from tests.ingest.derive.drives import Reading

DAY = (
    Phase(600, 0, 0.0, 60),
    Phase(1200, 60, 1.0, 20),
    Phase(900, 0, 0.0, 60),
    Phase(600, 40, 1.0, 20),
    Phase(2400, 40, 1.0, 60, silent=True),
    Phase(400, 30, 1.0, 20),
)


def samples(readings: list[Reading]) -> list[Sample]:
    """As a unit sends them, in order of time."""
    found = []
    for seq, reading in enumerate(readings, start=1):
        signals = {key: value for key, value in reading._asdict().items() if not math.isnan(value)}
        found.append(
            Sample(
                seq, signals.pop("us") // 1000, signals | {"ignition": bool(signals.get("ignition", False))}
            )
        )
    return found


async def put(connection: Connection, ids: dict[str, int], *arrivals: Arrival) -> None:
    batch = Batch()
    for one in arrivals:
        batch.add(one)
    await store(connection, prepare(batch, ids))


async def drain(connection: Connection, rules: Rules = RULES) -> int:
    """Derive all that is dirty; how many buckets that were."""
    total, after = 0, BEGIN
    while await connection.fetchval("SELECT count(*) FROM fleet.dirty_bucket"):
        done = await derive_some(connection, rules, after=after, delay_s=0, limit=3)
        total += len(done)
        after = done[-1][:2] if len(done) == 3 else BEGIN
    return total


async def differences(connection: Connection) -> list[Difference]:
    return [found async for one in verify(connection) for found in one.differences]


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_arrival_gives_what_all_at_once_gives(any_connection: Connection, seed: int) -> None:
    rng = random.Random(seed)
    await rows.adopt_rules(any_connection, RULES)
    ids = await provision(any_connection, "car", "bus")
    wanted = at_once(drive(*DAY))
    messages = []
    for name in ids:
        boot, found = new_boot(), samples(drive(*DAY))
        parts = [found[start : start + 7] for start in range(0, len(found), 7)]
        messages += [arrival(name, telemetry(boot, part)) for part in parts]
    messages += rng.sample(messages, 10)
    rng.shuffle(messages)
    for start in range(0, len(messages), 20):
        await put(any_connection, ids, *messages[start : start + 20])
        if rng.random() < 0.5:
            await derive_some(any_connection, RULES, after=BEGIN, delay_s=0, limit=rng.randint(1, 8))
    await drain(any_connection)
    assert await differences(any_connection) == []
    for name, vehicle_id in ids.items():
        found_rows = await any_connection.fetch(
            "SELECT kind, (extract(epoch FROM start_at) * 1e6)::bigint AS start_us, distance_m, soc_used"
            " FROM fleet.journey WHERE vehicle_id = $1 ORDER BY start_at",
            vehicle_id,
        )
        assert [(row["kind"], row["start_us"]) for row in found_rows] == [
            ("trip" if one.kind is Kind.MOVING else "stop", one.start_us) for one in journeys(wanted)
        ], name
        assert [row["distance_m"] for row in found_rows] == pytest.approx(
            [one.distance_m for one in journeys(wanted)]
        )
    total = await any_connection.fetchrow(
        "SELECT sum(count) AS count, sum(distance_m) AS m FROM fleet.rollup"
    )
    assert total is not None
    assert total["count"] == 2 * len(drive(*DAY))
    assert total["m"] == pytest.approx(2 * sum(rollup.distance_m for rollup, _, _ in wanted.rollups.values()))


@pytest.mark.parametrize("limit", [7, 100])
async def test_who_asks_is_answered_when_nothing_of_the_vehicle_is_dirty(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Nor what follows from what was: the last bucket goes on from the one before, which came later."""
    monkeypatch.setattr(recompute, "ROUNDS", 1)
    await rows.adopt_rules(connection, RULES)
    ids = await provision(connection, "car", "bus")
    found, boots = samples(drive(*DAY)), {name: new_boot() for name in ids}
    buckets = [int(one.ts) // 600_000 for one in found]
    first_of_last = buckets.index(buckets[-1])
    for part in (found[first_of_last:], found[:first_of_last]):
        await drain(connection)
        await put(connection, ids, *(arrival(name, telemetry(boots[name], part)) for name in ids))
    dirty = "SELECT DISTINCT vehicle_id FROM fleet.dirty_bucket"
    open_ = "SELECT vehicle_id FROM api.derive_requests WHERE done < asked"
    for number in ids.values():
        assert await connection.fetchval("SELECT request FROM api.derive_now($1)", number) == 1
    turns = 0
    while waiting := {row["vehicle_id"] for row in await connection.fetch(open_)}:
        assert {row["vehicle_id"] for row in await connection.fetch(dirty)} <= waiting
        await derive_asked(connection, RULES, limit=limit)
        turns += 1
        assert turns < 20
    assert turns > 1
    assert not await connection.fetch(dirty)
    assert await differences(connection) == []


async def test_a_wrong_clock_is_left_out(connection: Connection) -> None:
    ids = await provision(connection, "car")
    good, bad = Sample(1, START_US // 1000, {"speed": 9}), Sample(2, 1000, {"speed": 400})
    await put(connection, ids, arrival("car", telemetry(new_boot(), [good, bad])))
    assert await drain(connection) == 1
    assert await connection.fetchval("SELECT array_agg(speed_max) FROM fleet.rollup") == [9.0]


async def test_a_batch_that_comes_while_its_bucket_is_derived_leaves_its_mark(plain_dsn: str) -> None:
    worker, ingest = await connect(plain_dsn), await connect(plain_dsn)
    try:
        ids = await provision(ingest, "car")
        boot, found = new_boot(), samples(drive(Phase(20, 50)))
        await put(ingest, ids, arrival("car", telemetry(boot, found[:10])))
        transaction = worker.transaction()
        await transaction.start()
        done = await rows.due(worker, BEGIN, 0, 10)
        seen = await rows.tracks(worker, [(one.vehicle_id, one.number) for one in done])
        await asyncio.wait_for(
            put(ingest, ids, arrival("car", telemetry(boot, found[10:]))), 30
        )  # not blocked
        await rows.finish(worker, done)
        await transaction.commit()
        assert [len(one) for one in seen.values()] == [10]
        assert await ingest.fetchval("SELECT marks FROM fleet.dirty_bucket") == 2
        await drain(ingest)
        assert await ingest.fetchval("SELECT sum(count) FROM fleet.rollup") == 20
    finally:
        worker.terminate()
        ingest.terminate()


async def test_the_worker_never_waits_for_a_batch(plain_dsn: str) -> None:
    worker, ingest = await connect(plain_dsn), await connect(plain_dsn)
    try:
        ids = await provision(ingest, "car")
        await put(ingest, ids, arrival("car", telemetry(new_boot(), samples(drive(Phase(20, 50))))))
        (number,) = [one.number for one in await rows.due(worker, BEGIN, 0, 10)]
        marking = ingest.transaction()
        await marking.start()
        await rows.mark(ingest, [(ids["car"], number)])
        await asyncio.wait_for(derive_some(worker, RULES, after=BEGIN, delay_s=0, limit=10), 60)
        await marking.commit()
        assert await ingest.fetchval("SELECT marks FROM fleet.dirty_bucket") == 2
    finally:
        worker.terminate()
        ingest.terminate()


async def test_other_rules_derive_everything_anew(connection: Connection) -> None:
    ids = await provision(connection, "car")
    assert not await rows.adopt_rules(connection, RULES)
    await put(connection, ids, arrival("car", telemetry(new_boot(), samples(drive(*DAY)))))
    buckets = await drain(connection)
    trips = "SELECT count(*) FROM fleet.journey WHERE kind = 'trip'"
    assert await connection.fetchval(trips) == 3
    patient = Rules(stop_s=7200, parked_s=7200, gap_s=7200)
    assert await rows.adopt_rules(connection, patient)
    assert not await rows.adopt_rules(connection, patient)
    assert await drain(connection, patient) >= buckets
    assert await connection.fetchval(trips) == 1
    assert await differences(connection) == []


async def test_verify_finds_what_is_wrong(connection: Connection) -> None:
    ids = await provision(connection, "car", "bus")
    await rows.adopt_rules(connection, RULES)
    for name in ids:
        await put(connection, ids, arrival(name, telemetry(new_boot(), samples(drive(*DAY)))))
    await drain(connection)
    assert await differences(connection) == []
    await connection.execute(
        "UPDATE fleet.rollup SET distance_m = distance_m + 1 WHERE vehicle_id = $1 AND bucket ="
        " (SELECT max(bucket) FROM fleet.rollup)",
        ids["car"],
    )
    await connection.execute("DELETE FROM fleet.journey WHERE vehicle_id = $1 AND kind = 'stop'", ids["bus"])
    found = await differences(connection)
    assert {(one.vehicle, one.what) for one in found} == {("car", "rollup"), ("bus", "stop")}
    last = max(reading.us for reading in drive(*DAY))
    newest = datetime.fromtimestamp(last / 1e6, UTC)
    recent = [found async for one in verify(connection, since=newest) for found in one.differences]
    assert {(one.vehicle, one.what) for one in recent} == {("car", "rollup")}
    only_bus = [one async for one in verify(connection, vehicles=["bus"])]
    assert [one.vehicle for one in only_bus] == ["bus"]
    await rows.mark(connection, [(ids["car"], number) for number in range(2_938_000, 2_940_000)])
    assert {one.vehicle for one in await differences(connection)} == {"bus"}, "what is dirty is not wrong"


async def test_what_is_derived_goes_with_the_readings(any_connection: Connection) -> None:
    ids = await provision(any_connection, "car")
    await rows.adopt_rules(any_connection, RULES)
    trips = drive(*DAY[:-1], Phase(48 * 3600, 0, 0.0, 600), *DAY)
    await put(any_connection, ids, arrival("car", telemetry(new_boot(), samples(trips))))
    await drain(any_connection)
    newest = datetime.fromtimestamp(trips[-1].us / 1e6, UTC)
    await drop_old(any_connection, datetime.now(UTC) - newest + timedelta(hours=2))
    oldest = await any_connection.fetchrow(
        "SELECT (SELECT min(bucket) FROM fleet.rollup) AS rollup,"
        " (SELECT min(bucket) FROM fleet.journey) AS journey"
    )
    assert oldest is not None
    assert newest - timedelta(hours=2, minutes=20) < oldest["rollup"] < newest
    assert oldest["rollup"] <= oldest["journey"] < newest
    assert await differences(any_connection) == []
