"""One transaction stores one batch: ledger, readings, latest, dirty marks, events, dead letters.

The order of locks, here and wherever these tables are written: ledger, latest, dirty buckets, registration;
vehicles in id order.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from fleetcell.contract.messages import MAX_PAYLOAD, Ack, Position, Rejected
from ingest import latest, latest_rows, ledgers
from ingest.binary_copy import joined
from ingest.database import statement
from ingest.dead_letters import dead_letters, distinct
from ingest.derive.marks import Marks, touched
from ingest.ledgers import Opened
from ingest.readings import COPY_COLUMNS, Readings, gather, whole
from ingest.repeats import Key, conflicts
from ingest.runs import Frame, Runs, runs
from ingest.settle import Settlement, ack, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Generator, Mapping, Sequence

    from fleetcell.contract.topics import VehicleTopic
    from ingest.batch import Batch
    from ingest.database import Connection
    from ingest.dead_letters import DeadLetter
    from ingest.decode import Upload
    from ingest.shapes import Shape

T = TypeVar("T")

_WORTH_IT = 20  # runs of one shape: the fixed cost of putting columns together is that of some 100 readings
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
    """Readings ready to go in: encoded, the newest of each signal by vehicle id in order, what gets dirty."""

    readings: int
    copy: bytes
    newest: dict[int, latest.Row]
    dirty: Marks
    quarantined: int = 0
    corrected: int = 0
    refused_values: int = 0

    @classmethod
    def of(cls, readings: Readings) -> Rows:
        """Of readings that are checked."""
        return finish(cls.steps(readings))

    @classmethod
    def steps(cls, readings: Readings) -> Generator[None, None, Rows]:
        """The same in steps of a few milliseconds."""
        copy = readings.copy_bytes()
        yield
        newest = latest.newest(readings)
        quarantined = int(readings.quarantined.sum())
        return cls(
            len(readings),
            copy,
            dict(sorted(newest.items())),
            touched(readings.vehicle_ids, readings.times_us, readings.quarantined),
            quarantined,
            len(readings.device_us) - quarantined,
            sum(len(problems) for problems in readings.signals.problems.values()),
        )

    def and_(self, other: Rows) -> Rows:
        """Both together."""
        newest = dict(self.newest)
        for vehicle_id, row in other.newest.items():
            held = newest.get(vehicle_id)
            newest[vehicle_id] = row if held is None else latest.merged(held, row)
        marks = sorted({*zip(*self.dirty, strict=True), *zip(*other.dirty, strict=True)})
        return Rows(
            self.readings + other.readings,
            joined([self.copy, other.copy]),
            dict(sorted(newest.items())),
            ([vehicle_id for vehicle_id, _ in marks], [bucket for _, bucket in marks]),
            self.quarantined + other.quarantined,
            self.corrected + other.corrected,
            self.refused_values + other.refused_values,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch by (vehicle id, boot), in the order of the locks.

    runs: parallel to `groups`, what may extend their ledger rows; rows: the readings of these.
    """

    batch: Batch
    names: dict[int, str]
    groups: dict[Key, list[Upload]]
    runs: Runs
    rows: Rows

    def rows_of(self, chosen: Sequence[Key]) -> Rows:
        """The readings of some runs."""
        return finish(_rows(self.groups, chosen, None))


def prepare(batch: Batch, ids: dict[str, int]) -> Prepared:
    """Do before the transaction what need not be done in it.

    Args:
        batch: of vehicles in `ids` only.
        ids: vehicle ids by name.
    """
    return finish(preparing(batch, ids))


def preparing(batch: Batch, ids: dict[str, int]) -> Generator[None, None, Prepared]:
    """The same in steps of a few milliseconds: other batches go on between them."""
    groups = dict(
        sorted(((ids[vehicle], boot), uploads) for (vehicle, boot), uploads in batch.by_boot().items())
    )
    found = runs(list(groups.values()))
    yield
    chosen = [key for key, numbers in zip(groups, found.numbers, strict=True) if numbers is not None]
    rows = yield from _rows(groups, chosen, found.frame)
    return Prepared(batch, {ids[name]: name for name in batch.names}, groups, found, rows)


