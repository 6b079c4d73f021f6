"""The registrar of a region: hears claims, writes the register, lets deadlines pass. There is one at a time.

It has an MQTT connection of its own, so that presence never queues behind telemetry, and it holds an advisory
lock on its database connection: who loses the one has lost the other.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.errors import NotConnectedError, PayloadError, TopicError
from fleetcell.contract.messages import Claim, decode
from fleetcell.contract.presence import Reason
from fleetcell.contract.topics import Channel, VehicleTopic, parse
from fleetcell.flag import set_within
from ingest import office
from ingest.claims import Heard, Sign
from ingest.database import statement
from ingest.failures import FAILURES, reason
from ingest.folding import Return
from ingest.liveness import Liveness
from ingest.pager import Pager
from ingest.pulse import STILL_S, Pulse
from ingest.register import Outcome, Register
from ingest.retries import retries
from ingest.sessions import SESSION_PREFIX, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fleetcell.contract.presence import Timers
    from fleetcell.mqtt import Message, MqttBridge
    from ingest.database import Connection
    from ingest.duty import Duty
    from ingest.metrics import Metrics
    from ingest.pools import Database
    from ingest.publisher import Publisher
    from ingest.vehicles import Vehicles

log = structlog.get_logger()

TICK_S: Final = 1.0  # the sweep looks at least this often
DEAF_S: Final = 2.0  # how long the link may be gone before the vehicles are `unknown (gateway)`
REVOKED_EVERY_S: Final = 3.0  # where a notification was lost: a revoked vehicle is offline within 5 s
CLAIM_LIMIT: Final = 200_000  # vehicles with claims waiting while the database is away


class Registrar:
    """Keeps one region's register.

    Args:
        region: whose vehicles.
        timers: the fleet-wide timers.
        database: connections.
        vehicles: who may claim.
        publisher: woken after each COMMIT.
        connect: makes the registrar's MQTT connection; it is called when this process becomes the registrar.
        metrics: counted there.
        role: called with True when this process has become the registrar, with False when another is.
        duties: done as long as it is.
    """

    def __init__(
        self,
        region: str,
        timers: Timers,
        database: Database,
        vehicles: Vehicles,
        publisher: Publisher,
        connect: Callable[[Registrar], MqttBridge],
        metrics: Metrics,
        role: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._region = region
        self._timers = timers
        self._register = Register(region, timers)
        self._database = database
        self._vehicles = vehicles
        self._publisher = publisher
        self._connect = connect
        self._metrics = metrics
        self._role = role
        self._clock = clock
        self._duties = duties
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret
        self._heard = Heard()
        self._early = Heard()  # while it was not `_listening`
        self._liveness = Liveness(timers.update_interval_s)
        self._wake = asyncio.Event()
        self._bridge: MqttBridge | None = None
        self._pager = Pager(
            region, timers.update_interval_s, lambda: self._bridge, self._liveness.online.keys(), self._rng
        )
        self._pulse = Pulse(timers.update_interval_s)
        self._link: asyncio.Task[None] | None = None
        self._unanswered_since: float | None = None  # None: the broker answers
        self._deaf_since: float | None = None  # None: hearing
        self._marked_deaf = False
        self._listening = False  # from `connected` to `disconnected`
        self._returned = False
        self._back: Return | None = None  # what is still to do since the link is back
        self._hearing = asyncio.Event()
        self._dropped = 0  # messages that its link had no room for, as far as it was noticed
        self._blind_until = 0.0
        self._sweep_at = 0.0
        self._revoked_at = 0.0  # when to look for them next
        self.sessions = Sessions()
        self.leading = False
        self.in_office = False  # as `leading`, but also while the database is away and at the stop

    # -- what comes in; all of it on the event loop --------------------------------------------

    def receive(self, message: Message) -> None:
        """A message of the registrar's MQTT connection."""
        if message.topic.startswith(SESSION_PREFIX):
            self.sessions.hear(message.topic, message.payload)
            return
        try:
            topic = parse(message.topic)
            if not isinstance(topic, VehicleTopic) or topic.channel is not Channel.PRESENCE or message.retain:
                self._metrics.misdirected.inc()
                return
            claim = decode(Claim, message.payload)
        except (TopicError, PayloadError) as error:
            self._metrics.bad_claims.inc()
            log.debug("claim refused", topic=message.topic[:200], reason=str(error))
            return
        heard = self._heard if self._listening else self._early  # before the last SUBACK, after the first
        if len(heard.claims) >= CLAIM_LIMIT and topic.vehicle not in heard.claims:
            self._metrics.dropped.inc()
            self._not_heard()
            return
        self._metrics.claims.inc()
        heard.add(topic.vehicle, claim, self._clock())
        self._wake.set()

    def sign_of_life(
        self,
        vehicle: str,
        epoch: int,
        by: Reason = Reason.TELEMETRY,
        measured_us: int | None = None,
    ) -> None:
        """Telemetry or a response came in a session."""
        sign = Sign(epoch, self._clock(), by, measured_us)
        if self._liveness.note(vehicle, sign):
            self._heard.sign(vehicle, sign)
            self._wake.set()

    async def connected(self) -> None:
        """The link is there (again): what happened meanwhile is unknown.

        First the vehicles are told of that, then their claims count, also those that came before this call.
        """
        self._listening = self._returned = True
        early, self._early = self._early, Heard()
        for vehicle, claims in early.claims.items():
            for claim, at in claims:
                self._heard.add(vehicle, claim, at)
        self._publisher.everything()
        self._wake.set()

    def disconnected(self, _reason: str) -> None:
        """The link is gone."""
        self._listening = False
        self._not_heard()
        self._hearing.clear()
        self._wake.set()

    def credentials_changed(self) -> None:
        """A credential was made or ended."""
        self._revoked_at = 0.0
        self._wake.set()

    def _not_heard(self) -> None:
        """From now on claims may be missing."""
        if self._deaf_since is None:
            since = self._clock() - self._pulse.behind_s()
            self._deaf_since = min(since, since if self._unanswered_since is None else self._unanswered_since)

    def _notice_overflow(self) -> None:
        """What its link had no room for may have been claims."""
        dropped = self.dropped
        if dropped > self._dropped:
            self._not_heard()
        self._dropped = dropped

    @property
    def dropped(self) -> int:
        """Messages that its link had no room for."""
        return 0 if self._bridge is None else self._bridge.dropped

    async def wait_hearing(self) -> None:
        """Return when claims are heard, and what deafness left behind has been settled."""
        await self._hearing.wait()

    # -- the one at a time ----------------------------------------------------------------------

    async def run(self) -> None:
        """Be the registrar, or wait to become it, until cancelled."""
        backoff, attempt = retries(self._timers), 0
        self._deaf_since = self._clock()
        try:
            while True:
                started = self._clock()
                try:
                    await self._try_to_lead()
                except FAILURES as error:
                    log.warning("registrar without database", reason=reason(error))
                if self._clock() - started > 5:
                    attempt = 0
                await asyncio.sleep(backoff.delay(attempt, self._rng))
                attempt += 1
        finally:
            await self._hang_up()

    async def _try_to_lead(self) -> None:
        connection = await self._database.dedicated(least_s=office.ANSWER_S)
        try:
            await office.take(connection, self._region, self._stand_by)
            log.info("registrar", region=self._region)
            self.leading = True
            if self._bridge is None:
                age: float | None = await connection.fetchval(statement("heartbeat_age"), self._region)
                self._deaf_since = self._clock() - max(age or 0.0, 0.0)  # nobody has heard since
            bridge = self._listen()
            await self._lead(connection, bridge)
        finally:
            self.leading = False
            connection.terminate()

    async def _lead(self, connection: Connection, bridge: MqttBridge) -> None:
        """Serve, publish and do the other duties; the failure of one ends the others.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: the database is away.
        """
        assert self._link is not None
        tasks = [
            asyncio.create_task(self._serve(connection)),
            asyncio.create_task(self._publisher.run(bridge)),
            asyncio.create_task(self._pulse.run()),
        ]
        tasks += [asyncio.create_task(duty.run(bridge)) for duty in self._duties]
        try:
            done, _ = await asyncio.wait((*tasks, self._link), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> MqttBridge:
        """The MQTT connection; it stays while the database is away, so that claims are heard."""
        if self._bridge is None or self._link is None or self._link.done():
            self._bridge = self._connect(self)
            self._link = asyncio.create_task(self._bridge.run())
            self._take_office(True)
        return self._bridge

    def _take_office(self, mine: bool) -> None:
        if mine is not self.in_office:
            self.in_office = mine
            self._role(mine)

    async def _stand_by(self) -> None:
        """Another has the office."""
        await self._hang_up()
        self._take_office(False)

    async def _hang_up(self) -> None:
        if self._bridge is not None and self._link is not None:
            await self._bridge.disconnect()
            self._link.cancel()
            await asyncio.gather(self._link, return_exceptions=True)
            self._bridge = self._link = None
            self._deaf_since = self._clock()
            self._marked_deaf = True  # another registrar hears

    # -- the work ----------------------------------------------------------------------------------

    async def _serve(self, connection: Connection) -> None:
        """Do what is due, turn by turn. A statement that fails costs its turn, not the office."""
        self._sweep_at = 0.0
        backoff, attempt = retries(self._timers), 0
        while True:
            self._wake.clear()
            try:
                pause = await self.turn(connection)
            except FAILURES as error:
                log.warning("registrar waits for the database", reason=reason(error))
                await office.keep(connection)
                await asyncio.sleep(backoff.delay(attempt, self._rng))
                attempt += 1
                continue
            attempt = 0
            await set_within(self._wake, pause)

    async def turn(self, connection: Connection) -> float:
        """Do all that is due; seconds until something is due again, if nothing is heard before."""
        self._notice_overflow()
        if self._returned:
            self._begin_return()
        if self._back is not None:
            await self._settle_return(connection, self._back)
        await self._take_all(connection)
        if self._clock() >= self._revoked_at:
            await self._revoke(connection)
        if self._bridge is None or not self._bridge.connected or self._returned:
            await self._note_deafness(connection)
            return TICK_S / 4
        if self._deaf_since is not None:  # connected, but not told of it yet; or claims were dropped
            self._returned = not self._heard and self._hearing.is_set()
            return TICK_S / 4
        if self._clock() >= self._sweep_at:
            answered = await self._answered(self._bridge)
            taken = await self._take_all(connection)
            if not (answered and taken) or self._pulse.behind_s() > 0:
                return TICK_S / 4  # what came meanwhile is read before deadlines count
            self._sweep_at = self._clock() + await self._sweep(connection)
        return min(TICK_S, max(self._sweep_at - self._clock(), 0.0))

    async def _answered(self, bridge: MqttBridge) -> bool:
        """Whether the broker answers now, so that what it had to pass on has been heard.

        Silence says nothing about vehicles as long as the broker may be standing still, or the link to it.
        """
        asked = self._clock()
        try:
            async with asyncio.timeout(STILL_S):
                await bridge.echo()
        except (TimeoutError, NotConnectedError):
            if self._unanswered_since is None:
                self._unanswered_since = asked
            return False
        if self._unanswered_since is not None:
            self._pulse.stood(self._clock() - self._unanswered_since)
            self._unanswered_since = None
        return True

    async def _take_all(self, connection: Connection) -> bool:
        """Take what was heard; False: there is a return, of which the vehicles are to be told before."""
        while self._heard and not self._returned:
            await self._take(connection)
        return not self._returned

    async def _take(self, connection: Connection) -> None:
        taken = self._heard.take(1000)
        try:
            ids = await self._vehicles.resolve(connection, taken.names())
            outcome = await self._register.take(
                connection,
                taken,
                ids,
                age_s=self._age_s,
                address=self.sessions.address,
                blind_window=self._back is not None or self._clock() < self._blind_until,
                back=self._back,
            )
        except BaseException:
            self._heard.put_back(taken)
            raise
        if self._back is not None:
            self._back.spoken |= outcome.told
        self._metrics.refused.inc(len(taken.names()) - len(ids))
        self._metrics.stale_claims.inc(outcome.stale)
        self._done(outcome)

    async def _sweep(self, connection: Connection) -> float:
        """Let deadlines take effect, a part of them: claims go between; seconds until the next look."""
        outcome = await self._register.sweep(
            connection, self._liveness.last, age_s=self._age_s, waiting=self._heard.claims
        )
        self._done(outcome)
        if outcome.more:
            return 0.0
        left = await self._register.next_deadline_s(connection)
        return TICK_S if left is None else min(TICK_S, max(left, 0.01))

    def _age_s(self, at: float) -> float:
        return self._clock() - at

    async def _revoke(self, connection: Connection) -> None:
        """Whose credential was ended is offline."""
        self._revoked_at = self._clock() + REVOKED_EVERY_S
        while True:
            outcome = await self._register.revoked(connection)
            self._done(outcome)
            if not outcome.more:
                break

    async def _note_deafness(self, connection: Connection) -> None:
        if self._marked_deaf or self._deaf_since is None or self._clock() - self._deaf_since < DEAF_S:
            return
        log.warning("the broker is away: vehicles are unknown (gateway)", region=self._region)
        after = 0
        while not self._returned:  # else it is settled at once
            outcome = await self._register.deaf(connection, after, for_s=self._age_s(self._deaf_since))
            outcome.page.clear()  # nobody would hear the page
            self._done(outcome)
            after = outcome.last_id
            if not outcome.more:
                self._marked_deaf = True
                break

    def _begin_return(self) -> None:
        """It hears again. What an earlier return has not done yet is part of this one."""
        since = self._clock() if self._deaf_since is None else self._deaf_since
        self._back = Return(since if self._back is None else min(since, self._back.since))
        self._returned, self._deaf_since = False, None  # the link may be lost again meanwhile
        self._unanswered_since = None

    async def _settle_return(self, connection: Connection, back: Return) -> None:
        """Nobody is known to be online after a time of deafness: page all, with jitter.

        In parts, and claims are taken between two of them: they are what settles it.
        """
        among, paged = await self._register.blind_vehicles(connection), 0
        while True:
            if self._heard and not self._returned:
                await self._take(connection)
            if self._returned:  # lost and there once more meanwhile: all anew, with the next turn
                return
            outcome = await self._register.returned(
                connection, back.after, for_s=self._age_s(back.since), spoken=back.spoken
            )
            page, outcome.page = outcome.page, []
            self._done(outcome)
            self._pager.page(page, among)
            paged += len(page)
            back.after = outcome.last_id
            if not outcome.more:
                break
        self._marked_deaf = False
        self._back = None
        self._blind_until = self._clock() + self._timers.update_interval_s
        if self._deaf_since is None:
            self._hearing.set()
        log.info("hearing", region=self._region, paged=paged)

    def _done(self, outcome: Outcome) -> None:
        """After COMMIT: remember, publish, page."""
        self._liveness.registered(outcome.now)
        for duty in self._duties:
            duty.registered(outcome.now)
        self._metrics.changes.inc(outcome.changes)
        if outcome.answer:
            self._publisher.mark(outcome.answer)
        elif outcome.changes:
            self._publisher.wake()
        self._pager.page(outcome.page)
