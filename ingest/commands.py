"""Commands of a region: sent, paged for, answered, expired. The registrar runs this while it is in office.

All that is known is in `fleet.command`, so a restart of any part loses nothing. A command is marked `sent`
and committed before it is published: killed in between, it is sent again, and its id keeps the unit from
doing it twice. Woken by notifications, by vehicles that speak up, by responses, and by the next time that
is due: an idle fleet costs one look a minute.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from fleetcell.contract.commands import MAX_JSON, TERMINAL, CommandEvent, CommandState, Progress, check_result
from fleetcell.contract.errors import NotConnectedError, PayloadError, TopicError
from fleetcell.contract.messages import Command, Page, PresenceState, Response, ResponseState, decode, encode
from fleetcell.contract.topics import Channel, VehicleTopic, parse, vehicle_topic
from fleetcell.flag import set_within
from fleetcell.mqtt import Backoff
from ingest.database import statement
from ingest.dispatch import OUTCOME_WAIT_S, Due, Plan, answered, is_attached, not_taken, plan
from ingest.failures import FAILURES, reason, refuses_data
from ingest.register import database_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    import asyncpg

    from fleetcell.contract.presence import Registration
    from fleetcell.mqtt import Message, MqttBridge
    from ingest.database import Connection
    from ingest.metrics import Metrics
    from ingest.pools import Database

log = structlog.get_logger()

CHANNEL: Final = "fleetcell_commands"  # of the notification that there is a new one
PART: Final = 100  # commands in one transaction, and on their way to the broker at once
WAITING: Final = 10_000  # responses kept while the database is away
MAX_RESPONSE: Final = 2 * MAX_JSON  # bytes
LEAST_PAUSE_S: Final = 0.05
MOST_PAUSE_S: Final = 60.0
NO_BROKER_S: Final = 1.0  # least pause while nothing can be sent

REACHABLE: Final = (PresenceState.ONLINE, PresenceState.SUSPECT)


class Commands:
    """Serves the commands of the vehicles of one region.

    Args:
        region: whose vehicles.
        database: connections.
        metrics: counted there.
        retry_s: seconds until an unanswered command is sent, or a vehicle paged, a second time.
        heard: called with vehicle and epoch when a response came: it is a sign of life of that session.
        now: the time that deadlines are compared with: the database's, one clock for all.
        clock: monotonic, for pauses.
    """

    def __init__(
        self,
        region: str,
        database: Database,
        metrics: Metrics,
        retry_s: float,
        heard: Callable[[str, int], None],
        now: Callable[[Connection], Awaitable[datetime]] = database_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._region = region
        self._database = database
        self._metrics = metrics
        self._retry_s = retry_s
        self._heard = heard
        self._now = now
        self._clock = clock
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._responses: deque[tuple[str, Response]] = deque()
        self._seen: dict[str, tuple[PresenceState, int, bool]] = {}  # state, epoch and `lost` by vehicle
        self._changed: set[str] = set()  # vehicles to look at
        self._look = True  # something may be due
        self._due_at = 0.0
        self._wake = asyncio.Event()

    # -- what comes in; all of it on the event loop -----------------------------------------------

    def wake(self) -> None:
        """There may be a new command, or the broker is back."""
        self._look = True
        self._wake.set()

    def registered(self, now: Mapping[str, Registration]) -> None:
        """These registrations were committed: a vehicle in another state or session may be reachable now."""
        for vehicle, registration in now.items():
            seen = registration.state, registration.epoch, registration.lost
            if self._seen.get(vehicle) != seen:
                self._seen[vehicle] = seen
                if registration.state in REACHABLE:
                    self._changed.add(vehicle)
                    self._wake.set()

    def receive(self, message: Message) -> None:
        """A message of a `response` topic."""
        try:
            topic = parse(message.topic)
        except TopicError:
            topic = None
        if not isinstance(topic, VehicleTopic) or topic.channel is not Channel.RESPONSE or message.retain:
            self._metrics.misdirected.inc()
            return
        vehicle = topic.vehicle
        if len(message.payload) > MAX_RESPONSE:
            self._refuse(vehicle, "size", f"{len(message.payload)} bytes")
            return
        try:
            response = decode(Response, message.payload)
            UUID(response.id)
        except (PayloadError, ValueError) as error:
            self._refuse(vehicle, "malformed", str(error))
            return
        try:
            check_result(response.result)
            check_result([response.error, response.code])
        except PayloadError as error:
            self._refuse(vehicle, "malformed", str(error))
            return
        if response.epoch is not None:
            self._heard(vehicle, response.epoch)  # now: it may wait for the database
        if len(self._responses) >= WAITING:
            self._refuse(vehicle, "dropped", "no room")  # the command is sent again, and answered again
        else:
            self._responses.append((vehicle, response))
            self._wake.set()

    def _refuse(self, vehicle: str, why: str, detail: str) -> None:
        self._metrics.responses_refused.labels(why).inc()
        log.debug("response refused", vehicle=vehicle, reason=why, detail=detail)

    # -- the work -----------------------------------------------------------------------------------

    async def run(self, bridge: MqttBridge) -> None:
        """Serve until cancelled; a failing database is tried again."""
        self.begin()
        backoff, attempt = Backoff(first=0.2, cap=5.0), 0
        while True:
            try:
                pause = await self.turn(bridge)
                attempt = 0
            except FAILURES as error:
                log.warning("commands wait for the database", reason=reason(error))
                self._look = True
                await asyncio.sleep(backoff.delay(attempt, self._rng))
                attempt += 1
                continue
            await set_within(self._wake, pause)

    def begin(self) -> None:
        """Take office: another registrar may have been in it."""
        self._seen.clear()
        self._look = True

    @property
    def woken(self) -> bool:
        """Whether something came that the next turn should not wait with."""
        return self._wake.is_set()

    async def turn(self, bridge: MqttBridge) -> float:
        """Do what is due; seconds until the next turn, if nothing wakes it before.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database is away.
        """
        self._wake.clear()
        while self._responses:
            await self._take_responses()
        if self._changed:
            await self._look_at_changed()
        if self._look or self._clock() >= self._due_at:
            self._look = False
            while await self._expire() == PART:
                pass
            while bridge.connected and await self._dispatch(bridge) == PART:
                pass
            self._due_at = self._clock() + await self._next_s(bridge)
        return max(self._due_at - self._clock(), 0.0)

    async def _next_s(self, bridge: MqttBridge) -> float:
        async with self._database.connection() as connection:
            now = await self._now(connection)
            left: float | None = await connection.fetchval(statement("next_command"), self._region, now)
        least = LEAST_PAUSE_S if bridge.connected else NO_BROKER_S
        return MOST_PAUSE_S if left is None else min(max(left, least), MOST_PAUSE_S)

    async def _look_at_changed(self) -> None:
        """Vehicles in another state or session: what is under way for them is due."""
        changed, self._changed = self._changed, set()
        try:
            async with self._database.connection() as connection:
                now = await self._now(connection)
                done = await connection.execute(statement("wake_commands"), sorted(changed), now)
        except BaseException:
            self._changed |= changed
            raise
        if done != "UPDATE 0":
            self._look = True

    async def _expire(self) -> int:
        async with self._database.connection() as connection:
            now = await self._now(connection)
            rows = await connection.fetch(statement("expire_commands"), PART, now)
        self._metrics.commands_expired.inc(len(rows))
        return len(rows)

    # -- to the units --------------------------------------------------------------------------------

    async def _dispatch(self, bridge: MqttBridge) -> int:
        """Mark what is due and COMMIT, then publish it; how many were looked at."""
        async with self._database.connection() as connection:
            marked = await self.mark(connection)
        await asyncio.gather(*(self._publish(bridge, row, planned) for row, planned in marked))
        return len(marked)

    async def mark(self, connection: Connection) -> list[tuple[asyncpg.Record, Plan]]:
        """Decide and write what is due, up to PART of them; what is to be published is committed first."""
        async with connection.transaction():
            now = await self._now(connection)
            rows = await connection.fetch(statement("due_commands"), self._region, PART, now)
            marked = [(row, plan(_due(row), now, self._retry_s)) for row in rows]
            if marked:
                written = [_written(row["id"], planned) for row, planned in marked]
                await connection.execute(statement("write_commands"), encode(written).decode())
                steps = [_sent_step(row["id"], planned) for row, planned in marked if planned.event]
                await connection.execute(statement("add_command_steps"), encode(steps).decode())
        return marked

    async def _publish(self, bridge: MqttBridge, row: asyncpg.Record, planned: Plan) -> None:
        vehicle = row["vehicle"]
        try:
            match planned.event:
                case CommandEvent.SENT:
                    topic = vehicle_topic(self._region, vehicle, Channel.COMMAND)
                    await bridge.publish(topic, encode(_command(row, planned)), qos=1)
                    self._metrics.commands_sent.inc()
                case CommandEvent.PAGED:
                    topic = vehicle_topic(self._region, vehicle, Channel.PAGE)
                    await bridge.publish(topic, encode(Page(secrets.token_hex(8))), qos=1)
                    self._metrics.commands_paged.inc()
                case _:
                    pass
        except NotConnectedError:
            log.debug("not published: sent again when the broker is back", command=str(row["id"]))

    # -- from the units -------------------------------------------------------------------------------

    async def _take_responses(self, limit: int = PART) -> None:
        """Store what came; what the database refuses costs only itself."""
        batch = [self._responses.popleft() for _ in range(min(limit, len(self._responses)))]
        try:
            await self._take(batch)
        except BaseException as error:
            if refuses_data(error) and len(batch) == 1:
                self._refuse(batch[0][0], "malformed", reason(error))
                return
            self._responses.extendleft(reversed(batch))
            if not refuses_data(error):
                raise
            for _ in batch:
                await self._take_responses(1)

    async def _take(self, batch: list[tuple[str, Response]]) -> None:
        async with self._database.connection() as connection:
            heard = await self._store(connection, batch)
        for vehicle, epoch in heard:
            self._heard(vehicle, epoch)

    async def _store(
        self, connection: Connection, batch: list[tuple[str, Response]]
    ) -> list[tuple[str, int]]:
        """Fold responses into their commands; the sessions of those that do not tell theirs, by vehicle."""
        heard: list[tuple[str, int]] = []
        written: dict[UUID, dict[str, Any]] = {}
        refused: set[UUID] = set()
        steps: list[dict[str, Any]] = []
        async with connection.transaction():
            ids = {UUID(response.id) for _, response in batch}
            rows = {row["id"]: row for row in await connection.fetch(statement("lock_commands"), sorted(ids))}
            progress = {number: _progress(row) for number, row in rows.items()}
            for vehicle, response in batch:
                number = UUID(response.id)
                row = rows.get(number)
                if row is None or row["vehicle"] != vehicle:
                    self._refuse(vehicle, "unknown" if row is None else "other vehicle", response.id)
                    continue
                self._metrics.responses.inc()
                if response.epoch is None and row["epoch"] is not None:
                    heard.append((vehicle, row["epoch"]))
                if progress[number].state not in TERMINAL and not_taken(response, row["epoch"]):
                    if number not in refused:
                        refused.add(number)
                        steps.append(_step(number, "not_taken", progress[number].state, response))
                elif (now := answered(progress[number], response)) is not None:
                    progress[number] = now
                    written[number] = _answer(number, now, response)
                    steps.append(_step(number, response.state, now.state, response))
            if refused:
                await connection.execute(statement("not_taken_commands"), sorted(refused))
            if written:
                rows_ = encode(list(written.values())).decode()
                await connection.execute(statement("write_responses"), rows_, OUTCOME_WAIT_S)
            if steps:
                await connection.execute(statement("add_command_steps"), encode(steps).decode())
        return heard


def _due(row: asyncpg.Record) -> Due:
    return Due(
        state=CommandState(row["state"]),
        not_after=row["not_after"],
        epoch=row["epoch"],
        sent=row["sent"],
        pages=row["pages"],
        vehicle_state=(state := PresenceState(row["vehicle_state"])),
        vehicle_epoch=row["vehicle_epoch"],
        attached=is_attached(state, row["reason"], lost=row["lost"]),
    )


def _written(number: UUID, planned: Plan) -> dict[str, Any]:
    return {
        "id": number,
        "state": planned.state,
        "epoch": planned.epoch,
        "sent": planned.sent,
        "pages": planned.pages,
        "next_at": planned.next_at,
        "event": planned.event,
    }


def _sent_step(number: UUID, planned: Plan) -> dict[str, Any]:
    attempt = planned.pages if planned.event is CommandEvent.PAGED else planned.sent
    detail = {"attempt": attempt}
    if planned.event is CommandEvent.SENT and planned.epoch is not None:
        detail["epoch"] = planned.epoch
    return {"id": number, "event": planned.event, "state": planned.state, "detail": detail}


def _command(row: asyncpg.Record, planned: Plan) -> Command:
    assert planned.epoch is not None
    return Command(
        id=str(row["id"]),
        name=row["name"],
        epoch=planned.epoch,
        not_after=row["not_after"],
        args=msgspec.json.decode(row["args"]),
        require=msgspec.json.decode(row["require"]) or None,
    )


def _progress(row: asyncpg.Record) -> Progress:
    outcome = row["outcome"]
    return Progress(CommandState(row["state"]), None if outcome is None else ResponseState(outcome))


def _answer(number: UUID, now: Progress, response: Response) -> dict[str, Any]:
    return {
        "id": number,
        "state": now.state,
        "outcome": now.outcome,
        "code": response.code,
        "result": response.result,
        "error": response.error,
        "ended": now.state in TERMINAL,
    }


def _step(number: UUID, event: str, state: CommandState, response: Response) -> dict[str, Any]:
    detail = {"epoch": response.epoch, "code": response.code, "error": response.error}
    kept = {name: value for name, value in detail.items() if value is not None}
    return {"id": number, "event": event, "state": state, "detail": kept}
