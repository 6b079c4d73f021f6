"""The publisher of `state`; what a crash leaves it to do is in test_outages.py."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.mqtt import Backoff
from ingest.metrics import Metrics
from ingest.pools import Database
from ingest.publisher import Publisher
from tests.ingest.units import REGION, provision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from fleetcell.mqtt import MqttBridge
    from ingest.database import Connection
    from tests.ingest.platform import Platform


async def test_the_state_of_a_vehicle_that_left_the_region_is_cleared(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    states: asyncio.Queue[bytes] = asyncio.Queue()
    async with platform.watch(vehicle_topic(REGION, "car", Channel.STATE), states.put_nowait):
        assert await asyncio.wait_for(states.get(), 60)
        await connection.execute("""
            UPDATE fleet.registration SET region = 'tampere';
            SELECT fleet.append_presence_events(jsonb_build_array(jsonb_build_object('vehicle_id', vehicle_id,
                'at', now(), 'state', 'online', 'reason', 'attach', 'epoch', 2, 'region', 'tampere',
                'previous_state', 'online', 'previous_region', 'helsinki'))) FROM fleet.registration
        """)
        async with asyncio.timeout(60):  # the attach may have been answered twice: the last one counts
            while await states.get() != b"":
                pass


async def test_an_event_of_another_process_is_published_too(
    platform: Platform, connection: Connection
) -> None:
    unit = await platform.unit("car")
    await unit.attach()
    await connection.execute("""
        UPDATE fleet.registration SET state = 'offline', reason = 'revoked';
        SELECT fleet.append_presence_events(jsonb_build_array(jsonb_build_object('vehicle_id', vehicle_id,
            'at', now(), 'state', 'offline', 'reason', 'revoked', 'epoch', 1, 'region', 'helsinki',
            'previous_state', 'online', 'previous_region', 'helsinki'))) FROM fleet.registration
    """)
    state = await unit.state(lambda state: state.reason == "revoked")
    assert state.cursor == await connection.fetchval("SELECT max(cursor) FROM fleet.presence_event")


class Unsteady(Database):
    """A database that is away, until it is said to be back."""

    away = True

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, application="test")
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.asked.set()
        if self.away:
            raise ConnectionRefusedError
        async with super().connection() as connection:
            yield connection


class Broker:
    """Stands for the registrar's connection."""

    def __init__(self) -> None:
        self.published: asyncio.Queue[str] = asyncio.Queue()

    async def wait_connected(self) -> None:
        """It is."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        assert payload
        assert (qos, retain) == (1, True)
        self.published.put_nowait(topic)


async def test_a_commit_ends_the_pause_that_an_outage_of_the_database_made(
    connection: Connection, plain_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ages(Backoff):
        def delay(self, *_: object) -> float:
            return 3600.0

    monkeypatch.setattr("ingest.publisher.Backoff", Ages)
    ids = await provision(connection, "car")
    await connection.execute(
        "INSERT INTO fleet.registration (vehicle_id, state, reason, since, epoch, region)"
        " VALUES ($1, 'online', 'attach', now(), 1, $2)",
        ids["car"],
        REGION,
    )
    database, broker = Unsteady(plain_dsn), Broker()
    publisher = Publisher(REGION, database, Metrics())
    running = asyncio.create_task(publisher.run(cast("MqttBridge", broker)))
    try:
        async with asyncio.timeout(60):
            await database.asked.wait()
            database.away = False
            publisher.wake()
            assert await broker.published.get() == vehicle_topic(REGION, "car", Channel.STATE)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await database.close()
