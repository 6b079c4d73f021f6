"""Feeds the hub: presence from the database, positions from MQTT, silent gateways by their heartbeat.

The database is the truth and is read from the hub's cursor. MQTT messages and NOTIFY only wake the
reader up; without both it looks every second, so that nothing is missed.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from dashboard import shapes
from dashboard.database import UNREACHABLE, describe
from dashboard.errors import DatabaseUnavailableError
from dashboard.live.hub import Hub
from dashboard.live.picture import Change, Known, Replay
from fleetcell.contract import messages, topics
from fleetcell.contract.errors import PayloadError, TopicError
from fleetcell.flag import set_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.database import Database, Row
    from dashboard.live.client import Client
    from dashboard.live.cursor import Cursor
    from dashboard.live.filter import Filter
    from dashboard.live.frames import Frame
    from fleetcell.mqtt import Message, MqttBridge

log = structlog.get_logger()

POLL_S: Final = 1.0  # how often the table is read without a wake-up
FLUSH_S: Final = 0.1  # positions are gathered this long
READ_LIMIT: Final = 5000  # presence events read at once
REPLAY_LIMIT: Final = 50_000  # a client that missed more gets a snapshot
REFRESH_S: Final = 5.0  # how often deadlines are read again
RETRY_S: Final = 1.0
READY_TIMEOUT_S: Final = 10.0
_FAILURES = (*UNREACHABLE, DatabaseUnavailableError, asyncpg.PostgresError)


class Feed:
    """The hub's shell: `run` keeps it true, the transports ask it for clients and polls."""

    def __init__(self, database: Database) -> None:
        self.hub = Hub(secrets.token_hex(4))
        self.bridges: Sequence[MqttBridge] = ()  # one to each region's broker
        self.rejected = 0  # MQTT messages that could not be read
        self._database = database
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._loaded = asyncio.Event()
        self._last_read = 0.0  # monotonic
        self._database_ahead = timedelta(0)  # its clock minus ours
        self._heard: dict[str, datetime] = {}  # region to its last sign of life, in database time

    # -- for transports --------------------------------------------------------------------------

    @property
    def lag_s(self) -> float:
        """Seconds since presence was last read from the database."""
        return time.monotonic() - self._last_read if self._last_read else math.inf

    @property
    def ready(self) -> bool:
        """Whether the hub has been loaded."""
        return self._loaded.is_set()

    def now(self) -> datetime:
        """The platform's time: the database's clock."""
        return datetime.now(UTC) + self._database_ahead

    async def wait_ready(self) -> None:
        """Return when the hub is loaded.

        Raises:
            DatabaseUnavailableError: it is not, after ten seconds.
        """
        if not await set_within(self._loaded, READY_TIMEOUT_S):
            raise DatabaseUnavailableError("the live feed could not be loaded yet")

    async def attach(
        self, wanted: Filter, cursor: Cursor | None, *, wake: asyncio.Event, max_hz: float | None = None
    ) -> Client:
        """A live client; `wake` is set when something waits for it. Call `hub.detach` when it is gone."""
        replay = await self._replay_for(cursor)
        return self.hub.attach(
            wanted,
            cursor,
            clock=time.monotonic(),
            now=self.now(),
            wake=wake.set,
            max_hz=max_hz,
            replay=replay,
        )

    def take(self, client: Client) -> Frame | None:
        """The next frame that is due for a client."""
        return client.take(time.monotonic(), self.now(), self.lag_s, self.hub.cursor())

    async def poll(self, wanted: Filter, cursor: Cursor | None) -> list[Frame]:
        """What a polling client has not seen yet."""
        replay = await self._replay_for(cursor)
        return self.hub.poll(wanted, cursor, self.now(), replay)

    async def catch_up(self) -> None:
        """Read the presence events that the hub does not have yet.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        feed = await self._database.fetch_row("feed")
        assert feed is not None
        if feed["generation"] != self.hub.generation or feed["cursor"] < self.hub.sequence:
            log.info("another generation of the feed (an erasure, or another database): it starts again")
            await self._load()
            return
        while self.hub.sequence < feed["cursor"]:
            rows = await self._database.fetch("feed_changes", self.hub.sequence, None, READ_LIMIT)
            for row in rows:
                self._hear(row["region"], row["learned_at"])
            self.hub.apply(_change(row) for row in rows)
            if len(rows) < READ_LIMIT:
                break
            await asyncio.sleep(0)
        self._note_read(feed["at"])

    async def _replay_for(self, cursor: Cursor | None) -> Replay | None:
        """Make the hub able to continue from a cursor; read what only the table still has."""
        await self.wait_ready()
        if cursor is None or cursor.generation != self.hub.generation:
            return None
        if cursor.sequence > self.hub.sequence:  # of another dashboard that is ahead
            await self.catch_up()
        span = self.hub.missing(cursor)
        if span is None:
            return None
        after, up_to = span
        rows = await self._database.fetch("feed_changes", after, up_to, REPLAY_LIMIT + 1)
        if len(rows) > REPLAY_LIMIT:
            return None
        return Replay(up_to, [_change(row) for row in rows])

    # -- the work ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Load the hub and keep it true until cancelled."""
        await self._load_when_possible()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._flush())
            group.create_task(self._refresh())
            group.create_task(self._listen())
            for bridge in self.bridges:
                group.create_task(bridge.run())

    def receive(self, message: Message) -> None:
        """A message from the broker; called on the event loop."""
        try:
            topic = topics.parse(message.topic)
            match topic:
                case topics.RegionTopic(_, "positions"):
                    self._receive_positions(message.payload)
                case topics.VehicleTopic(_, _, topics.Channel.STATE) | topics.RegionTopic(_, "gateway"):
                    self._woken.set()
                case _:
                    pass
        except (TopicError, PayloadError) as error:
            self.rejected += 1
            log.warning("a message was not read", topic=message.topic[:200], reason=str(error))

    def _receive_positions(self, payload: bytes) -> None:
        positions = messages.decode(messages.Positions, payload).positions
        moved = [
            shapes.Moved(one.vehicle, one.lat, one.lon, one.heading, one.speed, shapes.from_ms(one.time_ms))
            for one in positions
        ]
        if self.hub.move(moved):
            self._moved.set()

    async def _load_when_possible(self) -> None:
        while True:
            try:
                await self._load()
            except _FAILURES as error:
                log.warning("the live feed waits for the database", reason=describe(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _load(self) -> None:
        """Read everything in one snapshot of the database, so that vehicles and cursor belong together."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            feed = await self._database.on(connection, "feed")
            vehicles = await self._database.on(connection, "feed_vehicles")
            gateways = await self._database.on(connection, "gateways")
        self._note_read(feed[0]["at"])
        self._judge_gateways(gateways)
        self.hub.load(feed[0]["generation"], feed[0]["cursor"], map(_known, vehicles), self.now())
        self._loaded.set()
        log.info("the live feed is loaded", vehicles=len(vehicles), cursor=feed[0]["cursor"])

    async def _follow(self) -> None:
        """Read the table from the hub's cursor whenever something woke us, and each second."""
        failing = False
        while True:
            self._woken.clear()
            try:
                await self.catch_up()
                await self._read_gateways()
                if not all(bridge.connected for bridge in self.bridges):
                    await self._read_positions()
            except _FAILURES as error:
                if not failing:
                    log.warning("the live feed lost the database", reason=describe(error))
                failing = True
                await asyncio.sleep(RETRY_S)
                continue
            if failing:
                log.info("the live feed has the database again")
                failing = False
            await set_within(self._woken, POLL_S)

    async def _read_gateways(self) -> None:
        self._judge_gateways(await self._database.fetch("gateways"))

    def _judge_gateways(self, gateways: list[Row]) -> None:
        """A gateway whose heartbeat is old, and that wrote no presence since, is silent."""
        silent: dict[str, datetime] = {}
        for row in gateways:
            self._hear(row["region"], row["heartbeat_at"])
            heard = self._heard[row["region"]]
            age = row["heartbeat_age_s"] - (heard - row["heartbeat_at"]).total_seconds()
            if age > shapes.SILENT_AFTER_S:
                silent[row["region"]] = heard
        self.hub.silence(silent)

    async def _read_positions(self) -> None:
        since = self.now() - timedelta(minutes=5)
        rows = await self._database.fetch("feed_positions", since)
        if self.hub.move(moved for row in rows if (moved := _moved(row)) is not None):
            self._moved.set()

    async def _flush(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            self.hub.flush()
            await asyncio.sleep(FLUSH_S)

    async def _refresh(self) -> None:
        """What changes without a presence event: deadlines, which signs of life move, and the roster."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                rows = await self._database.fetch("feed_registrations", timedelta(seconds=3 * REFRESH_S))
            except _FAILURES as error:
                log.debug("deadlines were not refreshed", reason=describe(error))
            else:
                self.hub.refresh(
                    known=(row["vehicle"] for row in rows if row["revoked_at"] is None),
                    revoked=(row["vehicle"] for row in rows if row["revoked_at"] is not None),
                    states=(
                        shapes.state_of(row, since=row["since"]) for row in rows if row["state"] is not None
                    ),
                )

    async def _listen(self) -> None:
        """A second wake-up beside MQTT; without it presence is up to a second late."""
        while True:
            try:
                await self._database.listen("fleetcell_presence", self._woken.set)
            except _FAILURES as error:
                log.debug("no notifications from the database", reason=describe(error))
            await asyncio.sleep(RETRY_S)

    def _hear(self, region: str, at: datetime) -> None:
        self._heard[region] = max(at, self._heard.get(region, at))

    def _note_read(self, database_time: datetime) -> None:
        self._last_read = time.monotonic()
        self._database_ahead = database_time - datetime.now(UTC)


def _known(row: Row) -> Known:
    state = None if row["state"] is None else shapes.state_of(row, since=row["since"])
    return Known(row["vehicle"], state, _moved(row))


def _change(row: Row) -> Change:
    return Change(shapes.state_of(row, since=row["at"]), row["previous_region"])


def _moved(row: Row) -> shapes.Moved | None:
    if row["lat"] is None or row["lon"] is None or row["position_time"] is None:
        return None
    return shapes.Moved(
        row["vehicle"], row["lat"], row["lon"], row["heading"], row["speed"], row["position_time"]
    )
