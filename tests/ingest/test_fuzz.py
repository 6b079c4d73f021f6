"""Poison, as much as a test run has time for; `make fuzz` takes a million payloads."""

from __future__ import annotations

import os
import secrets
from itertools import islice
from typing import TYPE_CHECKING

from ingest.batch import Batch
from ingest.store import prepare, store
from tests.ingest.fuzz import BATCH, VEHICLES, Poison, run
from tests.ingest.units import provision

if TYPE_CHECKING:
    from ingest.database import Connection

PAYLOADS = 20_000
STORED = 3_000


def a_seed() -> int:
    """`FLEETCELL_FUZZ_SEED` repeats a run."""
    seed = int(os.environ.get("FLEETCELL_FUZZ_SEED") or secrets.randbelow(2**32))
    print(f"again with FLEETCELL_FUZZ_SEED={seed}")
    return seed


def test_no_payload_brings_ingest_down_and_each_is_counted() -> None:
    count, faults = run(PAYLOADS, a_seed(), lambda _done: None)
    print(count)
    assert not faults, "\n".join(faults)
    assert count["payloads"] == PAYLOADS
    assert min(count[what] for what in ("refused", "readings", "events", "duplicates", "bad")) > 100


async def test_the_database_takes_all_that_was_decoded(connection: Connection) -> None:
    ids = await provision(connection, *VEHICLES)
    source = iter(Poison(a_seed()))
    readings = events = 0
    for _ in range(STORED // BATCH):
        batch = Batch()
        for one in islice(source, BATCH):
            batch.add(one)
        stored = await store(connection, prepare(batch, ids))
        readings += stored.readings
        events += stored.events
        assert stored.rejected == len(batch.rejections)
    assert await connection.fetchval("SELECT count(*) FROM fleet.telemetry") == readings > 0
    assert await connection.fetchval("SELECT count(*) FROM fleet.event") == events > 0
    kept = await connection.fetchval("SELECT coalesce(sum(fleet.numbers(received)), 0) FROM fleet.ledger")
    assert kept == readings + events
