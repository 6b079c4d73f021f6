"""Runs, which the database adds to the ledger by itself, against `settle`, which looks at every reading."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetcell.contract.ledger import EMPTY, from_multirange, intersect, union
from fleetcell.contract.messages import Event, Sample, Telemetry, encode
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.clock import MOST_UP_MS, OLDEST_US
from ingest.decode import BadSample, StoredEvent, Upload
from ingest.errors import ErasedError
from ingest.ledgers import Opened
from ingest.quality import FUTURE_US
from ingest.runs import runs
from ingest.settle import LedgerRow, settle
from ingest.store import prepare, store
from tests.ingest.units import NOW_US, arrival, new_boot, provision, sample, telemetry, topic

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.inbox import Arrival
    from ingest.runs import Runs

BOOT = "0" * 32
BEGAN_US = NOW_US - 3_600_000_000  # when the boot began
offsets_us = st.sampled_from([0, 0, 0, 0, 1000, -FUTURE_US, FUTURE_US, FUTURE_US + 1000, -OLDEST_US, -NOW_US])
events = st.sampled_from([[], [], [], [StoredEvent(1, NOW_US, "dtc", b"{}")]])
bad = st.sampled_from([[], [], [], [BadSample(2, b"{}", "bad")]])
evicted = st.sampled_from([EMPTY, EMPTY, EMPTY, ((1, 2),)])


@st.composite
def uploads(draw: st.DrawFn) -> list[Upload]:
    """Messages of one boot; mostly their numbers rise and their clocks agree."""
    made, seq = [], draw(st.integers(1, 6))
    for _ in range(draw(st.integers(1, 4))):
        seqs: list[int] = []
        for step in draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 0, -1]), max_size=4)):
            seqs.append(seq)
            seq = max(1, seq + step)
        ups = [draw(st.sampled_from([n * 1000, n * 1000, None])) for n in seqs]
        times = [BEGAN_US + n * 1_000_000 + draw(offsets_us) for n in seqs]
        sent = draw(st.sampled_from([None, seq * 1000, seq * 1000, MOST_UP_MS + 1]))
        received = BEGAN_US + seq * 1_000_000 + draw(st.sampled_from([50_000, 2_000_000, 700_000_000]))
        signals: list[dict[str, Any]] = [{} for _ in seqs]
        rest = draw(events), draw(bad), draw(evicted)
        made.append(Upload(topic("car"), BOOT, 1, received, seqs, times, signals, *rest, ups, sent))
    return made


rows = st.builds(
    LedgerRow,
    received=st.sampled_from([EMPTY, ((1, 3),), ((2, 4), (9, 9))]),
    evicted=st.sampled_from([EMPTY, EMPTY, ((5, 5),)]),
    dead=st.sampled_from([EMPTY, EMPTY, ((6, 6),)]),
    origin_us=st.sampled_from([None, BEGAN_US, BEGAN_US + FUTURE_US, BEGAN_US - FUTURE_US - 1000]),
)


def extends(found: Runs, held: LedgerRow) -> bool:
    """Whether the database would add it: the conditions of extend_ledgers.sql."""
    if found.numbers[0] is None:
        return False
    numbers = from_multirange(found.numbers[0])
    taken = union(union(held.received, held.dead), held.evicted)
    low, high = found.low_us[0], found.high_us[0]
    agrees = held.origin_us is None or low is None or low <= held.origin_us <= high
    return agrees and not intersect(numbers, taken)


@given(uploads(), rows)
def test_what_the_database_adds_by_itself_is_what_settling_would_find(
    given_uploads: list[Upload], held: LedgerRow
) -> None:
    found = runs([given_uploads])
    if not extends(found, held):
        return
    outcome = settle(held, given_uploads)
    numbers = from_multirange(found.numbers[0])
    origins = [origin for origin in (held.origin_us, found.own_us[0]) if origin is not None]
    assert outcome.row == LedgerRow(
        union(held.received, numbers), held.evicted, EMPTY, held.dead, EMPTY, min(origins, default=None)
    )
    assert outcome.duplicates == 0
    assert all(fresh.positions is None for fresh in outcome.fresh), "every reading is new"
    assert all(fresh.dated.times_us == fresh.upload.times_us for fresh in outcome.fresh), "at its own time"
    assert found.last[0] == numbers[-1][1]
    assert json.loads("[" + found.lateness[0][1:-1] + "]") == outcome.lateness
    assert found.max_late_us[0] == outcome.max_late_us
    assert (found.from_us[0], found.until_us[0]) == outcome.measured_us
    arrivals = [upload.received_us for upload in given_uploads]
    assert (found.first_us[0], found.last_us[0]) == (min(arrivals), max(arrivals))


@given(st.lists(uploads(), max_size=4))
@example([])
def test_each_boot_is_judged_as_if_it_were_alone(groups: list[list[Upload]]) -> None:
    together = runs(groups)
    for place, group in enumerate(groups):
        alone = runs([group])
        assert together.numbers[place] == alone.numbers[0]
        if together.numbers[place] is not None:
            assert together.lateness[place] == alone.lateness[0]
            assert (together.low_us[place], together.high_us[place]) == (alone.low_us[0], alone.high_us[0])


def test_a_common_message_is_a_run() -> None:
    message = telemetry(BOOT, [sample(1), sample(2)])
    batch = Batch()
    batch.add(arrival("car", message))
    assert runs([batch.uploads]).numbers == ["{[1,3)}"]


def messages(car: str, boot: str) -> list[list[Arrival]]:
    """Batches as they may come, and a unit whose uptime is known."""

    def told(numbers: range, *, late_s: float = 0.05, off_s: float = 0.0, **signals: Any) -> Arrival:
        sent = numbers[-1] * 1000
        samples = [
            Sample(
                n,
                round(BEGAN_US / 1000 + n * 1000 + off_s * 1000),
                signals or {"speed": n, "lat": 60, "lon": 25},
                n * 1000,
            )
            for n in numbers
        ]
        payload = encode(Telemetry(boot, 1, samples, sent=sent))
        return arrival(car, payload, received_us=BEGAN_US + sent * 1000 + round(late_s * 1e6))

    event = Event(boot, 1, 41, BEGAN_US // 1000 + 41_000, "dtc", {}, up=41_000)
    return [
        [told(range(1, 5))],
        [told(range(5, 7)), told(range(7, 8)), told(range(10, 13))],  # a gap
        [told(range(10, 14))],  # some of it again
        [told(range(8, 10), late_s=90)],  # the gap, late
        [told(range(14, 16), off_s=400)],  # a clock that is wrong
        [told(range(16, 18), late_s=20, soc=50.0)],  # another signal
        [arrival(car, telemetry(boot, [], evicted=[(20, 25)])), told(range(26, 28), late_s=700)],
        [told(range(22, 24))],  # given up before
        [told(range(30, 41)), arrival(car, encode(event), Channel.EVENT)],
        [told(range(42, 44), speed=1.0), told(range(44, 45), speed=2.0)],
    ]


async def test_the_database_keeps_the_same_with_and_without_runs(any_connection: Connection) -> None:
    ids = await provision(any_connection, "with", "without")
    boots = {name: new_boot() for name in ids}
    answers: dict[str, list[Any]] = {}
    extended = 0
    for name in ids:
        for group in messages(name, boots[name]):
            batch = Batch()
            for one in group:
                batch.add(one)
            prepared = prepare(batch, ids)
            if name == "without":
                nothing = replace(prepared.runs, numbers=[None])
                prepared = replace(prepared, runs=nothing, rows=prepared.rows_of([]))
            else:
                extended += prepared.runs.numbers[0] is not None
            stored = await store(any_connection, prepared)
            acks = [(ack.seq, ack.also) for _, ack in stored.acks]
            places = [(one.time_ms, one.lat, one.speed) for one in stored.positions]
            answers.setdefault(name, []).append((acks, stored.readings, stored.duplicates, places))
    assert extended == 7
    assert answers["with"] == answers["without"]
    for table, left_out, key in (
        ("ledger", ["vehicle_id", "boot", "last_at"], "boot"),  # last_at begins with now()
        ("vehicle_latest", ["vehicle_id", "received_at"], "vehicle_id"),
        ("telemetry", ["vehicle_id", "boot"], "seq"),
        ("dirty_bucket", ["vehicle_id", "since"], "bucket"),
    ):
        rows_of = (
            f"SELECT to_jsonb(t) - $2::text[] FROM fleet.{table} AS t WHERE vehicle_id = $1 ORDER BY {key}"
        )
        kept, other = [await any_connection.fetch(rows_of, ids[name], left_out) for name in ids]
        assert kept == other
        assert kept


async def test_a_run_goes_in_without_being_looked_at(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        raise AssertionError("settled")

    ids = await provision(connection, "car")
    boot = new_boot()
    batches = []
    for numbers in (range(1, 4), range(6, 8), range(4, 6)):
        batches.append(Batch())
        batches[-1].add(arrival("car", telemetry(boot, [sample(n) for n in numbers])))
    monkeypatch.setattr("ingest.store.settle", look)
    acks = [(await store(connection, prepare(batch, ids))).acks[0][1] for batch in batches]
    assert [(ack.seq, ack.also) for ack in acks] == [(3, None), (3, [(6, 7)]), (7, None)]
    with pytest.raises(AssertionError, match="settled"):
        await store(connection, prepare(batches[0], ids))


async def test_rows_that_are_known_and_gone_are_made_again(connection: Connection) -> None:
    ids = await provision(connection, "car")
    boot, opened = new_boot(), Opened()
    first, second = Batch(), Batch()
    first.add(arrival("car", telemetry(boot, [sample(1)])))
    second.add(arrival("car", telemetry(boot, [sample(2)])))
    await store(connection, prepare(first, ids), opened)
    assert (opened.boots, opened.latest) == ({ids["car"]: boot}, set(ids.values()))
    for table in ("ledger", "vehicle_latest"):
        await connection.execute(f"DELETE FROM fleet.{table}")
        with pytest.raises(ErasedError):
            await store(connection, prepare(second, ids), opened)
        assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == 1, "nothing of it"
    opened.forget()
    assert (await store(connection, prepare(second, ids), opened)).readings == 1
