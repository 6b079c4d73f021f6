"""What happens to units in the field, in a real database: each number has one fate, all of it is told."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.contract import ledger
from fleetcell.contract.messages import Event, Sample, Telemetry, encode, encode_msgpack
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.clock import ROLLOVER_US
from ingest.database import connect, statement
from ingest.identities import IdentityWatch
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.repeats import REASON
from ingest.replay import replay
from ingest.store import Stored, prepare, store
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.inbox import Arrival

SECOND = 1_000_000
HOUR = 3600 * SECOND


async def put(connection: Connection, ids: dict[str, int], *arrivals: Arrival) -> Stored:
    batch = Batch()
    for one in arrivals:
        batch.add(one)
    return await store(connection, prepare(batch, ids))


async def row(connection: Connection) -> dict[str, Any]:
    found = await connection.fetchrow("SELECT * FROM api.delivery")
    assert found is not None
    return dict(found)


async def numbers(connection: Connection, column: str) -> ledger.Ranges:
    return ledger.from_multirange(await connection.fetchval(f"SELECT {column}::text FROM api.delivery"))


def drive(start: int, stop: int, *, speed: float = 50.0, since_us: int = NOW_US - HOUR) -> list[Sample]:
    return [
        sample(n, since_us + n * SECOND, speed=speed, lat=60.0 + n / 1e5, lon=24.0)
        for n in range(start, stop)
    ]


async def test_a_spool_that_begins_again_in_its_boot_is_noticed_and_kept(any_connection: Connection) -> None:
    connection, boot = any_connection, new_boot()
    ids = await provision(connection, "car")
    first = arrival("car", telemetry(boot, drive(1, 6)))
    again = arrival("car", telemetry(boot, drive(1, 8, since_us=NOW_US - HOUR // 2)))
    await put(connection, ids, first)
    repeated = await put(connection, ids, first, first)
    assert (repeated.duplicates, repeated.conflicts) == (10, 0), "the same readings again are no conflict"
    stored = await put(connection, ids, again)
    assert (stored.readings, stored.duplicates, stored.conflicts) == (2, 5, 5)
    assert stored.acks[0][1].seq == 7, "the unit need not keep them: they are dead letters"
    letters = await connection.fetch("SELECT payload, reason, boot FROM fleet.dead_letter ORDER BY id")
    assert sorted(json.loads(letter["payload"])["seq"] for letter in letters) == [1, 2, 3, 4, 5]
    assert {(letter["reason"], letter["boot"].hex) for letter in letters} == {(REASON, boot)}
    found = await row(connection)
    assert (found["conflicts"], found["duplicates"], found["conflict_at"] is None) == (5, 15, False)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 7
    for only_try in (True, False):
        assert {one.why async for one in replay(connection, only_try=only_try)} == {REASON}
    assert await connection.fetchval("SELECT (count(*), max(count)) = (5, 1) FROM fleet.dead_letter")


async def test_the_same_time_with_other_values_is_another_reading(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    await put(connection, ids, arrival("car", telemetry(boot, drive(1, 3))))
    stored = await put(connection, ids, arrival("car", telemetry(boot, drive(1, 3, speed=51.0))))
    assert stored.conflicts == 2
    assert await connection.fetchval(statement("shared_identities")) == 1, "may be two units"


async def test_what_is_older_than_a_day_is_not_compared(connection: Connection) -> None:
    """The retention may have removed the first one."""
    ids, boot, old_us = await provision(connection, "car"), new_boot(), NOW_US - 25 * HOUR
    event = Event(boot, 1, 9, old_us // 1000, "dtc", {"code": "P0301"})
    readings = arrival("car", telemetry(boot, drive(1, 3, since_us=old_us)))
    for what in (readings, arrival("car", encode(event), Channel.EVENT)):
        await put(connection, ids, what)
        await connection.execute("DELETE FROM fleet.telemetry")
        await connection.execute("DELETE FROM fleet.event")
        again = await put(connection, ids, what)
        assert (again.conflicts, again.readings, again.events) == (0, 0, 0)
        assert again.duplicates


async def test_two_readings_of_one_number_in_one_transaction(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    one, other = telemetry(boot, drive(1, 3)), telemetry(boot, drive(2, 4, since_us=NOW_US - 100 * SECOND))
    stored = await put(connection, ids, arrival("car", one), arrival("car", other), arrival("car", one))
    assert (stored.readings, stored.duplicates, stored.conflicts) == (3, 3, 1)


async def test_an_event_under_the_number_of_another_event_is_noticed(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    event = encode(Event(boot, 1, 1, NOW_US // 1000, "dtc", {"code": "P0301"}))
    other = encode(Event(boot, 1, 1, NOW_US // 1000 - 5000, "dtc", {"code": "P0302"}))
    await put(connection, ids, arrival("car", event, Channel.EVENT))
    again = await put(connection, ids, arrival("car", event, Channel.EVENT))
    stored = await put(connection, ids, arrival("car", other, Channel.EVENT))
    assert (again.duplicates, again.conflicts, stored.conflicts) == (1, 0, 1)
    letter = json.loads(await connection.fetchval("SELECT payload FROM fleet.dead_letter"))
    assert json.loads(letter["data"]) == {"code": "P0302"}


async def test_wrong_clocks_sent_again_are_no_conflict(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    wrong = [sample(1, 5 * SECOND), sample(2, NOW_US + HOUR), sample(3, NOW_US - ROLLOVER_US)]
    payload = telemetry(boot, wrong)
    first = await put(connection, ids, arrival("car", payload))
    later = await put(connection, ids, arrival("car", payload, received_us=NOW_US + 2 * HOUR))
    assert (first.quarantined, first.corrected) == (2, 1)
    assert (later.duplicates, later.conflicts) == (3, 0)


@pytest.mark.parametrize("shared", [True, False], ids=["two units", "one that restarted"])
async def test_two_units_with_one_identity_are_told_from_one_that_restarted(
    plain_dsn: str, connection: Connection, shared: bool
) -> None:
    """Each takes the session of the other in turn; one unit sends the rest of its old boot in between."""
    ids, boots = await provision(connection, "car"), (new_boot(), new_boot())
    for turn in range(6):
        for which, boot in enumerate(boots):
            at = NOW_US - HOUR + turn * 20 * SECOND
            begins = at if shared or which else at - 200 * SECOND
            readings = [sample(turn * 20 + n, begins + n * SECOND) for n in range(1, 21)]
            await put(
                connection, ids, arrival("car", telemetry(boot, readings), received_us=at + 20 * SECOND)
            )
    pairs = await connection.fetch("SELECT boot, other_boot FROM api.shared_identities")
    assert [{pair["boot"].hex, pair["other_boot"].hex} for pair in pairs] == ([set(boots)] if shared else [])
    database, metrics = Database(plain_dsn, application="test"), Metrics()
    assert await IdentityWatch(database, metrics).look() == int(shared)
    await database.close()
    assert metrics.registry.get_sample_value("fleetcell_ingest_shared_identities") == int(shared)


async def test_a_number_that_jumps_leaves_a_gap_that_is_told(connection: Connection) -> None:
    ids = await provision(connection, "car")
    payload = telemetry(new_boot(), [sample(1), sample(ledger.MAX_SEQ), sample(2)])
    stored = await put(connection, ids, arrival("car", payload))
    assert stored.acks[0][1].seq == 2
    assert stored.acks[0][1].also == [(ledger.MAX_SEQ, ledger.MAX_SEQ)]
    assert await numbers(connection, "pending") == ((3, ledger.MAX_SEQ - 1),)


@pytest.mark.parametrize("size", [1, 10_000])
async def test_the_smallest_and_the_largest_message(connection: Connection, size: int) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    samples = [Sample(n, (NOW_US - HOUR) // 1000 + n, {"speed": n % 200}) for n in range(1, size + 1)]
    payload = encode_msgpack(Telemetry(boot, 1, samples))
    one = arrival("car", payload, Channel.TELEMETRY_MP)
    assert (await put(connection, ids, one)).readings == size
    assert (await put(connection, ids, one)).conflicts == 0
    assert await numbers(connection, "received") == ((1, size),)


async def test_one_bad_sample_of_a_thousand_costs_only_itself(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    samples: list[Any] = [{"seq": n, "ts": NOW_US // 1000 - n, "s": {"speed": 1}} for n in range(1, 1001)]
    samples[499] = {"seq": 500, "ts": NOW_US // 1000, "s": {"speed": 1}, "up": "long"}
    stored = await put(
        connection, ids, arrival("car", encode({"boot": boot, "epoch": 1, "samples": samples}))
    )
    assert (stored.readings, stored.bad, stored.acks[0][1].seq) == (999, 1, 1000)
    assert await numbers(connection, "received") == ((1, 499), (501, 1000))
    assert await numbers(connection, "dead_lettered") == ((500, 500),)


async def test_a_wrong_clock_is_corrected_by_the_uptime_of_the_unit(any_connection: Connection) -> None:
    """Both times are kept; the corrected one counts for the latest value, rollups and trips."""
    connection, boot = any_connection, new_boot()
    ids = await provision(connection, "car")
    samples = [Sample(n, 1000 * n, {"speed": float(n)}, 60_000 + 1000 * n) for n in range(1, 4)]  # 1970
    payload = encode(Telemetry(boot, 1, samples, sent=70_000))
    stored = await put(connection, ids, arrival("car", payload))
    assert (stored.corrected, stored.quarantined) == (3, 0)
    origin = NOW_US - 70 * SECOND
    found = await connection.fetch(
        "SELECT (extract(epoch FROM time) * 1e6)::bigint AS us, quality, extra"
        " FROM fleet.telemetry ORDER BY seq"
    )
    assert [one["us"] for one in found] == [origin + (60 + n) * SECOND for n in (1, 2, 3)]
    assert [(one["quality"], json.loads(one["extra"])["$device_time_ms"]) for one in found] == [
        (4, 1000.0 * n) for n in (1, 2, 3)
    ]
    latest = await connection.fetchrow(
        "SELECT speed, (extract(epoch FROM time) * 1e6)::bigint AS us FROM fleet.vehicle_latest"
    )
    assert latest is not None
    assert (latest["speed"], latest["us"]) == (3.0, origin + 63 * SECOND)
    assert await connection.fetchval("SELECT count(*) > 0 FROM fleet.dirty_bucket"), "rollups have them"
    rest = encode(
        Telemetry(boot, 2, [Sample(4, 4000, {"speed": 4.0}, 64_000)])
    )  # from the next boot on: no `sent`
    await put(connection, ids, arrival("car", rest, received_us=NOW_US + HOUR))
    assert await numbers(connection, "corrected") == ((1, 4),)
    assert await numbers(connection, "quarantined") == ()
    assert await connection.fetchval("SELECT max(time) FROM fleet.telemetry WHERE seq = 4") == (
        await connection.fetchval("SELECT to_timestamp($1::float8)", (origin + 64 * SECOND) / 1e6)
    )


async def test_no_clock_makes_a_chunk_of_its_own(timescale_dsn: str) -> None:
    connection = await connect(timescale_dsn)
    ids = await provision(connection, "car")
    clocks = [
        0,
        315_964_800 * SECOND,
        NOW_US - ROLLOVER_US,
        NOW_US - 2 * ROLLOVER_US,
        NOW_US + 400 * 24 * HOUR,
    ]
    corrected = [Sample(n, us // 1000, {}, 1000 * n) for n, us in enumerate(clocks, start=1)]
    plain = [Sample(n, us // 1000, {}) for n, us in enumerate(clocks, start=1)]
    await put(
        connection, ids,
        arrival("car", encode(Telemetry(new_boot(), 1, corrected, sent=20_000))),
        arrival("car", encode(Telemetry(new_boot(), 1, plain))),
    )  # fmt: skip
    spread = (
        "SELECT max(range_end) - min(range_start) <= interval '2 days' FROM timescaledb_information.chunks"
    )
    assert await connection.fetchval(spread)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 2 * len(clocks)
    connection.terminate()


async def test_how_late_readings_are_is_counted(connection: Connection) -> None:
    ids, boot = await provision(connection, "car"), new_boot()
    lateness = [0, 1, 5, 30, 300, 2000, 10_000, 50_000, 400_000, 900_000]
    samples = [sample(n, NOW_US - late * SECOND) for n, late in enumerate(lateness, start=1)]
    await put(connection, ids, arrival("car", telemetry(boot, samples[:6])))
    await put(connection, ids, arrival("car", telemetry(boot, samples)))
    found = await row(connection)
    assert found["lateness"] == [2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert (found["late"], found["max_late"].total_seconds()) == (6, 900_000)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_number_has_the_fate_that_it_had(any_connection: Connection, seed: int) -> None:
    """Several boots, lost and repeated messages, wrong clocks, bad samples, a full spool, a reset."""
    rng = random.Random(seed)
    connection, ids = any_connection, await provision(any_connection, "car")
    received: dict[str, set[int]] = {}
    dead: dict[str, set[int]] = {}
    evicted: dict[str, set[int]] = {}
    conflicts = 0
    messages: list[tuple[str, bytes, set[int], set[int], set[int]]] = []
    for _ in range(3):
        boot, seq = new_boot(), 1
        while seq < 120:
            numbered = range(seq, seq := seq + rng.randint(1, 15))
            samples: list[Any] = []
            bad, gone = set(), set()
            for n in numbered:
                match rng.randrange(20):
                    case 0:
                        bad.add(n)
                        samples.append({"seq": n, "ts": "never", "s": {}})
                    case 1:
                        gone.add(n)
                    case 2:
                        samples.append(sample(n, rng.choice([0, NOW_US + 24 * HOUR]), speed=1.0))
                    case _:
                        samples.append(sample(n, NOW_US - HOUR + n * SECOND, speed=float(n)))
            payload = encode(
                {"boot": boot, "epoch": 1, "samples": samples, "evicted": [[n, n] for n in gone]}
            )
            messages.append((boot, payload, set(numbered) - bad - gone, bad, gone))
    delivered = [one for one in messages if rng.random() < 0.9] + rng.sample(messages, 10)
    rng.shuffle(delivered)
    while delivered:
        size = rng.randint(1, 6)
        part, delivered = delivered[:size], delivered[size:]
        stored = await put(connection, ids, *(arrival("car", payload) for _, payload, *_ in part))
        conflicts += stored.conflicts
        for boot, _, new, bad, gone in part:
            received.setdefault(boot, set()).update(new)
            dead.setdefault(boot, set()).update(bad)
            evicted.setdefault(boot, set()).update(gone)
    assert conflicts == 0
    for found in await connection.fetch(
        "SELECT boot, received::text, dead_lettered::text, evicted::text FROM api.delivery"
    ):
        boot = found["boot"].hex
        assert set(ledger.numbers(ledger.from_multirange(found["received"]))) == received[boot]
        assert set(ledger.numbers(ledger.from_multirange(found["dead_lettered"]))) == dead[boot]
        assert set(ledger.numbers(ledger.from_multirange(found["evicted"]))) == evicted[boot]
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == sum(
        map(len, received.values())
    )
    boot = next(boot for boot, got in received.items() if got)
    others = [sample(n, NOW_US - n * 7, speed=200.0) for n in sorted(received[boot])[:5]]
    clocks = await connection.fetchval(
        "SELECT count(*) FROM fleet.telemetry WHERE boot = $1 AND seq = ANY ($2) AND quality & 1 = 1",
        boot, [one.seq for one in others],
    )  # fmt: skip
    reset = await put(connection, ids, arrival("car", telemetry(boot, others)))
    assert reset.conflicts == len(others) - clocks
