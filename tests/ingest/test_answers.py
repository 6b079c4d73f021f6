"""Acknowledgements and positions on a real broker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fleetcell.contract.messages import Ack, Position, Positions, Rejected, decode
from fleetcell.contract.topics import Channel
from fleetcell.mqtt import Message, MqttBridge
from ingest.answers import FRAME_POSITIONS, Answers
from ingest.metrics import Metrics
from ingest.store import Stored
from tests.ingest.units import REGION, new_boot, topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.mosquitto_server import Mosquitto


@asynccontextmanager
async def answering(mosquitto: Mosquitto) -> AsyncIterator[tuple[Answers, asyncio.Queue[Message]]]:
    """Answers on their way, and what a listener hears of them."""
    url = f"mqtt://127.0.0.1:{mosquitto.mqtt_port}"
    heard: asyncio.Queue[Message] = asyncio.Queue()
    listener = MqttBridge(url, client_id="all", subscriptions=[("fleet/#", 1)], receive=heard.put_nowait)
    sender = MqttBridge(url, client_id="ingest")
    answers = Answers(REGION, sender, Metrics())
    tasks = [asyncio.create_task(work) for work in (listener.run(), sender.run(), answers.run())]
    await asyncio.wait_for(asyncio.gather(listener.wait_connected(), sender.wait_connected()), 60)
    try:
        yield answers, heard
    finally:
        await asyncio.gather(listener.disconnect(), sender.disconnect())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_newest_acknowledgement_of_each_boot_is_sent(mosquitto: Mosquitto) -> None:
    async with answering(mosquitto) as (answers, heard):
        one, two = new_boot(), new_boot()
        car = topic("car")
        answers.put(Stored(acks=[(car, Ack(one, 1)), (car, Ack(two, 5))]))
        answers.put(Stored(acks=[(car, Ack(one, 2))], rejections=[(car, Rejected("ab", "why"))]))
        messages = [await asyncio.wait_for(heard.get(), 60) for _ in range(3)]
        assert {message.topic for message in messages} == {f"fleet/v1/{REGION}/car/{Channel.ACK}"}
        found = [message.payload for message in messages]
        assert {(ack.boot, ack.seq) for ack in (decode(Ack, p) for p in found if b"boot" in p)} == {
            (one, 2),
            (two, 5),
        }
        assert [decode(Rejected, p) for p in found if b"rejected" in p] == [Rejected("ab", "why")]


async def test_positions_are_conflated_into_frames(mosquitto: Mosquitto) -> None:
    async with answering(mosquitto) as (answers, heard):
        count = FRAME_POSITIONS + 500
        for turn in range(3):
            answers.put(Stored(positions=[Position(f"car-{n}", turn, 60.0, 25.0) for n in range(count)]))
        frames = [decode(Positions, (await asyncio.wait_for(heard.get(), 60)).payload) for _ in range(2)]
        positions = [position for frame in frames for position in frame.positions]
        assert len({position.vehicle for position in positions}) == len(positions) == count
        assert {position.time_ms for position in positions} == {2}


async def test_without_a_link_acknowledgements_are_dropped_and_counted(mosquitto: Mosquitto) -> None:
    bridge = MqttBridge(f"mqtt://127.0.0.1:{mosquitto.mqtt_port}", client_id="never")
    metrics = Metrics()
    answers = Answers(REGION, bridge, metrics)
    answers.put(Stored(acks=[(topic("car"), Ack(new_boot(), 1))]))
    await answers.flush(1)
    assert metrics.unanswered._value.get() == 1
