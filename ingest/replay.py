"""Dead letters once more through the same code as at first, after whatever refused them was mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import PayloadError
from ingest.batch import Batch
from ingest.database import statement
from ingest.dead_letters import DeadLetter, revive
from ingest.errors import ErasedError
from ingest.failures import FAILURES, reason, refuses_data
from ingest.repeats import REASON
from ingest.store import prepare, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest.database import Connection
    from ingest.store import Stored

PAGE: Final = 100  # letters in memory at a time
NO_VEHICLE: Final = "the vehicle is unknown, revoked or erased"


@dataclass(slots=True)
class Replay:
    """What became of one dead letter; `why`: what still refuses it; None: it is stored, and gone."""

    id: int
    topic: str
    why: str | None = None
    readings: int = 0
    events: int = 0
    duplicates: int = 0


async def replay(
    connection: Connection, *, vehicle: str | None = None, only_try: bool = False
) -> AsyncIterator[Replay]:
    """Take each dead letter in again; idempotent, because the ledger knows what is stored.

    A reading is dated as if it had been understood when it first came. Units are told nothing: they were told
    then that these numbers are settled.

    Args:
        connection: of the owner, outside of a transaction.
        vehicle: only of this one.
        only_try: take each back after it was stored.
    """
    after = 0
    while rows := await connection.fetch(statement("dead_letters_after"), after, vehicle, PAGE):
        for row in rows:
            after = row["id"]
            boot = None if row["boot"] is None else row["boot"].hex
            letter = DeadLetter(
                row["topic"], row["sha256"], row["payload"], row["reason"], boot, row["epoch"]
            )
            outcome = Replay(row["id"], letter.topic)
            batch = Batch()
            outcome.why = _take(batch, letter, row["received_us"])
            if outcome.why is None:
                await _store(connection, batch, outcome, only_try=only_try)
            yield outcome


def _take(batch: Batch, letter: DeadLetter, received_us: int) -> str | None:
    """Put it into the batch, or say why it is still refused."""
    try:
        upload = batch.add(revive(letter, received_us))
    except PayloadError as error:
        return str(error)
    if upload is None:
        return batch.rejections[0].reason
    if letter.boot is not None and upload.bad:
        return upload.bad[0].reason
    return None


class _TakenBackError(Exception):
    """Rolls back what would only come to the dead letters once more, or was only to be tried."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored


def _take_back(stored: Stored, *, only_try: bool) -> None:
    if stored.conflicts or only_try:
        raise _TakenBackError(stored)


async def _store(connection: Connection, batch: Batch, outcome: Replay, *, only_try: bool) -> None:
    """Store it, and remove the letter in the same transaction."""
    rows = await connection.fetch(statement("find_vehicles"), list(batch.names))
    ids = {row["name"]: row["id"] for row in rows}
    if len(ids) < len(batch.names):
        outcome.why = NO_VEHICLE
        return
    try:
        async with connection.transaction():
            stored = await store(connection, prepare(batch, ids))
            _take_back(stored, only_try=only_try)
            await connection.execute(statement("remove_dead_letter"), outcome.id)
    except _TakenBackError as back:
        stored = back.stored
    except ErasedError:
        outcome.why = NO_VEHICLE
        return
    except FAILURES as error:
        if not refuses_data(error):
            raise
        outcome.why = reason(error)
        return
    if stored.conflicts:
        outcome.why = REASON
        return
    outcome.readings, outcome.events, outcome.duplicates = stored.readings, stored.events, stored.duplicates
