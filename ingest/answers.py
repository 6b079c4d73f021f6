"""What units and dashboards are told after COMMIT: acknowledgements, and the live positions of the region."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import NotConnectedError
from fleetcell.contract.messages import Position, Positions, encode
from fleetcell.contract.topics import Channel, positions_topic, vehicle_topic

if TYPE_CHECKING:
    from fleetcell.mqtt import MqttBridge
    from ingest.metrics import Metrics
    from ingest.store import Stored

PART: Final = 400  # acknowledgements on their way at once; below the bridge's limit
MOST: Final = 100_000  # acknowledgements waiting; units that get none send again
FRAME_S: Final = 0.2  # least time between two frames of positions
FRAME_POSITIONS: Final = 2000  # positions in one message: about 150 kB


class Answers:
    """Sends the newest acknowledgement of each (vehicle, boot), each rejection, and conflated positions."""

    def __init__(self, region: str, bridge: MqttBridge, metrics: Metrics) -> None:
        self._region = region
        self._bridge = bridge
        self._metrics = metrics
        self._acks: dict[tuple[str, str], bytes] = {}
        self._positions: dict[str, Position] = {}
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()

    def put(self, stored: Stored) -> None:
        """Queue the answers to a committed batch; one that is still waiting is replaced by a newer one."""
        for topic, ack in stored.acks:
            self._put(topic.vehicle, ack.boot, encode(ack))
        for topic, rejected in stored.rejections:
            self._put(topic.vehicle, rejected.rejected, encode(rejected))
        for position in stored.positions:
            self._positions[position.vehicle] = position
        self._wake.set()
        if stored.positions:
            self._moved.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_acks())
            tasks.create_task(self._send_positions())

    async def flush(self, timeout_s: float) -> None:
        """After `run` was cancelled: send the acknowledgements that are waiting, as far as that is quick."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._acks:
                    await self._send_part()
        except (NotConnectedError, TimeoutError):
            self._metrics.unanswered.inc(len(self._acks))

    def _put(self, vehicle: str, what: str, payload: bytes) -> None:
        if len(self._acks) >= MOST and (vehicle, what) not in self._acks:
            self._metrics.unanswered.inc()
            return
        self._acks[vehicle, what] = payload

    async def _send_acks(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._acks:
                try:
                    await self._send_part()
                except NotConnectedError:  # the units reconnect too, and ask again
                    self._metrics.unanswered.inc(len(self._acks))
                    self._acks.clear()

    async def _send_part(self) -> None:
        part = list(self._acks)[:PART]
        sending = [(vehicle, self._acks.pop((vehicle, what))) for vehicle, what in part]
        try:
            await self._bridge.publish_all(
                [(vehicle_topic(self._region, vehicle, Channel.ACK), payload) for vehicle, payload in sending]
            )
        except NotConnectedError:
            self._metrics.unanswered.inc(len(sending))  # some may have come: more are told than were lost
            raise

    async def _send_positions(self) -> None:
        topic = positions_topic(self._region)
        while True:
            await self._moved.wait()
            self._moved.clear()
            moved, self._positions = list(self._positions.values()), {}
            for start in range(0, len(moved), FRAME_POSITIONS):
                frame = Positions(datetime.now(UTC), moved[start : start + FRAME_POSITIONS])
                self._bridge.publish_nowait(topic, encode(frame))
            await asyncio.sleep(FRAME_S)
