"""Hazards in a real database, and on their way to it over a real broker."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fleetcell.contract.hazards import Ending, Report
from fleetcell.contract.topics import Channel
from fleetcell.contract.v2x import codec
from ingest.database import connect, drop_old
from ingest.hazards import store as store_module
from ingest.hazards.rules import Change
from ingest.hazards.store import MOST_OF_A_STATION, store
from tests.ingest.hazards.denms import HERE, STATION, denm, topic_text
from tests.ingest.platform import Platform
from tests.ingest.units import REGION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ingest.database import Connection


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def report(
    at_ms: int, *, sequence: int = 7, station: int = STATION, left_s: int = 60, **fields: Any
) -> Report:
    given = {"cause": 94, "sub_cause": 2, "quality": 3, "speed": 0.0, "heading": 91.5, **fields}
    return Report(station, sequence, at_ms, at_ms, now_ms() + left_s * 1000, *HERE, **given)


async def rows(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch("SELECT * FROM api.hazards ORDER BY id")]


async def test_told_updated_and_cancelled_is_one_hazard(connection: Connection) -> None:
    began = now_ms() - 5_000
    told = await store(connection, REGION, [report(began), report(began), report(began + 1000, cause=3)], 10)
    assert told == [Change.NEW, Change.REPEATED, Change.UPDATE]
    (row,) = await rows(connection)
    assert (row["station_id"], row["sequence"], row["cause"], row["updates"]) == (STATION, 7, 3, 1)
    assert (row["lat"], row["lon"], row["heading"], row["state"]) == (*HERE, 91.5, "active")
    assert round(row["detected_at"].timestamp() * 1000) == began + 1000
    over = report(began + 2000, ending=Ending.CANCELLED)
    assert await store(connection, REGION, [over, over, report(began)], 10) == [
        Change.CANCELLED,
        Change.STALE,
        Change.STALE,
    ]
    (row,) = await rows(connection)
    assert row["state"] == "cancelled"
    assert row["ended_at"] is not None


async def test_what_expired_is_over_and_the_name_means_another_hazard_then(connection: Connection) -> None:
    began = now_ms() - 5_000
    await store(connection, REGION, [report(began, left_s=-1)], 10)
    (row,) = await rows(connection)
    assert row["state"] == "expired"
    assert await store(connection, REGION, [report(began), report(began + 1)], 10) == [
        Change.STALE,
        Change.NEW,
    ]
    assert [row["state"] for row in await rows(connection)] == ["expired", "active"]


async def test_regions_do_not_mix(connection: Connection) -> None:
    began = now_ms()
    await store(connection, REGION, [report(began)], 10)
    assert await store(connection, "north", [report(began + 1, ending=Ending.CANCELLED)], 10) == [
        Change.UNKNOWN
    ]
    assert await store(connection, "north", [report(began)], 10) == [Change.NEW]


async def test_the_number_of_hazards_is_bounded(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = now_ms()
    many = [report(began, sequence=number) for number in range(MOST_OF_A_STATION + 1)]
    told = await store(connection, REGION, many, 1000)
    assert told == [Change.NEW] * MOST_OF_A_STATION + [Change.FULL]
    others = [report(began, station=1 + number) for number in range(3)]
    assert await store(connection, REGION, others, MOST_OF_A_STATION + 2) == [
        Change.NEW,
        Change.NEW,
        Change.FULL,
    ]
    over = report(began + 1, station=1, ending=Ending.CANCELLED)
    assert await store(connection, REGION, [over, others[2]], MOST_OF_A_STATION + 2) == [
        Change.CANCELLED,
        Change.NEW,
    ]
    monkeypatch.setattr(store_module, "MOST_OF_A_STATION", 0)
    assert await store(connection, "north", [report(began)], 10) == [Change.FULL]


async def test_old_hazards_are_removed_with_the_telemetry(connection: Connection) -> None:
    await store(connection, REGION, [report(now_ms(), sequence=1), report(now_ms(), sequence=2)], 10)
    await connection.execute(
        "UPDATE fleet.hazard SET first_at = t, valid_until = t"
        " FROM (SELECT now() - interval '9 days' AS t) AS old WHERE sequence = 1"
    )
    await drop_old(connection, keep=timedelta(days=8))
    assert [row["sequence"] for row in await rows(connection)] == [2]


@pytest_asyncio.fixture
async def tight(plain_dsn: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform with room for two hazards."""
    platform = Platform(plain_dsn, tmp_path, hazards_active=2)
    await platform.start()
    yield platform
    await platform.stop()


async def test_a_warning_of_a_unit_is_stored_under_its_pseudonym_only(tight: Platform) -> None:
    service = tight.service
    assert service is not None
    unit = await tight.unit("car")
    began = now_ms()
    topic = topic_text(region=REGION)
    while "undecodable" not in dropped(tight):  # until ingest listens
        await unit.tell(topic, b"not a DENM")
        await asyncio.sleep(0.02)
    await unit.tell(topic, codec.encode(denm(at_ms=began, place=(60.5, 24.94))))
    await unit.tell(topic, codec.encode(denm(at_ms=began)))
    for sequence in (8, 9):
        await unit.tell(topic, codec.encode(denm(at_ms=began, sequence=sequence)))
    await unit.tell(topic, codec.encode(denm(at_ms=began + 1, ends="isCancellation", cause=None)))
    connection = await connect(tight.dsn)
    try:
        await tight.becomes(
            connection,
            "SELECT array_agg(state ORDER BY sequence) = '{cancelled,active}' FROM api.hazards",
        )
        await tight.becomes(connection, "SELECT count(*) = 0 FROM fleet.event")
        (first, _) = await rows(connection)
        assert first["station_id"] == STATION
        assert "car" not in str(first)
    finally:
        connection.terminate()
    await tight.until(lambda: dropped(tight).keys() == {"undecodable", "position", "full"})
    metric = service.metrics.hazards
    assert [metric.labels(change)._value.get() for change in ("new", "cancelled", "update")] == [2, 1, 0]
    assert service.metrics.misdirected._value.get() == 0
    assert not unit.heard(Channel.ACK)


async def test_what_the_database_could_not_take_is_stored_when_it_can(tight: Platform) -> None:
    service = tight.service
    assert service is not None
    unit = await tight.unit("car")
    connection = await connect(tight.dsn)
    try:
        await connection.execute("ALTER TABLE fleet.hazard RENAME TO away")
        topic = topic_text(region=REGION)
        while "undecodable" not in dropped(tight):  # until ingest listens
            await unit.tell(topic, b"not a DENM")
            await asyncio.sleep(0.02)
        await unit.tell(topic, codec.encode(denm(at_ms=now_ms())))
        await tight.until(lambda: service.metrics.failures._value.get() > 0)
        await connection.execute("ALTER TABLE fleet.away RENAME TO hazard")
        await tight.becomes(connection, "SELECT array_agg(state) = '{active}' FROM api.hazards")
    finally:
        connection.terminate()


def dropped(platform: Platform) -> dict[str, float]:
    """DENMs that changed nothing, by reason."""
    assert platform.service is not None
    (metric,) = platform.service.metrics.hazards_refused.collect()
    return {
        sample.labels["reason"]: sample.value for sample in metric.samples if sample.name.endswith("_total")
    }
