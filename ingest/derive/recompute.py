"""One turn of the worker: some dirty buckets derived anew in a transaction, and then their marks taken off.

Not in the same transaction: a batch that marks one of them would wait for its end, and so for the turn that
the operating system gives this process. Where it dies in between, they are derived once more.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from ingest.database import statement
from ingest.derive import rows
from ingest.derive.chain import START, Changes, rederive
from ingest.geofences.recompute import derive_geofences
from ingest.geofences.rows import FenceReader

if TYPE_CHECKING:
    from ingest.database import Connection
    from ingest.derive.chain import Derived, State
    from ingest.derive.rules import Rules
    from ingest.derive.track import Track

MOST_ASKED: Final = 32  # vehicles that somebody waits for, done at once
ROUNDS: Final = 64  # of buckets that follow from others, for one who waits
PAGE: Final = 16  # rollups of a vehicle that are read at first; mostly the change ends before

BEGIN: Final = (0, 0)  # before every (vehicle, bucket)


async def derive_some(
    connection: Connection,
    rules: Rules,
    *,
    after: tuple[int, int],
    delay_s: float,
    limit: int,
    fences: FenceReader | None = None,
) -> list[rows.Due]:
    """Derive at most `limit` buckets after (vehicle, bucket number) that have been dirty for `delay_s`.

    `fences` remembers the geofences from one call to the next.

    What a batch stores meanwhile is either read here or leaves its mark, because the marks are looked at
    before the readings, and only marks that were seen are taken off.

    Returns:
        What was derived, in the order of (vehicle, bucket).
    """
    async with connection.transaction():
        await connection.execute(statement("derive_begins"))
        done = await rows.due(connection, after, delay_s, limit)
        if done:
            await _derive(connection, rules, done, fences or FenceReader())
    await rows.finish(connection, done)
    return done


async def derive_asked(
    connection: Connection, rules: Rules, *, limit: int, fences: FenceReader | None = None
) -> int:
    """Derive the vehicles that somebody waits for, however new their marks are; how many buckets that were.

    A request is done when all that was dirty is derived, and what follows from it. What batches mark
    meanwhile is not waited for. A vehicle with more than `limit` dirty buckets goes on with the next call.
    """
    asked = await rows.requests(connection, MOST_ASKED)
    if not asked:
        return 0
    count, complete = 0, set(asked)
    fences = fences or FenceReader()
    again: set[tuple[int, int]] | None = None
    for _ in range(ROUNDS):
        async with connection.transaction():
            await connection.execute(statement("derive_begins"))
            due = await rows.due_of(connection, list(asked), limit)
            if again is None and len(due) == limit:
                complete = {vehicle for vehicle in asked if vehicle < due[-1].vehicle_id}
            if again is not None:
                due = [one for one in due if one[:2] in again]
            again = await _derive(connection, rules, due, fences) if due else set()
        await rows.finish(connection, due)
        count += len(due)
        if not again:
            break
    complete -= {vehicle for vehicle, _ in again or ()}
    await rows.answer(connection, {vehicle: asked[vehicle] for vehicle in complete})
    return count


async def _derive(
    connection: Connection, rules: Rules, done: list[rows.Due], fences: FenceReader
) -> set[tuple[int, int]]:
    """Derive these; gives the (vehicle, bucket number) that are dirty because of it."""
    found = await rows.tracks(connection, [(one.vehicle_id, one.number) for one in done])
    wanted: dict[int, dict[int, Track | None]] = {
        vehicle: {one.number: found.get((vehicle, one.number)) for one in group}
        for vehicle, group in groupby(done, key=lambda one: one.vehicle_id)
    }
    firsts = {vehicle: min(numbers) for vehicle, numbers in wanted.items()}
    before = await rows.before(connection, firsts)
    kept = await rows.kept(connection, firsts, PAGE)
    changes = {
        vehicle: await _rederive(
            connection, rules, vehicle, before.get(vehicle, START), kept[vehicle], numbers
        )
        for vehicle, numbers in wanted.items()
    }
    await rows.write(connection, changes)
    again = {(vehicle, number) for vehicle, of in changes.items() for number in of.again}
    again |= await derive_geofences(connection, fences, rules, wanted)
    await rows.mark(connection, sorted(again))  # all at once: batches lock in this order too
    return again


async def _rederive(
    connection: Connection,
    rules: Rules,
    vehicle: int,
    before: State,
    kept: list[Derived],
    wanted: dict[int, Track | None],
) -> Changes:
    """The changes of one vehicle; reads more of what is kept until that tells where they end."""
    page = PAGE
    while True:
        changes = rederive(before, kept, wanted, rules, complete=len(kept) < page)
        if changes is not None:
            return changes
        page *= 4
        kept = (await rows.kept(connection, {vehicle: min(wanted)}, page))[vehicle]
