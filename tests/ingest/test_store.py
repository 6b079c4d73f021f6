"""The transaction of a batch, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.contract.ledger import from_multirange
from fleetcell.contract.messages import Event, Sample, encode, encode_msgpack
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.database import connect
from ingest.store import Stored, prepare, store
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.inbox import Arrival


def batch(*arrivals: Arrival) -> Batch:
    made = Batch()
    for one in arrivals:
        made.add(one)
    return made


async def put(connection: Connection, ids: dict[str, int], *arrivals: Arrival) -> Stored:
    return await store(connection, prepare(batch(*arrivals), ids))


async def ledger(connection: Connection) -> dict[str, Any]:
    row = await connection.fetchrow(
        "SELECT received::text, quarantined::text, dead::text, claimed, duplicates FROM fleet.ledger"
    )
    assert row is not None
    return dict(row)


async def test_readings_are_stored_once_and_acknowledged_as_often_as_they_come(
    any_connection: Connection,
) -> None:
    ids = await provision(any_connection, "car")
    boot = new_boot()
    message = arrival("car", telemetry(boot, [sample(n) for n in (1, 2, 3)]))
    first = await put(any_connection, ids, message)
    again = await put(any_connection, ids, message, message)
    assert await any_connection.fetchval("SELECT array_agg(seq ORDER BY seq) FROM fleet.telemetry") == [
        1,
        2,
        3,
    ]
    assert first.acks[0][1].seq == again.acks[0][1].seq == 3
    assert (first.readings, again.readings, again.duplicates) == (3, 0, 6)
    assert (await ledger(any_connection))["duplicates"] == 6


async def test_every_column_comes_back_as_it_was_sent(any_connection: Connection) -> None:
    ids = await provision(any_connection, "car")
    signals = {
        "lat": 60.17, "lon": 24.94, "alt": 12.5, "acc": 3.0, "speed": 50.0, "heading": 359.9, "odo": 1234.5,
        "soc": 80.0, "fuel": 0.0, "range": 300.0, "rpm": 0.0, "coolant": -20.0, "lvbat": 12.6,
        "ignition": False,
        "gear": -1, "brake": 100.0, "rsrp": -140.0, "rat": "NR \N{GREEK SMALL LETTER ALPHA}", "cell": "",
    }  # fmt: skip
    extra = {"dtc": ["P0301"], "my.key": {"deep": [1, None, "x"]}, "big": 10**30}
    boot = new_boot()
    moment = NOW_US - 1000
    payload = telemetry(boot, [Sample(1, moment // 1000, {**signals, **extra, "nothing": None})])
    await put(any_connection, ids, arrival("car", payload))
    row = await any_connection.fetchrow(
        "SELECT *, extract(epoch FROM time) * 1000 AS ms FROM fleet.telemetry"
    )
    assert row is not None
    assert {key: row[key] for key in signals} == signals
    assert json.loads(row["extra"]) == extra
    assert (row["boot"].hex, int(row["ms"]), row["quality"], row["vehicle_id"]) == (
        boot,
        moment // 1000,
        0,
        ids["car"],
    )


async def test_message_pack_is_stored_like_json(connection: Connection) -> None:
    ids = await provision(connection, "car")
    payload = encode_msgpack(
        {"boot": new_boot(), "epoch": 1, "samples": [{"seq": 1, "ts": NOW_US / 1000, "s": {"speed": 7}}]}
    )
    stored = await put(connection, ids, arrival("car", payload, Channel.TELEMETRY_MP))
    assert stored.acks[0][1].seq == 1
    assert await connection.fetchval("SELECT speed FROM fleet.telemetry") == 7


async def test_a_bad_sample_costs_only_itself(connection: Connection) -> None:
    ids = await provision(connection, "car")
    good, bad = (
        {"seq": 1, "ts": NOW_US // 1000, "s": {"speed": 1}},
        {"seq": 2, "ts": "yesterday", "s": {"speed": 2}},
    )
    worse = {"seq": 3, "ts": NOW_US // 1000, "s": "fast"}
    payload = encode(
        {"boot": new_boot(), "epoch": 1, "samples": [good, bad, worse, {"seq": 4, "ts": 1e12, "s": {}}]}
    )
    stored = await put(connection, ids, arrival("car", payload))
    assert stored.acks[0][1].seq == 4, "what is dead-lettered is settled too"
    assert (stored.readings, stored.bad) == (2, 2)
    assert from_multirange((await ledger(connection))["dead"]) == ((2, 3),)
    letters = await connection.fetch("SELECT payload, reason FROM fleet.dead_letter ORDER BY id")
    assert sorted(json.loads(letter["payload"])["seq"] for letter in letters) == [2, 3]
    assert any("yesterday" in letter["reason"] for letter in letters)


async def test_a_payload_that_is_no_message_becomes_a_dead_letter_once(connection: Connection) -> None:
    ids = await provision(connection, "car")
    one, two = arrival("car", b"\xff{"), arrival("car", b"{}")
    stored = await put(connection, ids, one, two)
    await put(connection, ids, one)
    assert len(stored.rejections) == 2
    assert not stored.acks
    rows = await connection.fetch(
        "SELECT payload, count, encode(sha256, 'hex') AS hash FROM fleet.dead_letter ORDER BY count"
    )
    assert [(row["payload"], row["count"]) for row in rows] == [(b"{}", 1), (b"\xff{", 2)]
    assert {rejected.rejected for _, rejected in stored.rejections} == {row["hash"] for row in rows}


async def test_a_value_out_of_range_is_named_and_the_rest_of_the_reading_kept(connection: Connection) -> None:
    ids = await provision(connection, "car")
    await put(
        connection, ids, arrival("car", telemetry(new_boot(), [sample(1, speed=9000, soc=50.0, rat=7)]))
    )
    row = await connection.fetchrow("SELECT speed, soc, rat, quality, extra FROM fleet.telemetry")
    assert row is not None
    assert (row["speed"], row["soc"], row["rat"], row["quality"]) == (None, 50.0, None, 2)
    refused = json.loads(row["extra"])["$refused"]
    assert len(refused) == 2
    assert any("9000" in line for line in refused)


@pytest.mark.parametrize(
    "wrong_us", [1_000_000, NOW_US + 3_600_000_000, 10**16], ids=["1970", "an hour ahead", "2286"]
)
async def test_a_wrong_clock_is_quarantined_and_never_the_latest(
    connection: Connection, wrong_us: int
) -> None:
    ids = await provision(connection, "car")
    right, wrong = sample(1, NOW_US - 1000, speed=10.0), sample(2, wrong_us, speed=99.0, lat=1.0, lon=2.0)
    stored = await put(connection, ids, arrival("car", telemetry(new_boot(), [right, wrong])))
    assert stored.acks[0][1].seq == 2
    assert not stored.positions
    row = await connection.fetchrow(
        "SELECT time = received_at AS by_arrival, quality, extra FROM fleet.telemetry WHERE seq = 2"
    )
    assert row is not None
    assert (row["by_arrival"], row["quality"]) == (True, 1)
    assert json.loads(row["extra"])["$device_time_ms"] == wrong_us / 1000
    latest = await connection.fetchrow("SELECT speed, lat FROM fleet.vehicle_latest")
    assert latest is not None
    assert (latest["speed"], latest["lat"]) == (10.0, None)
    assert from_multirange((await ledger(connection))["quarantined"]) == ((2, 2),)


async def test_latest_is_what_was_measured_last_not_what_arrived_last(connection: Connection) -> None:
    ids = await provision(connection, "car")
    boot = new_boot()
    new = sample(2, NOW_US - 1_000_000, lat=2.0, lon=2.0, speed=20.0)
    old = sample(1, NOW_US - 9_000_000, lat=1.0, lon=1.0, soc=55.0)
    first = await put(connection, ids, arrival("car", telemetry(boot, [new])))
    second = await put(connection, ids, arrival("car", telemetry(boot, [old])))
    assert [position.lat for position in first.positions] == [2.0]
    assert second.positions == []
    row = await connection.fetchrow(
        "SELECT lat, signals, position_time = time AS same FROM fleet.vehicle_latest"
    )
    assert row is not None
    assert (row["lat"], row["same"]) == (2.0, True)
    signals = json.loads(row["signals"])
    assert signals["soc"] == {"v": 55.0, "t": (NOW_US - 9_000_000) // 1000}
    assert signals["lat"]["t"] == (NOW_US - 1_000_000) // 1000


async def test_evicted_numbers_are_settled_and_explained(connection: Connection) -> None:
    ids = await provision(connection, "car")
    payload = telemetry(new_boot(), [sample(5), sample(6)], evicted=[(1, 3)])
    stored = await put(connection, ids, arrival("car", payload))
    ack = stored.acks[0][1]
    assert (ack.seq, ack.also) == (3, [(5, 6)])
    row = await connection.fetchrow("SELECT evicted::text, pending::text FROM api.delivery")
    assert row is not None
    assert (row["evicted"], row["pending"]) == ("{[1,4)}", "{[4,5)}")


async def test_events_share_the_numbers_of_readings(connection: Connection) -> None:
    ids = await provision(connection, "car")
    boot = new_boot()
    event = encode(Event(boot, 1, 2, NOW_US // 1000, "harsh_brake", {"g": 0.5}))
    stored = await put(
        connection, ids,
        arrival("car", telemetry(boot, [sample(1)])),
        arrival("car", event, Channel.EVENT),
        arrival("car", event, Channel.EVENT),
    )  # fmt: skip
    assert stored.acks[0][1].seq == 2
    assert (stored.events, stored.duplicates) == (1, 1)
    row = await connection.fetchrow("SELECT kind, data, seq FROM fleet.event")
    assert row is not None
    assert (row["kind"], json.loads(row["data"]), row["seq"]) == ("harsh_brake", {"g": 0.5}, 2)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"lat": 60.123456789, "lon": -24.9}, (60.1234568, -24.9)),
        ({"lat": 60.1}, (60.1, None)),
        ({"lat": 90.1, "lon": 180.0}, (None, 180.0)),
        ({"lat": "60.1", "lon": True}, (None, None)),
        ({"lat": None, "lon": [1]}, (None, None)),
        ({"lat": 1e300, "lon": -1e-300}, (None, 0.0)),
    ],
)
async def test_the_place_of_an_event_is_what_its_data_says(
    connection: Connection, data: dict[str, Any], place: tuple[float | None, float | None]
) -> None:
    ids = await provision(connection, "car")
    event = encode(Event(new_boot(), 1, 1, NOW_US // 1000, "dtc", data))
    await put(connection, ids, arrival("car", event, Channel.EVENT))
    row = await connection.fetchrow("SELECT lat, lon FROM api.events")
    assert row is not None
    assert (row["lat"], row["lon"]) == place


async def test_late_readings_are_counted(connection: Connection) -> None:
    ids = await provision(connection, "car")
    payload = telemetry(new_boot(), [sample(1, NOW_US - 90_000_000), sample(2)])
    await put(connection, ids, arrival("car", payload))
    assert await connection.fetchval("SELECT (late, max_late) = (1, interval '90 s') FROM fleet.ledger")


async def test_exactly_once_under_shuffled_and_repeated_delivery(
    any_connection: Connection, any_dsn: str
) -> None:
    """Two writers, each message several times, in any order, cut anew each time: each reading once."""
    rng = random.Random(20261120)
    names = [f"car-{n}" for n in range(8)]
    ids = await provision(any_connection, *names)
    boots = {name: new_boot() for name in names}
    arrivals: list[Arrival] = []
    for name in names:
        for _ in range(4):
            start = 1
            while start <= 60:
                stop = min(61, start + rng.randint(1, 12))
                arrivals.append(
                    arrival(name, telemetry(boots[name], [sample(n) for n in range(start, stop)]))
                )
                start = stop
    rng.shuffle(arrivals)

    async def writer(own: Connection, mine: list[Arrival]) -> int:
        stored = 0
        while mine:
            part = [mine.pop() for _ in range(min(len(mine), rng.randint(1, 30)))]
            stored += (await put(own, ids, *part)).readings
        return stored

    other = await connect(any_dsn)
    half = len(arrivals) // 2
    counts = await asyncio.gather(writer(any_connection, arrivals[:half]), writer(other, arrivals[half:]))
    await other.close()
    assert sum(counts) == 8 * 60
    assert await any_connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 8 * 60
    assert (
        await any_connection.fetchval("SELECT count(DISTINCT (vehicle_id, boot, seq)) FROM fleet.telemetry")
        == 8 * 60
    )
    assert await any_connection.fetchval(
        "SELECT bool_and(received = '{[1,61)}' AND claimed = 60) FROM fleet.ledger"
    )
