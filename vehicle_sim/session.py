"""One vehicle unit on a real link: the spool, the bridge and the clock around the pure `Unit`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.events import EventKind
from fleetcell.flag import Flag
from fleetcell.mqtt import Backoff
from vehicle_sim.actions import (
    Action,
    CalledOff,
    Leave,
    Renew,
    Rest,
    Restart,
    SendBatch,
    SendClaim,
    SendResponse,
)
from vehicle_sim.alarm import Alarm
from vehicle_sim.claim_encoder import ClaimEncoder
from vehicle_sim.command_book import CommandBook
from vehicle_sim.commanded import CommandedVehicle
from vehicle_sim.commands import Commands
from vehicle_sim.delivery import Delivery
from vehicle_sim.inbox import Inbox
from vehicle_sim.making import Making
from vehicle_sim.outbox import Outbox
from vehicle_sim.roamer import Roamer
from vehicle_sim.sessions import Sessions
from vehicle_sim.spool import SpoolError
from vehicle_sim.unit import Phase, Unit
from vehicle_sim.uploads import Uploads

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from vehicle_sim.gateway_link import LinkOptions
    from vehicle_sim.links.transport import Modem
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.spool import Spool
    from vehicle_sim.tally import Tally
    from vehicle_sim.truth.witness import Witness
    from vehicle_sim.v2x.radio import Radio

log = structlog.get_logger()

_RENEW_CAP_S: Final = 30.0
_LAST_WORDS_S: Final = 2.0  # for DISCONNECT to cross a cellular link


class VehicleUnit:
    """One vehicle's unit.

    Args:
        vehicle: its id, also its client id and user name at the broker.
        secret: its password at the broker.
        spool: opened by the caller; `run` closes it.
        link: how the platform is reached.
        tally: counts for the score.
        rng: for jitter.
        rate_hz: how often readings are made, until a command changes it; None: they are a recording.
        witness: is told what really happens, for the score.
    """

    def __init__(
        self,
        vehicle: str,
        secret: str,
        spool: Spool,
        link: LinkOptions,
        tally: Tally,
        rng: random.Random,
        rate_hz: float | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.vehicle = vehicle
        self.spool = spool
        self._link = link
        self.tally = tally
        self._rng = rng
        self._witness = witness
        self._unit = Unit(Delivery(spool, link.delivery, rng), link.presence, rng)
        self._uploads = Uploads(spool, self._unit.delivery, tally)
        self._book = CommandBook(spool.directory / "commands.log")
        self._vehicle = CommandedVehicle(self._unit, spool, rate_hz, do=self._do)
        self._commands = Commands(self._book, self._vehicle)
        self._making = Making(spool, tally, self._vehicle.instruments, witness, self._made)
        self._restarting = False
        self._claims = ClaimEncoder(self._unit, spool, link.presence.keep_alive_s)
        self._sessions = Sessions(vehicle, self._unit, spool, self._uploads, tally, do=self._do)
        self._roamer = Roamer(self._sessions, self._unit, self._claims, spool, vehicle, secret, link, rng)
        self._outbox = Outbox(
            self._unit, self._claims, self._uploads, self._vehicle.instruments, self._roamer, witness
        )
        inbox = Inbox(
            vehicle,
            self._unit,
            self._commands,
            self._uploads,
            self._making,
            self._roamer,
            tally,
            witness,
            do=self._do,
            registered=self._register_shows_it,
        )
        self._sessions.begin(self._roamer, inbox)
        self._alarm = Alarm(self._tick)
        self._started = 0.0
        self._registered = Flag()
        self._awake = Flag()

    # -- the life of a unit -----------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve and reconnect until `stop` or cancellation (which loses the link: the will)."""
        self._started = self._now()
        for boot_log in self.spool.boots:
            self._unit.delivery.restore(boot_log.boot, boot_log.pending, self._started)
        attempt = 0
        try:
            self._power_up()
            while not self.gone:
                await self._awake.wait()
                connected_at = self._now()
                await self._roamer.serve()
                if self.gone:
                    break
                self._do(self._unit.disconnected(self._now()))
                if self._restarting:
                    self._restart()
                elif not self.asleep:  # it left to take a newer epoch, or another secret
                    attempt = attempt + 1 if self._now() - connected_at < _RENEW_CAP_S else 0
                    await asyncio.sleep(Backoff(0.2, _RENEW_CAP_S).delay(attempt, self._rng))
            if self._link.modem is not None:
                await self._link.modem.finish(_LAST_WORDS_S)
        finally:
            if self._witness is not None and not self.gone:
                self._witness.killed(self._unit.epoch)
            await self._roamer.end()
            if self._link.modem is not None:
                self._link.modem.drop()
            self._alarm.cancel()
            self._book.close()
            self.spool.close()

    def _power_up(self) -> None:
        """Go on with what commands changed for good, and end those that the last boot had begun.

        Raises:
            SpoolError: the notes of commands cannot be read.
        """
        try:
            self._book.open()
        except OSError as error:
            raise SpoolError(f"the notes of commands cannot be read: {error.strerror}") from error
        self._vehicle.power_up()
        self._vehicle.configure(self._book.config)
        self._commands.powered_up(self.spool.current.boot, datetime.now(UTC))

    def _restart(self) -> None:
        self._restarting = False
        try:
            self.spool.restart()
        except SpoolError as error:
            self._commands.not_done("reboot", str(error), datetime.now(UTC))
            return
        self._vehicle.power_up()
        self._commands.powered_up(self.spool.current.boot, datetime.now(UTC))

    def record(self, time_ms: int, signals: Mapping[str, object], measured_at: float | None = None) -> None:
        """Keep one reading and send it when it is its turn.

        Args:
            time_ms: when it was measured, by the unit's clock.
            signals: by wire key.
            measured_at: the same in seconds of the monotonic clock, so that the unit tells its uptime; None
                where the reading is not of this moment, as in a replay.

        Raises:
            SpoolError: the reading is too large, or the disk does not take it.
        """
        now, radio = self._now(), self.radio
        if radio is not None:
            signals = {**signals, **radio.signals(round(now * 1000))}
        self._making.reading(time_ms, signals, measured_at, now)
        self.place(signals)
        if radio is not None:  # what it heard goes with a reading: who makes none, reports nothing
            for heard in radio.take_reports(round(now * 1000)):
                self.report(time_ms, EventKind.HAZARD_HEARD, heard, measured_at)

    def report(
        self, time_ms: int, kind: str, data: Mapping[str, object], happened_at: float | None = None
    ) -> None:
        """Keep one event and send it: it is delivered like a reading, and does not wait for others.

        `happened_at`: as `measured_at` of a reading.

        Raises:
            SpoolError: the event is too large, or the disk does not take it.
        """
        self._making.event(time_ms, kind, data, happened_at)

    def _made(self, boot: str, seq: int) -> None:
        self._do(self._unit.made(boot, seq, self._now()))

    async def drained(self) -> None:
        """Return when no reading waits for its acknowledgement."""
        await self._making.drained()

    async def wait_registered(self) -> None:
        """Return when the register shows this session online."""
        await self._registered.wait()

    async def awake_before(self, when: float) -> bool:
        """Return when the unit wakes up (True), or at this time of the event loop's clock."""
        try:
            async with asyncio.timeout_at(when):
                await self._awake.wait()
        except TimeoutError:
            return False
        return True

    async def room(self) -> None:
        """Return when few enough readings wait that more may be made without evicting any."""
        await self._making.room()

    def look_v2x(self, motion: Motion | None, unix_ms: int) -> None:
        """As `Sessions.look_v2x`."""
        self._sessions.look_v2x(motion, unix_ms)

    def stop(self) -> None:
        """Shut down cleanly: detach, wait a bounded while for the register to show it, disconnect."""
        self._sessions.leave_v2x()
        self._do(self._unit.stop(self._now()))

    def rest(self, seconds: float) -> None:
        """Sleep for so long, to save power; unless a command wants the vehicle awake until it drives.

        A sleep that is about to begin goes on: begun anew again and again, it never would.
        """
        if not (self._vehicle.kept_awake or self._unit.will_sleep):
            self._sessions.leave_v2x()
            self._vehicle.sleep(seconds)

    def wake(self) -> None:
        """End the sleep, or call off the one that is to come."""
        self._vehicle.kept_awake = False
        self._do(self._unit.wake(self._now()))

    def drop(self) -> None:
        """Lose the session without DISCONNECT, and connect again."""
        self._roamer.drop()

    def use_secret(self, secret: str) -> None:
        """Connect with another secret from now on."""
        self._roamer.secret = secret
        self._roamer.close()

    @property
    def resent(self) -> int:
        """Readings that were sent more than once, each time counted."""
        return self._unit.delivery.resent

    def look(self) -> None:
        """Have it noted whether the unit can be reached now."""
        if self._witness is not None:
            self._witness.look(self._unit.phase, self._unit.epoch)

    @property
    def radio(self) -> Radio | None:
        """Its V2X station, where it has one."""
        return self._sessions.radio

    @radio.setter
    def radio(self, radio: Radio) -> None:
        self._sessions.radio = radio

    @property
    def modem(self) -> Modem | None:
        """Where it is on a simulated cellular link."""
        return self._link.modem

    @property
    def registered(self) -> bool:
        """Whether the register shows this session online."""
        return self._unit.registered

    @property
    def gone(self) -> bool:
        """Whether it has left for good."""
        return self._unit.phase is Phase.GONE

    @property
    def epoch(self) -> int:
        """Of its newest session."""
        return self._unit.epoch

    @property
    def region(self) -> str | None:
        """The region whose gateway it is connected to, or connects to."""
        return None if self._roamer.link is None else self._roamer.link.gateway.region

    @property
    def asleep(self) -> bool:
        """Whether it sleeps: no session, and none wanted."""
        return self._unit.phase is Phase.ASLEEP

    @property
    def rate_hz(self) -> float:
        """How often readings are to be made; not for a recording, which has a rate of its own."""
        assert self._vehicle.rate_hz is not None, "a recording"
        return self._vehicle.rate_hz

    @property
    def refused(self) -> bool:
        """Whether the broker has never let this unit in, and says so."""
        return not self._sessions.any_yet and "refused the connection" in (self.connection_problem or "")

    @property
    def connection_problem(self) -> str | None:
        """Why there is no connection, as far as the broker or the network said; None where none is wanted."""
        link = self._roamer.link
        return None if link is None or self.gone or self.asleep else link.bridge.last_error

    # -- actions ----------------------------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendClaim() | SendBatch() | SendResponse():
                    if not self._outbox.send(action, self._now()):
                        self._unit.not_sent(action, self._now())
                case Renew(epoch):
                    log.info("epoch was used by another session", vehicle=self.vehicle, epoch=epoch)
                    self.spool.epochs.learn(epoch)
                    self._roamer.close()
                case Rest():
                    now = datetime.now(UTC)
                    left = timedelta(seconds=self._unit.sleep_until - self._now())
                    self._commands.slept(now + left, now)
                    self._roamer.close()
                case CalledOff(reason):
                    self._commands.not_done("sleep", reason, datetime.now(UTC))
                case Restart():
                    self._restarting = True
                    self._roamer.close()
                case Leave():
                    self._roamer.close()
        self._registered.show(is_so=self._unit.registered)
        self._awake.show(is_so=not self.asleep)
        self.look()
        self._roamer.consider()
        self._alarm.set(self._unit.due)

    def place(self, signals: Mapping[str, object]) -> None:
        """It is where these readings say, if they do: that may be another region."""
        lat, lon = signals.get("lat"), signals.get("lon")
        if self._claims.place == (lat, lon):  # it stands: the regions and cells around it are the same
            return
        if isinstance(lat, int | float) and isinstance(lon, int | float):
            self._claims.place = lat, lon
            self._roamer.moved(lat, lon)
            if self._link.modem is not None:
                self._link.modem.move(lon, lat)

    def _register_shows_it(self, now: float) -> None:
        self.tally.attached(self.vehicle, now - self._started)

    def _now(self) -> float:
        return time.monotonic()

    def _tick(self) -> None:
        self._do(self._unit.tick(self._now()))
