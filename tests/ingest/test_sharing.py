"""Telemetry where it is not shared: the registrar's worker takes all of it, another stands by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fleetcell.contract.topics import Channel, telemetry_filters
from ingest.app import Service
from ingest.sharing import shared_filters
from tests.ingest.platform import Platform
from tests.ingest.units import REGION, new_boot, sample, telemetry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ingest.platform import Unit

ALL = tuple((topic_filter, 1) for topic_filter in telemetry_filters(REGION))


async def settles(unit: Unit) -> None:
    """Send until it is acknowledged, as a unit does."""
    boot = new_boot()
    async with asyncio.timeout(60):
        while True:
            await unit.send(Channel.TELEMETRY, telemetry(boot, [sample(1)]))
            try:
                async with asyncio.timeout(0.5):
                    await unit.ack(lambda ack: ack.boot == boot)
            except TimeoutError:
                continue
            return


async def test_a_worker_that_stands_by_takes_over_telemetry_too(plain_dsn: str, tmp_path: Path) -> None:
    platform = Platform(plain_dsn, tmp_path, shared_subscription="off")
    await platform.start()
    first, second = platform.service, Service(platform.settings())
    assert first is not None
    serving = asyncio.create_task(second.run())
    try:
        await platform.until(lambda: second.healthy() is None)
        assert (first.bridge._subscriptions, second.bridge._subscriptions) == (ALL, ())
        unit = await platform.unit("car")
        await settles(unit)
        await platform.kill_service()
        await platform.until(lambda: second.registrar.in_office)
        assert second.bridge._subscriptions == ALL
        await settles(unit)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await second.stop()
        await platform.stop()


async def test_the_embedded_broker_shares(platform: Platform) -> None:
    service = platform.service
    assert service is not None
    assert {name for name, _ in service.bridge._subscriptions} == set(shared_filters(REGION))


async def test_a_will_of_another_worker_is_put_right(platform: Platform) -> None:
    """It says `"storing": false` in the region's name, while the registrar's worker stores."""
    service = platform.service
    assert service is not None
    unit = await platform.unit("car")
    await unit.gateway(lambda status: status.storing)
    unit.forget()
    will = service.gateway.will()
    await service.bridge.publish(will.topic, will.payload, qos=1, retain=True)
    await unit.gateway(lambda status: not status.storing)
    await unit.gateway(lambda status: status.storing)
    late = await platform.unit("late")
    await late.gateway(lambda status: status.storing)
