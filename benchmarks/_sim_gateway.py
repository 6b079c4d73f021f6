"""What answers the units of the benchmark: registers them, and acknowledges readings at once, in memory.

    python -m benchmarks._sim_gateway URL SECRET

It follows the contract (presence fold, ledger), so units do all that they do with the real ingest. Each line
on standard input is answered by one with its `Figures` since the line before.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import msgspec
import uvloop

from benchmarks._load import GATEWAY, REGION
from fleetcell.contract import ledger, topics
from fleetcell.contract.messages import Ack, Claim, GatewayStatus, decode, encode
from fleetcell.contract.presence import Registration, Timers, fold, to_state
from fleetcell.contract.topics import Channel
from fleetcell.mqtt import Message, MqttBridge
from fleetcell.service import configure_logging

AGE_STEP_S: Final = 0.01
_FULL_S: Final = 0.002


class Sample(msgspec.Struct, frozen=True):
    """Of a reading: what it needs to know."""

    seq: int
    ts: int


class Telemetry(msgspec.Struct, frozen=True):
    """A batch, likewise."""

    boot: str
    samples: list[Sample]


class Event(Sample, frozen=True):
    """An event, which shares the numbers of readings."""

    boot: str


class Figures(msgspec.Struct):
    """What came. `ages`: of the oldest reading of each batch when it came, in steps of `AGE_STEP_S`."""

    batches: int = 0
    fresh: int = 0  # readings that were not there
    again: int = 0
    ages: dict[int, int] = {}

    def age_s(self, share: float) -> float:
        """The age that this share of the batches did not exceed, seconds; 0 where there was none."""
        wanted, seen = share * self.batches, 0
        for step in sorted(self.ages):
            seen += self.ages[step]
            if seen >= wanted:
                return (step + 1) * AGE_STEP_S
        return 0.0


class Gateway:
    """A region's gateway that keeps everything in memory."""

    def __init__(self, url: str, secret: str) -> None:
        self._registrations: dict[str, Registration] = {}
        self._settled: dict[str, ledger.Ranges] = {}  # by boot
        self._ages: Counter[int] = Counter()
        self._figures = Figures()
        self._cursor = 0
        self._answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        filters = [*topics.telemetry_filters(REGION), *topics.presence_filters(REGION)]
        self.bridge = MqttBridge(
            url,
            client_id=GATEWAY,
            username=GATEWAY,
            password=secret,
            subscriptions=[(name, 1) for name in filters],
            receive=self._receive,
            on_connect=self._hello,
            inbox_size=1_000_000,
        )

    def take_figures(self) -> Figures:
        """Since the last time."""
        figures, self._figures = self._figures, Figures()
        figures.ages, self._ages = dict(self._ages), Counter()
        return figures

    async def answer(self) -> None:
        """Send the answers, at QoS 1 as the ingest does, no faster than the broker takes them."""
        while True:
            topic, payload = await self._answers.get()
            while not self.bridge.publish_nowait(topic, payload, qos=1):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(_FULL_S)

    async def _hello(self) -> None:
        status = encode(GatewayStatus(storing=True, at=datetime.now(UTC)))
        await self.bridge.publish(topics.gateway_topic(REGION), status, qos=1, retain=True)

    def _receive(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        assert isinstance(topic, topics.VehicleTopic)
        match topic.channel:
            case Channel.PRESENCE:
                self._claim(topic.vehicle, decode(Claim, message.payload))
            case Channel.EVENT:
                event = decode(Event, message.payload)
                self._store(topic.vehicle, Telemetry(event.boot, [event]))
            case _:
                self._store(topic.vehicle, decode(Telemetry, message.payload))

    def _claim(self, vehicle: str, claim: Claim) -> None:
        held, now = self._registrations.get(vehicle), datetime.now(UTC)
        taken, change = fold(held, claim, now, Timers(), region=REGION)
        self._registrations[vehicle] = taken
        if change is not None or claim.epoch < taken.epoch:
            self._cursor += 1
            self._send(vehicle, Channel.STATE, encode(to_state(vehicle, taken, now)))

    def _store(self, vehicle: str, batch: Telemetry) -> None:
        settled = self._settled.get(batch.boot, ledger.EMPTY)
        came = ledger.from_numbers(sample.seq for sample in batch.samples)
        fresh = sum(last - first + 1 for first, last in ledger.subtract(came, settled))
        settled = self._settled[batch.boot] = ledger.union(settled, came)
        figures = self._figures
        figures.batches += 1
        figures.fresh += fresh
        figures.again += len(batch.samples) - fresh
        oldest = min(sample.ts for sample in batch.samples)
        self._ages[int((time.time() - oldest / 1000) / AGE_STEP_S)] += 1
        up_to = ledger.settled_up_to(settled)
        also = list(settled[1:] if up_to else settled)
        self._send(vehicle, Channel.ACK, encode(Ack(batch.boot, up_to, also or None)))

    def _send(self, vehicle: str, channel: Channel, payload: bytes) -> None:
        self._answers.put_nowait((topics.vehicle_topic(REGION, vehicle, channel), payload))


async def serve(url: str, secret: str) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    gateway = Gateway(url, secret)
    running = asyncio.create_task(gateway.bridge.run())
    answering = asyncio.create_task(gateway.answer())
    while await reader.readline():
        await gateway.bridge.wait_connected()
        sys.stdout.buffer.write(msgspec.json.encode(gateway.take_figures()) + b"\n")
        sys.stdout.buffer.flush()
    answering.cancel()
    gateway.bridge.close()
    await running


if __name__ == "__main__":
    configure_logging("error")
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
