"""Dead letters: kept within bounds, and taken in once more when what refused them was mended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fleetcell.contract.ledger import from_multirange
from fleetcell.contract.messages import Event, Sample, Telemetry, encode, encode_msgpack
from fleetcell.contract.topics import Channel
from ingest.batch import Batch, Rejection
from ingest.dead_letters import dead_letters, distinct
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.replay import Replay, replay
from ingest.retention import DeadLetterBounds
from ingest.store import prepare, store
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry, topic

if TYPE_CHECKING:
    from ingest.database import Connection

OLD = "an older release could not read it"


async def put(connection: Connection, ids: dict[str, int], batch: Batch) -> None:
    await store(connection, prepare(batch, ids))


def refused(vehicle: str, payload: bytes, channel: Channel = Channel.TELEMETRY) -> Batch:
    """A message that an older release could not read at all."""
    return Batch([], [Rejection(topic(vehicle, channel), payload, OLD)], 1)


def condemned(vehicle: str, payload: bytes, encoded: bytes, channel: Channel = Channel.TELEMETRY) -> Batch:
    """A single sample or event of a message that was refused, as `encoded`."""
    batch = Batch()
    batch.add(arrival(vehicle, payload, channel))
    return batch.condemned(OLD, encoded)


async def replayed(connection: Connection, **options: object) -> list[Replay]:
    return [one async for one in replay(connection, **options)]  # type: ignore[arg-type]


async def letters(connection: Connection) -> int:
    count: int = await connection.fetchval("SELECT count(*) FROM fleet.dead_letter")
    return count


async def test_what_can_be_read_now_is_stored_and_settled_once(any_connection: Connection) -> None:
    connection = any_connection
    ids = await provision(connection, "car")
    boots = [new_boot() for _ in range(4)]
    one = sample(1, NOW_US - 5_000_000, speed=7.5)
    await put(connection, ids, refused("car", telemetry(boots[0], [one, sample(2)])))
    await put(connection, ids, condemned("car", telemetry(boots[1], [one]), encode(one)))
    await put(
        connection,
        ids,
        condemned(
            "car", encode_msgpack(Telemetry(boots[2], 1, [one])), encode_msgpack(one), Channel.TELEMETRY_MP
        ),
    )
    event = Event(boots[3], 1, 9, NOW_US // 1000, "dtc", {"code": "P0301"})
    stored = {"seq": 9, "ts": NOW_US // 1000, "kind": "dtc", "data": '{"code":"P0301"}'}
    await put(connection, ids, condemned("car", encode(event), encode(stored), Channel.EVENT))
    dead = "SELECT dead::text FROM fleet.ledger WHERE boot = $1"
    assert from_multirange(await connection.fetchval(dead, boots[1])) == ((1, 1),)

    tried = await replayed(connection, only_try=True)
    assert {found.why for found in tried} == {None}
    assert await letters(connection) == 4, "a trial changes nothing"
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 0
    found = await replayed(connection)
    assert found == tried, "and says what will come of it"
    assert [(one.readings, one.events, one.why) for one in found] == [
        (2, 0, None),
        (1, 0, None),
        (1, 0, None),
        (0, 1, None),
    ]
    assert await letters(connection) == 0
    assert await replayed(connection) == []
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry WHERE speed = 7.5") == 3
    assert json.loads(await connection.fetchval("SELECT data FROM fleet.event")) == {"code": "P0301"}
    for boot in boots[1:]:
        assert await connection.fetchval(dead, boot) == "{}"
    assert await connection.fetchval("SELECT count(*) FROM fleet.dirty_bucket") >= 1, "trips follow"


async def test_what_came_in_again_meanwhile_is_not_stored_twice(connection: Connection) -> None:
    ids = await provision(connection, "car")
    payload = telemetry(new_boot(), [sample(n) for n in (1, 2, 3)])
    await put(connection, ids, refused("car", payload))
    batch = Batch()
    batch.add(arrival("car", payload))
    await put(connection, ids, batch)
    (found,) = await replayed(connection)
    assert (found.readings, found.duplicates, found.why) == (0, 3, None)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 3


async def test_of_a_message_that_can_be_read_now_only_a_bad_sample_is_left(connection: Connection) -> None:
    ids = await provision(connection, "car")
    good, bad = encode(sample(1)), b'{"seq":2,"ts":"yesterday","s":{}}'
    payload = b'{"boot":"%s","epoch":1,"samples":[%s,%s]}' % (new_boot().encode(), good, bad)
    await put(connection, ids, refused("car", payload))
    whole, single = await replayed(connection)
    assert (whole.readings, whole.why) == (1, None)
    assert "yesterday" in str(single.why)
    assert await connection.fetchval("SELECT payload FROM fleet.dead_letter") == bad


async def test_what_was_written_as_json_is_read_as_json(connection: Connection) -> None:
    """The database refused it, and it had come as MessagePack."""
    ids = await provision(connection, "car")
    packed = encode_msgpack(Telemetry(new_boot(), 1, [sample(1)]))
    await put(connection, ids, condemned("car", packed, encode(sample(1)), Channel.TELEMETRY_MP))
    (found,) = await replayed(connection)
    assert (found.readings, found.why) == (1, None)


async def test_what_is_still_refused_stays_with_its_reason(connection: Connection) -> None:
    ids = await provision(connection, "car", "bus")
    boot = new_boot()
    await put(connection, ids, refused("car", b"\xff{"))
    await put(
        connection,
        ids,
        condemned("car", telemetry(boot, [sample(1)]), b'{"seq":1,"ts":"yesterday","s":{}}'),
    )
    await put(connection, ids, refused("bus", telemetry(new_boot(), [sample(1)])))
    await connection.execute("SELECT api.revoke('bus')")
    found = {one.topic.split("/")[3]: one for one in await replayed(connection)}
    assert found["bus"].why == "the vehicle is unknown, revoked or erased"
    reasons = [one.why for one in await replayed(connection, vehicle="car")]
    assert len(reasons) == 2
    assert all(reasons)
    assert "yesterday" in str(reasons[1])
    assert await letters(connection) == 3
    assert await connection.fetchval("SELECT max(count) FROM fleet.dead_letter") == 1, "not counted again"


async def test_the_same_bytes_of_two_boots_are_two_letters() -> None:
    raw = b'{"seq":1,"ts":null,"s":{}}'
    boots = [new_boot(), new_boot()]
    batch = Batch()
    for boot in boots:
        batch.add(arrival("car", b'{"boot":"%s","epoch":1,"samples":[%s]}' % (boot.encode(), raw)))
    found = dead_letters(batch)
    assert [(letter.boot, letter.payload) for letter in found] == [(boot, raw) for boot in boots]
    assert len(distinct(found)) == 2


@pytest.mark.parametrize(("days", "mebibytes", "left"), [(30, 1, 3), (2, 100, 2), (30, 100, 6)])
async def test_bounds_by_size_and_age_take_the_oldest(
    plain_dsn: str, connection: Connection, days: int, mebibytes: int, left: int
) -> None:
    ids = await provision(connection, "car")
    for age in range(6):
        await put(connection, ids, refused("car", bytes([age]) * 256 * 1024))
        await connection.execute(
            "UPDATE fleet.dead_letter SET last_at = now() - $1 * interval '1 day' WHERE id ="
            " (SELECT max(id) FROM fleet.dead_letter)",
            age,
        )
    database, metrics = Database(plain_dsn, application="test"), Metrics()
    bounds = DeadLetterBounds(database, metrics, days=days, mebibytes=mebibytes)
    assert await bounds.apply() == 6 - left
    assert await bounds.apply() == 0
    await database.close()
    kept = await connection.fetch("SELECT payload FROM fleet.dead_letter ORDER BY last_at DESC")
    assert [row["payload"][0] for row in kept] == list(range(left))
    assert metrics.registry.get_sample_value("fleetcell_ingest_dead_letters_dropped_total") == 6 - left


async def test_of_a_letter_that_is_too_large_the_beginning_is_kept_and_not_replayed(
    connection: Connection,
) -> None:
    ids = await provision(connection, "car")
    huge = encode({"boot": new_boot(), "epoch": 1, "samples": [Sample(1, 1, {"note": "x" * 300_000})]})
    await put(connection, ids, refused("car", huge))
    row = await connection.fetchrow("SELECT size, octet_length(payload) AS kept FROM fleet.dead_letter")
    assert row is not None
    assert (row["size"], row["kept"]) == (len(huge), 256 * 1024)
    assert await replayed(connection) == []
