"""The interval of chunks: from the measured growth, on a real hypertable too."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunks import INTERVALS, adapt_interval, interval_for
from ingest.database import connect
from ingest.tier import Tier
from tests.postgres_servers import Database

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MB = 1_000_000


@pytest.mark.parametrize(
    ("per_hour", "held", "wanted"),
    [
        (1 * MB, DAY, DAY),
        (10 * MB, DAY, 12 * HOUR),
        (6 * MB, DAY, DAY),  # 144 MB: a little too long, not worth a change
        (10 * MB, 8 * HOUR, 8 * HOUR),  # shorter than it need be, not by half
        (10 * MB, 4 * HOUR, 12 * HOUR),
        (1000 * MB, DAY, HOUR),  # nothing fits: the shortest
        (0, 7 * DAY, 7 * DAY),
        (1 * MB, 7 * DAY, DAY),  # longer than retention may be late
    ],
)
def test_the_longest_that_fits(per_hour: int, held: timedelta, wanted: timedelta) -> None:
    assert interval_for(per_hour / 3600, 128 * MB, held) == wanted


@given(rate=st.floats(1e-3, 1e9), target=st.integers(MB, 10**12), held=st.sampled_from(INTERVALS))
def test_it_settles_at_once_and_fits_where_something_does(rate: float, target: int, held: timedelta) -> None:
    best = interval_for(rate, target, held)
    assert interval_for(rate, target, best) == best
    assert best in INTERVALS
    assert best == INTERVALS[0] or best.total_seconds() * rate <= target * 1.26


async def test_on_each_server(any_database: Database) -> None:
    connection = await connect(any_database.owner)
    await connection.execute(
        "INSERT INTO fleet.telemetry (time, vehicle_id, boot, seq, received_at)"
        " SELECT now(), 1, gen_random_uuid(), n, now() FROM generate_series(1, 500) AS n"
    )
    assert await adapt_interval(connection) is None, "too early to tell"
    found = await adapt_interval(connection, target=1, least_s=0)
    if any_database.tier is Tier.PLAIN:
        assert found is None
    else:
        assert found == HOUR
        held = "SELECT time_interval FROM timescaledb_information.dimensions"
        assert await connection.fetchval(held) == HOUR
        assert await adapt_interval(connection, target=1, least_s=0) is None, "as it is already"
    await connection.close()
