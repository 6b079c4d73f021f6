"""The gateway's heartbeat: a row in fleet.gateway for dashboards, the retained `gateway` topic for units."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import GatewayStatus, decode, encode
from fleetcell.contract.topics import gateway_topic
from fleetcell.flag import set_within
from fleetcell.mqtt import Will
from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.mqtt import MqttBridge
    from ingest.database import Connection
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

HEARTBEAT_S: Final = 2.0
REPEAT_S: Final = 300.0  # the topic is published again this often: every unit pays for each of them


class Gateway:
    """Says whether the region stores: while the heartbeat can be written and batches can be committed.

    Args:
        region: which gateway.
        address_pool: the addresses it hands out, as CIDR.
        database: for the heartbeat.
        lag_s: the age of the oldest message that waits, in seconds.
        metrics: shown there too.
        speaks: whether it is this worker that speaks for the region: of several, the registrar's.
        changed: called when the region begins to store, or stops.
    """

    def __init__(
        self,
        region: str,
        address_pool: str | None,
        database: Database,
        lag_s: Callable[[], float],
        metrics: Metrics,
        speaks: Callable[[], bool],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._region = region
        self._tell = changed
        self._address_pool = address_pool
        self._database = database
        self._lag_s = lag_s
        self._metrics = metrics
        self._speaks = speaks
        self._started = time.monotonic()
        self._writing = True  # batches can be committed, as far as is known
        self._beating = False  # the heartbeat could be written
        self._changed = asyncio.Event()

    @property
    def storing(self) -> bool:
        """Whether readings can be stored now."""
        return self._writing and self._beating

    def stored(self) -> None:
        """A batch was committed."""
        self._set(writing=True)

    def failed(self, why: str) -> None:
        """A batch could not be committed."""
        if self._writing:
            log.error("cannot store: units are asked to hold their readings", reason=why)
        self._set(writing=False)

    def will(self) -> Will:
        """What the broker says when this process is lost: nothing is stored."""
        return Will(gateway_topic(self._region), self._status(storing=False), qos=1, retain=True)

    async def run(self, bridge: MqttBridge) -> None:
        """Beat and publish until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._publish(bridge))

    def republish(self) -> None:
        """Publish the status now: the broker may be a new one."""
        self._changed.set()

    def heard(self, payload: bytes) -> None:
        """What is said in the region's name: the will of another worker is not true while we store."""
        try:
            said = decode(GatewayStatus, payload)
        except PayloadError:
            return
        if not said.storing and self.storing:
            self._changed.set()

    def farewell(self, bridge: MqttBridge) -> None:
        """Before a clean stop: units hold their readings until somebody stores again."""
        if not self._speaks():
            return
        bridge.publish_nowait(gateway_topic(self._region), self._status(storing=False), qos=1, retain=True)

    async def _beat(self) -> None:
        while True:
            try:
                async with asyncio.timeout(2 * HEARTBEAT_S), self._database.connection() as connection:
                    await self._write(connection)
            except FAILURES as error:
                if self._beating:
                    log.warning("no heartbeat: the database is away", reason=reason(error))
                self._set(beating=False)
                await asyncio.sleep(0.5)
            else:
                self._set(beating=True)
                await asyncio.sleep(HEARTBEAT_S)

    async def _write(self, connection: Connection) -> None:
        """The heartbeat; one who does not speak for the region only looks whether it could."""
        if not self._speaks():
            await connection.fetchval("SELECT 1")
            return
        await connection.execute(
            statement("heartbeat"),
            self._region,
            self._writing,
            self._lag_s(),
            self._address_pool,
            time.monotonic() - self._started,
        )

    async def _publish(self, bridge: MqttBridge) -> None:
        while True:
            self._changed.clear()
            if self._speaks():
                status = self._status(storing=self.storing)
                bridge.publish_nowait(gateway_topic(self._region), status, qos=1, retain=True)
            await set_within(self._changed, REPEAT_S)

    def _status(self, *, storing: bool) -> bytes:
        return encode(GatewayStatus(storing, datetime.now(UTC), self._address_pool, round(self._lag_s(), 3)))

    def _set(self, *, writing: bool | None = None, beating: bool | None = None) -> None:
        before = self.storing
        self._writing = self._writing if writing is None else writing
        self._beating = self._beating if beating is None else beating
        if self.storing != before:
            self._metrics.storing.set(self.storing)
            self._changed.set()
            self._tell()
            log.info("storing" if self.storing else "not storing", region=self._region)
