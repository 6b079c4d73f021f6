"""One transaction stores one batch: ledger, readings, latest, dirty marks, events, dead letters.

The order of locks, here and wherever these tables are written: ledger, latest, dirty buckets, registration;
vehicles in id order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from fleetcell.contract.ledger import from_multirange, to_multirange
from fleetcell.contract.messages import MAX_PAYLOAD, Ack, Position, Rejected
from ingest import latest
from ingest.database import statement
from ingest.dead_letters import dead_letters, distinct
from ingest.derive.marks import Marks, touched
from ingest.errors import ErasedError
from ingest.readings import COPY_COLUMNS, Readings, gather
from ingest.repeats import Key, conflicts
from ingest.settle import Fresh, LedgerRow, Settlement, ack, dated, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable

    from fleetcell.contract.topics import VehicleTopic
    from ingest.batch import Batch
    from ingest.database import Connection
    from ingest.dead_letters import DeadLetter
    from ingest.decode import Upload

T = TypeVar("T")

CHUNK = 256 * 1024  # bytes handed to the COPY stream at once


@dataclass(slots=True)
class Stored:
    """What was committed: the answers that the units are owed, and the positions that became the latest."""

    readings: int = 0
    events: int = 0
    duplicates: int = 0
    bad: int = 0
    rejected: int = 0
    quarantined: int = 0
    corrected: int = 0
    conflicts: int = 0
    refused_values: int = 0
    acks: list[tuple[VehicleTopic, Ack]] = field(default_factory=list)
    rejections: list[tuple[VehicleTopic, Rejected]] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings ready to go in: checked, encoded, the newest of each signal by vehicle id, what gets dirty."""

    readings: Readings
    copy: bytes
    newest: dict[int, latest.Signals]
    dirty: Marks

    @classmethod
    def of(cls, fresh: Iterable[tuple[int, Fresh]]) -> Rows:
        """Of uploads, each with its vehicle id."""
        return finish(cls.steps(fresh))

    @classmethod
    def steps(cls, fresh: Iterable[tuple[int, Fresh]]) -> Generator[None, None, Rows]:
        """The same in steps of a few milliseconds."""
        readings = gather(fresh)
        yield
        copy = readings.copy_bytes()
        yield
        dirty = touched(readings.vehicle_ids, readings.times_us, readings.quarantined)
        return cls(readings, copy, latest.newest(readings), dirty)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch by (vehicle id, boot), in the order of the locks, and its rows if each reading in it is new."""

    batch: Batch
    names: dict[int, str]
    groups: dict[Key, list[Upload]]
    rows: Rows


def prepare(batch: Batch, ids: dict[str, int]) -> Prepared:
    """Do before the transaction what need not be done in it.

    Args:
        batch: of vehicles in `ids` only.
        ids: vehicle ids by name.
    """
    return finish(preparing(batch, ids))


def preparing(batch: Batch, ids: dict[str, int]) -> Generator[None, None, Prepared]:
    """The same in steps of a few milliseconds: the batch before goes on between them."""
    groups = dict(
        sorted(((ids[vehicle], boot), uploads) for (vehicle, boot), uploads in batch.by_boot().items())
    )
    fresh = [
        (key[0], Fresh(upload, None, dated(upload)))
        for key, uploads in groups.items()
        for upload in uploads
        if upload.seqs
    ]
    yield
    rows = yield from Rows.steps(fresh)
    return Prepared(batch, {ids[name]: name for name in batch.names()}, groups, rows)


def finish(steps: Generator[None, None, T]) -> T:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


async def store(connection: Connection, prepared: Prepared) -> Stored:
    """Store the batch and COMMIT.

    Nothing is stored twice, however often the same numbers come: the ledger knows them. So an unknown outcome
    of COMMIT needs no care here, the units send again.

    Args:
        connection: outside of a transaction.
        prepared: the batch.

    Raises:
        ErasedError: one of the vehicles is erased; nothing was stored.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was stored, or after a
            lost connection perhaps all of it.
    """
    async with connection.transaction():
        held = await _lock_ledgers(connection, list(prepared.groups))
        settlements = {key: settle(held[key], uploads) for key, uploads in prepared.groups.items()}
        rows = _new_rows(prepared, settlements)
        await _copy(connection, rows)
        positions = await _write_latest(connection, rows.newest)
        if rows.dirty[0]:
            await connection.execute(statement("mark_dirty"), *rows.dirty)
        await _add_events(connection, settlements)
        others: Counter[Key] = Counter()
        letters = await conflicts(connection, settlements, others)
        await _add_dead_letters(connection, distinct([*dead_letters(prepared.batch), *letters]))
        await _write_ledgers(connection, prepared.groups, settlements, others)
    return _stored(prepared, settlements, rows.readings, positions, others.total())


def _new_rows(prepared: Prepared, settlements: dict[Key, Settlement]) -> Rows:
    """The rows that the ledger did not have: mostly all of them, and then nothing has to be made anew."""
    if not any(outcome.duplicates or outcome.redated for outcome in settlements.values()):
        return prepared.rows
    return Rows.of((key[0], fresh) for key, outcome in settlements.items() for fresh in outcome.fresh)


def _stored(
    prepared: Prepared,
    settlements: dict[Key, Settlement],
    readings: Readings,
    positions: dict[int, latest.Position],
    others: int,
) -> Stored:
    batch = prepared.batch
    return Stored(
        readings=len(readings),
        events=sum(len(outcome.events) for outcome in settlements.values()),
        duplicates=sum(outcome.duplicates for outcome in settlements.values()),
        bad=sum(len(upload.bad) for upload in batch.uploads),
        rejected=len(batch.rejections),
        quarantined=int(readings.quarantined.sum()),
        corrected=len(readings.device_us) - int(readings.quarantined.sum()),
        conflicts=others,
        refused_values=sum(len(problems) for problems in readings.signals.problems.values()),
        acks=[
            (uploads[-1].topic, ack(boot, settlements[vehicle_id, boot].row, uploads))
            for (vehicle_id, boot), uploads in prepared.groups.items()
        ],
        rejections=[(r.topic, Rejected(r.sha256.hex(), r.reason)) for r in batch.rejections],
        positions=[
            Position(prepared.names[vehicle_id], p.time_ms, p.lat, p.lon, p.heading, p.speed)
            for vehicle_id, p in positions.items()
        ],
    )


async def _lock_ledgers(connection: Connection, keys: list[Key]) -> dict[Key, LedgerRow]:
    if not keys:
        return {}
    vehicle_ids, boots = (
        [key[0] for key in keys],
        [key[1] for key in keys],
    )  # asyncpg reads hex digits as a uuid
    # First all that is missing, then the locks: the other way round two workers could wait for each other.
    await connection.execute(statement("open_ledgers"), vehicle_ids, boots)
    rows = await connection.fetch(statement("lock_ledgers"), vehicle_ids, boots)
    if len(rows) < len(keys):  # a trigger took new ones out again
        raise ErasedError("a vehicle of this batch was erased")
    return {
        (row["vehicle_id"], row["boot"].replace("-", "")): LedgerRow(
            from_multirange(row["received"]),
            from_multirange(row["evicted"]),
            from_multirange(row["quarantined"]),
            from_multirange(row["dead"]),
            from_multirange(row["corrected"]),
            row["origin_us"],
        )
        for row in rows
    }


async def _copy(connection: Connection, rows: Rows) -> None:
    if len(rows.readings):
        await connection.copy_to_table(
            "telemetry",
            schema_name="fleet",
            columns=COPY_COLUMNS,
            source=_chunks(rows.copy),
            format="binary",
        )


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


async def _write_latest(
    connection: Connection, found: dict[int, latest.Signals]
) -> dict[int, latest.Position]:
    """Merge what was measured into `vehicle_latest`; the positions that changed, by vehicle id."""
    if not found:
        return {}
    vehicle_ids = sorted(found)
    await connection.execute(statement("open_latest"), vehicle_ids)
    rows = await connection.fetch(statement("lock_latest"), vehicle_ids)
    held = {row["vehicle_id"]: row["signals"] for row in rows}
    before = {vehicle_id: latest.decode(held[vehicle_id]) for vehicle_id in vehicle_ids}
    merged = {vehicle_id: latest.merge(before[vehicle_id], found[vehicle_id]) for vehicle_id in vehicle_ids}
    changed = [vehicle_id for vehicle_id in vehicle_ids if merged[vehicle_id] != before[vehicle_id]]
    positions = {vehicle_id: latest.position(merged[vehicle_id]) for vehicle_id in changed}
    at = [positions[vehicle_id] for vehicle_id in changed]
    await connection.execute(
        statement("write_latest"),
        changed,
        [max(signal.t for signal in merged[vehicle_id].values()) for vehicle_id in changed],
        [p and p.time_ms for p in at],
        [p and p.lat for p in at],
        [p and p.lon for p in at],
        [latest.value(merged[vehicle_id], "heading") for vehicle_id in changed],
        [latest.value(merged[vehicle_id], "speed") for vehicle_id in changed],
        [latest.encode(merged[vehicle_id]) for vehicle_id in changed],
    )
    return {
        vehicle_id: moved
        for vehicle_id, moved in positions.items()
        if moved is not None and moved != latest.position(before[vehicle_id])
    }


async def _add_events(connection: Connection, settlements: dict[Key, Settlement]) -> None:
    events = [(key, fresh) for key, outcome in settlements.items() for fresh in outcome.events]
    if not events:
        return
    await connection.execute(
        statement("add_events"),
        [fresh.time_us for _, fresh in events],
        [key[0] for key, _ in events],
        [UUID(key[1]) for key, _ in events],
        [fresh.event.seq for _, fresh in events],
        [fresh.event.kind for _, fresh in events],
        [fresh.event.data.decode() for _, fresh in events],
        [fresh.upload.received_us for _, fresh in events],
        [fresh.quality.value for _, fresh in events],
    )


async def _add_dead_letters(connection: Connection, letters: list[DeadLetter]) -> None:
    if letters:
        await connection.execute(
            statement("add_dead_letters"),
            [letter.topic for letter in letters],
            [letter.sha256 for letter in letters],
            [letter.payload[:MAX_PAYLOAD] for letter in letters],
            [len(letter.payload) for letter in letters],
            [letter.reason.replace("\0", "") for letter in letters],
            [None if letter.boot is None else UUID(letter.boot) for letter in letters],
            [letter.epoch for letter in letters],
        )


async def _write_ledgers(
    connection: Connection,
    groups: dict[Key, list[Upload]],
    settlements: dict[Key, Settlement],
    others: Counter[Key],
) -> None:
    if not groups:
        return
    rows = [settlements[key] for key in groups]
    arrivals = [[upload.received_us for upload in uploads] for uploads in groups.values()]
    await connection.execute(
        statement("write_ledgers"),
        [key[0] for key in groups],
        [key[1] for key in groups],
        [to_multirange(outcome.row.received) for outcome in rows],
        [to_multirange(outcome.row.evicted) for outcome in rows],
        [to_multirange(outcome.row.quarantined) for outcome in rows],
        [to_multirange(outcome.row.dead) for outcome in rows],
        [to_multirange(outcome.row.corrected) for outcome in rows],
        ["{" + ",".join(map(str, outcome.lateness)) + "}" for outcome in rows],
        [outcome.row.origin_us for outcome in rows],
        [outcome.claimed for outcome in rows],
        [outcome.duplicates for outcome in rows],
        [outcome.max_late_us for outcome in rows],
        [outcome.measured_us and outcome.measured_us[0] for outcome in rows],
        [outcome.measured_us and outcome.measured_us[1] for outcome in rows],
        [min(times) for times in arrivals],
        [max(times) for times in arrivals],
    )
    if others:
        await connection.execute(
            statement("count_conflicts"),
            [key[0] for key in others],
            [key[1] for key in others],
            list(others.values()),
            [max(upload.received_us for upload in groups[key]) for key in others],
        )
