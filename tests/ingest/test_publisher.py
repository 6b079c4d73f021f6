"""The publisher of `state`; what a crash leaves it to do is in test_outages.py."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fleetcell.contract.topics import Channel, vehicle_topic
from tests.ingest.units import REGION

if TYPE_CHECKING:
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
