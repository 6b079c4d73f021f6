"""The region's one publisher of `state`: it follows the presence events, so no crash loses a change.

What it publishes is the register as it stands, so several changes of a vehicle may become one message; the
table has them all. At the start, and when the broker comes back (it may have lost its retained messages),
everything is published anew.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.errors import NotConnectedError
from fleetcell.contract.messages import PresenceState, encode
from fleetcell.contract.presence import Reason, to_state
from fleetcell.contract.topics import Channel, vehicle_topic
from fleetcell.flag import set_within
from fleetcell.mqtt import Backoff
from ingest.database import statement
from ingest.failures import FAILURES, reason
from ingest.register import from_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    import asyncpg

    from fleetcell.mqtt import MqttBridge
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

POLL_S: Final = 2.0  # where a notification was lost
PART: Final = 400  # messages on their way at once; below the bridge's limit of unacknowledged ones


class Publisher:
    """Publishes the retained `state` of a region's vehicles.

    Args:
        region: whose vehicles.
        database: for reading the register.
        metrics: counted there.
    """

    def __init__(self, region: str, database: Database, metrics: Metrics) -> None:
        self._region = region
        self._database = database
        self._metrics = metrics
        self._cursor = 0
        self._marked: set[int] = set()
        self._everything = True
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There are new presence events."""
        self._wake.set()

    def mark(self, vehicle_ids: set[int]) -> None:
        """Publish these vehicles' state again although it has not changed: somebody waits for it."""
        self._marked |= vehicle_ids
        self._wake.set()

    def everything(self) -> None:
        """Publish the state of each vehicle of the region again."""
        self._everything = True
        self._wake.set()

    async def run(self, bridge: MqttBridge) -> None:
        """Publish until cancelled; a failing database is tried again."""
        self._everything = True  # another process may have published meanwhile
        backoff, attempt, rng = Backoff(first=0.2, cap=5.0), 0, random.Random()  # noqa: S311 - jitter
        while True:
            await bridge.wait_connected()
            self._wake.clear()
            try:
                if self._everything:
                    await self._publish_everything(bridge)
                while await self._publish_changes(bridge):
                    pass
                while await self._clear_erased(bridge):
                    pass
            except NotConnectedError:
                self._everything = True
                await asyncio.sleep(0)  # `wait_connected` waits as soon as the bridge has noticed
                continue
            except FAILURES as error:
                log.warning("states wait for the database", reason=reason(error))
                # Not slept through: a wake-up follows a COMMIT of the registrar, so the database is back.
                await set_within(self._wake, backoff.delay(attempt, rng))
                attempt += 1
                continue
            attempt = 0
            await set_within(self._wake, POLL_S)

    async def _publish_everything(self, bridge: MqttBridge) -> None:
        self._everything = False
        try:
            async with self._database.connection() as connection:
                cursor: int = await connection.fetchval(statement("presence_cursor"))
            after = 0
            while True:
                async with self._database.connection() as connection:
                    rows = await connection.fetch(statement("region_vehicles"), self._region, after, PART)
                if not rows:
                    break
                await self._publish(bridge, [row["vehicle_id"] for row in rows])
                after = rows[-1]["vehicle_id"]
        except BaseException:
            self._everything = True
            raise
        self._cursor = cursor

    async def _publish_changes(self, bridge: MqttBridge) -> bool:
        """Publish what has changed or is waited for; whether there may be more."""
        marked, self._marked = self._marked, set()
        try:
            async with self._database.connection() as connection:
                events = await connection.fetch(statement("presence_since"), self._cursor, self._region, PART)
            vehicle_ids = list(marked.union(event["vehicle_id"] for event in events))
            for start in range(0, len(vehicle_ids), PART):
                await self._publish(bridge, vehicle_ids[start : start + PART], asking=marked)
        except BaseException:
            self._marked |= marked
            raise
        if events:
            self._cursor = events[-1]["cursor"]
        return len(events) == PART

    async def _clear_erased(self, bridge: MqttBridge) -> bool:
        """Take the retained state of erased vehicles away, and note it; whether there may be more.

        This task alone publishes states, so none that was read before an erasure comes after this.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement("uncleared_states"), self._region, PART)
        if not rows:
            return False
        topics = [vehicle_topic(self._region, row["vehicle"], Channel.STATE) for row in rows if row["erased"]]
        await asyncio.gather(*(bridge.publish(topic, b"", qos=1, retain=True) for topic in topics))
        async with self._database.connection() as connection:
            await connection.execute(statement("states_cleared"), self._region, [row["id"] for row in rows])
        return len(rows) == PART

    async def _publish(
        self, bridge: MqttBridge, vehicle_ids: Sequence[int], asking: AbstractSet[int] = frozenset()
    ) -> None:
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement("registrations"), vehicle_ids)
        asks = (row["vehicle_id"] in asking for row in rows)
        await asyncio.gather(*map(partial(self._publish_one, bridge), rows, asks))
        self._metrics.states.inc(len(rows))

    async def _publish_one(self, bridge: MqttBridge, row: asyncpg.Record, asks: bool) -> None:
        registration = from_row(row)
        topic = vehicle_topic(self._region, row["vehicle"], Channel.STATE)
        left = (registration.state, registration.reason) == (PresenceState.UNKNOWN, Reason.HANDOVER)
        served = registration.region == self._region and not left and row["erased_at"] is None
        state = encode(to_state(row["vehicle"], registration, row["created_at"]))
        await bridge.publish(topic, state if served else b"", qos=1, retain=True)
        if asks and not served and row["erased_at"] is None:
            # It claims here, and the register has it elsewhere with a later epoch: its counter was lost.
            # It is told, so that it can take a later one; it is not served here, so nothing is retained.
            await bridge.publish(topic, state, qos=1)