def _rows(
    groups: Mapping[Key, list[Upload]], chosen: Sequence[Key], frame: Frame | None
) -> Generator[None, None, Rows]:
    """The readings of some runs; `frame`: all of these, where that is known already."""
    parts = _by_shape(groups, chosen)
    if frame is None or len(parts) > 1:
        frames = [Frame.of([upload for key in part for upload in groups[key]]) for part in parts]
    else:
        frames = [frame]
    found: list[Rows] = []
    for part, one in zip(parts, frames, strict=True):
        readings = whole(one, [key[0] for key in part for _ in groups[key]])
        yield
        found.append((yield from Rows.steps(readings)))
    return functools.reduce(Rows.and_, found)


def _by_shape(groups: Mapping[Key, list[Upload]], chosen: Sequence[Key]) -> list[Sequence[Key]]:
    """Runs whose readings all have one shape together, where these are many; last all others."""
    found: defaultdict[Shape | None, list[Key]] = defaultdict(list)
    for key in chosen:
        shapes = {getattr(upload.signals, "shape", None) for upload in groups[key]}
        found[shapes.pop() if len(shapes) == 1 else None].append(key)
    large: list[Sequence[Key]] = [
        keys for shape, keys in found.items() if shape is not None and len(keys) >= _WORTH_IT
    ]
    if len(found) == len(large) == 1:
        return [chosen]
    alone = {key for keys in large for key in keys}
    others = [key for key in chosen if key not in alone]
    return [*large, others] if others or not large else large


def finish(steps: Generator[None, None, T]) -> T:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


async def store(connection: Connection, prepared: Prepared, opened: Opened | None = None) -> Stored:
    """Store the batch and COMMIT.

    Nothing is stored twice, however often the same numbers come: the ledger knows them. So an unknown outcome
    of COMMIT needs no care here, the units send again.

    Args:
        connection: outside of a transaction.
        prepared: the batch.
        opened: which rows are known to be there; noted here after COMMIT.

    Raises:
        ErasedError: one of the vehicles is erased, or `opened` is wrong; nothing was stored.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was stored, or after a
            lost connection perhaps all of it.
    """
    groups, keys = prepared.groups, list(prepared.groups)
    opened = Opened() if opened is None else opened
    async with connection.transaction():
        await ledgers.open_rows(connection, keys, opened)
        extended = await ledgers.extend(connection, keys, prepared.runs)
        held = await ledgers.read(connection, [key for key in keys if key not in extended])
        settlements = {key: settle(row, groups[key]) for key, row in held.items()}
        rows = _new_rows(prepared, extended, settlements)
        await _copy(connection, rows)
        await latest_rows.open_rows(connection, [v for v in rows.newest if v not in opened.latest])
        positions = await latest_rows.renew(connection, rows.newest)
        if rows.dirty[0]:
            await connection.execute(statement("mark_dirty"), *rows.dirty)
        await _add_events(connection, settlements)
        others: Counter[Key] = Counter()
        letters = await conflicts(connection, settlements, others)
        await _add_dead_letters(connection, distinct([*dead_letters(prepared.batch), *letters]))
        await ledgers.write(connection, settlements, groups, others)
    opened.committed(keys, rows.newest)
    settled = extended | {key: outcome.row.settled for key, outcome in settlements.items()}
    return Stored(
        readings=rows.readings,
        events=sum(len(outcome.events) for outcome in settlements.values()),
        duplicates=sum(outcome.duplicates for outcome in settlements.values()),
        bad=sum(len(upload.bad) for upload in prepared.batch.uploads),
        rejected=len(prepared.batch.rejections),
        quarantined=rows.quarantined,
        corrected=rows.corrected,
        conflicts=others.total(),
        refused_values=rows.refused_values,
        acks=[(uploads[-1].topic, ack(key[1], settled[key], uploads)) for key, uploads in groups.items()],
        rejections=[(r.topic, Rejected(r.sha256.hex(), r.reason)) for r in prepared.batch.rejections],
        positions=[Position(prepared.names[vehicle_id], *here) for vehicle_id, here in positions.items()],
    )


def _new_rows(prepared: Prepared, extended: Collection[Key], settlements: dict[Key, Settlement]) -> Rows:
    """What the ledger did not have: mostly all runs, and then nothing has to be made anew."""
    rows = prepared.rows
    runs_held = [
        key
        for key, numbers in zip(prepared.groups, prepared.runs.numbers, strict=True)
        if numbers is not None
    ]
    if len(extended) < len(runs_held):
        rows = prepared.rows_of([key for key in runs_held if key in extended])
    fresh = [(key[0], one) for key, outcome in settlements.items() for one in outcome.fresh]
    return rows.and_(Rows.of(gather(fresh))) if fresh else rows


async def _copy(connection: Connection, rows: Rows) -> None:
    if rows.readings:
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
