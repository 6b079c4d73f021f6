"""The ledger's rows in the database: locked, extended by the runs of a batch, or read and written whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleetcell.contract.ledger import Ranges, from_multirange, to_multirange
from ingest.arrays import array
from ingest.database import statement
from ingest.errors import ErasedError
from ingest.settle import LedgerRow

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ingest.database import Connection
    from ingest.decode import Upload
    from ingest.repeats import Key
    from ingest.runs import Runs
    from ingest.settle import Settlement


@dataclass(slots=True)
class Opened:
    """Rows that are known to be there: of each vehicle the last boot, and whether it has latest values.

    Where one is not there any more, `ErasedError` is raised, and all of it has to be forgotten.
    """

    boots: dict[int, str] = field(default_factory=dict)
    latest: set[int] = field(default_factory=set)

    def committed(self, keys: Iterable[Key], vehicle_ids: Iterable[int]) -> None:
        """A transaction that has opened, or met, these ledger rows and latest values is committed."""
        self.boots.update(keys)
        self.latest.update(vehicle_ids)

    def forget(self) -> None:
        """Nothing is known."""
        self.boots.clear()
        self.latest.clear()


async def open_rows(connection: Connection, keys: Sequence[Key], opened: Opened) -> None:
    """Make the rows that are missing, of those that are not known to be there.

    To be done before any is locked: the other way round two workers could wait for each other.
    """
    keys = [key for key in keys if opened.boots.get(key[0]) != key[1]]
    if keys:
        await connection.execute(statement("open_ledgers"), *_columns(keys))


async def extend(connection: Connection, keys: Sequence[Key], runs: Runs) -> dict[Key, Ranges]:
    """Lock the rows in order, and add to them the runs that are new to them.

    Args:
        connection: inside the transaction.
        keys: in the order of the locks.
        runs: parallel to `keys`.

    Returns:
        What is settled now, of those that were extended.
    """
    if not keys:
        return {}
    rows = await connection.fetch(
        statement("extend_ledgers"),
        *_columns(keys),
        runs.numbers,
        array(runs.last),
        runs.lateness,
        array(runs.max_late_us),
        array(runs.own_us),
        array(runs.low_us),
        array(runs.high_us),
        array(runs.from_us),
        array(runs.until_us),
        array(runs.first_us),
        array(runs.last_us),
    )
    return {
        (vehicle_id, boot.replace("-", "")): from_multirange(settled) for vehicle_id, boot, settled in rows
    }


async def read(connection: Connection, keys: Sequence[Key]) -> dict[Key, LedgerRow]:
    """Lock the rows, if that has not been done yet, and read them.

    Raises:
        ErasedError: one is not there: a trigger took it out again, or it was there once.
    """
    if not keys:
        return {}
    rows = await connection.fetch(statement("lock_ledgers"), *_columns(keys))
    if len(rows) < len(keys):
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


async def write(
    connection: Connection,
    settlements: Mapping[Key, Settlement],
    arrivals: Mapping[Key, Sequence[Upload]],
    others: Counter[Key],
) -> None:
    """Write rows that were read before.

    Args:
        connection: inside the transaction.
        settlements: what they are to hold, and what to add to the counters.
        arrivals: the uploads of each.
        others: how many other readings have come under numbers that were taken.
    """
    if not settlements:
        return
    rows = list(settlements.values())
    times = [[upload.received_us for upload in arrivals[key]] for key in settlements]
    await connection.execute(
        statement("write_ledgers"),
        *_columns(settlements),
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
        [min(moments) for moments in times],
        [max(moments) for moments in times],
    )
    if others:
        await connection.execute(
            statement("count_conflicts"),
            *_columns(others),
            list(others.values()),
            [max(upload.received_us for upload in arrivals[key]) for key in others],
        )


def _columns(keys: Collection[Key]) -> tuple[str, str]:
    """Vehicle ids and boots."""
    return array([vehicle_id for vehicle_id, _ in keys]), "{" + ",".join([boot for _, boot in keys]) + "}"
