"""One vehicle unit on a real link: the spool, the bridge and the clock around the pure `Unit`."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract import topics
from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.ledger import from_numbers
from fleetcell.contract.messages import Ack, Command, GatewayStatus, Page, Rejected, State, encode
from fleetcell.contract.topics import Channel
from fleetcell.mqtt import Backoff, Message, MqttBridge, NotConnectedError, TlsOptions, Will
from vehicle_sim import wire
from vehicle_sim.delivery import Batch, Delivery, DeliveryPolicy
from vehicle_sim.unit import (
    Action,
    Leave,
    PresencePolicy,
    Renew,
    SendBatch,
    SendClaim,
    SendResponse,
    Unit,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from vehicle_sim.spool import Spool
    from vehicle_sim.tally import Tally

log = structlog.get_logger()

_NEVER: Final = float("inf")
_RENEW_CAP_S: Final = 30.0
_ROOM: Final = 10_000  # readings; far from filling a spool


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How the units of one run reach the platform."""

    broker_url: str
    region: str
    tls: TlsOptions = field(default_factory=TlsOptions)
    presence: PresencePolicy = field(default_factory=PresencePolicy)
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    backoff: Backoff = field(default_factory=Backoff)


class VehicleUnit:
    """One vehicle's unit.

    Args:
        vehicle: its id, also its client id and user name at the broker.
        secret: its password at the broker.
        spool: opened by the caller; `run` closes it.
        link: how the platform is reached.
        tally: counts for the score.
        rng: for jitter.
    """

    def __init__(
        self, vehicle: str, secret: str, spool: Spool, link: LinkOptions, tally: Tally, rng: random.Random
    ) -> None:
        self.vehicle = vehicle
        self.secret = secret
        self.spool = spool
        self._link = link
        self._tally = tally
        self._rng = rng
        self._unit = Unit(Delivery(spool, link.delivery, rng), link.presence, rng)
        self._bridge: MqttBridge | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = _NEVER
        self._digests: dict[int, str] = {}  # batch number -> SHA-256 of its payload
        self._started = 0.0
        self._ever_connected = False
        self._drained = asyncio.Event()
        self._room = asyncio.Event()
        self._registered = asyncio.Event()
        self._log = log.bind(vehicle=vehicle)

    # -- the life of a unit -----------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve and reconnect until `stop` or cancellation (which loses the link: the will)."""
        self._started = self._now()
        for boot_log in self.spool.boots:
            self._unit.delivery.restore(boot_log.boot, boot_log.pending, self._started)
        attempt = 0
        try:
            while not self._unit.gone:
                connected_at = self._now()
                self._bridge = self._make_bridge()
                await self._bridge.run()
                if not self._unit.gone:  # it left to take a newer epoch, or another secret
                    attempt = attempt + 1 if self._now() - connected_at < _RENEW_CAP_S else 0
                    self._do(self._unit.disconnected(self._now()))
                    await asyncio.sleep(Backoff(0.2, _RENEW_CAP_S).delay(attempt, self._rng))
        finally:
            self._cancel_timer()
            self.spool.close()

    def record(self, time_ms: int, signals: Mapping[str, object]) -> None:
        """Keep one reading and send it when it is its turn.

        Raises:
            SpoolError: the reading is too large, or the disk does not take it.
        """
        seq = self.spool.current.last_seq + 1
        _, evicted = self.spool.append(wire.sample(seq, time_ms, dict(signals)))
        self._tally.made += 1
        self._tally.evicted += evicted
        self._note_pending()
        self._do(self._unit.made(self.spool.current.boot, seq, self._now()))

    async def drained(self) -> None:
        """Return when no reading waits for its acknowledgement."""
        self._note_pending()
        await self._drained.wait()

    async def wait_registered(self) -> None:
        """Return when the register shows this session online."""
        await self._registered.wait()

    async def room(self) -> None:
        """Return when few enough readings wait that more may be made without evicting any."""
        self._note_pending()
        await self._room.wait()

    def stop(self) -> None:
        """Shut down cleanly: detach, wait a bounded while for the register to show it, disconnect."""
        self._do(self._unit.stop(self._now()))

    def use_secret(self, secret: str) -> None:
        """Connect with another secret from now on."""
        self.secret = secret
        self._disconnect()

    @property
    def resent(self) -> int:
        """Readings that were sent more than once, each time counted."""
        return self._unit.delivery.resent

    @property
    def registered(self) -> bool:
        """Whether the register shows this session online."""
        return self._unit.registered

    @property
    def refused(self) -> bool:
        """Whether the broker has never let this unit in, and says so."""
        return not self._ever_connected and "refused the connection" in (self.connection_problem or "")

    @property
    def connection_problem(self) -> str | None:
        """Why there is no connection, as far as the broker or the network said; None for one that left."""
        return self._bridge.last_error if self._bridge is not None and not self._unit.gone else None

    # -- actions ----------------------------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            sent = True
            match action:
                case SendClaim():
                    sent = self._publish(Channel.PRESENCE, self._claim(action))
                case SendBatch(batch):
                    sent = self._send_batch(batch)
                case SendResponse(response):
                    sent = self._publish(Channel.RESPONSE, encode(response))
                case Renew(epoch):
                    self._log.info("epoch was used by another session", epoch=epoch)
                    self.spool.epochs.learn(epoch)
                    self._disconnect()
                case Leave():
                    self._disconnect()
            if not sent:
                self._unit.not_sent(action, self._now())
        if self._unit.registered:
            self._registered.set()
        else:
            self._registered.clear()
        self._schedule()

    def _publish(self, channel: Channel, payload: bytes) -> bool:
        topic = topics.vehicle_topic(self._link.region, self.vehicle, channel)
        try:
            return self._bridge is not None and self._bridge.publish_nowait(topic, payload, qos=1)
        except NotConnectedError:
            return False

    def _claim(self, action: SendClaim) -> bytes:
        return wire.claim(action, self._unit.epoch, self.spool, self._link.presence)

    def _send_batch(self, batch: Batch) -> bool:
        boot_log = self.spool.get(batch.boot)
        assert boot_log is not None
        payload = wire.telemetry(batch, self._unit.epoch, boot_log)
        if not self._publish(Channel.TELEMETRY, payload):
            return False
        self._digests[batch.number] = hashlib.sha256(payload).hexdigest()
        self._tally.batches += 1
        return True

    def _disconnect(self) -> None:
        if self._bridge is not None:
            self._bridge.close()

    # -- the bridge ---------------------------------------------------------------------------------

    def _make_bridge(self) -> MqttBridge:
        link = self._link
        return MqttBridge(
            link.broker_url,
            client_id=self.vehicle,
            username=self.vehicle,
            password=self.secret,
            keep_alive=link.presence.keep_alive_s,
            subscriptions=[(name, 1) for name in topics.unit_filters(link.region, self.vehicle)],
            receive=self._receive,
            will=self._will,
            on_connect=self._on_connect,
            on_disconnect=self._on_disconnect,
            backoff=link.backoff,
            tls=link.tls,
            rng=self._rng,
        )

    def _will(self) -> Will:
        """The last claim of the session that is about to begin; its epoch is on the disk first."""
        epoch = self.spool.epochs.take()
        self._unit.connecting(epoch)
        topic = topics.vehicle_topic(self._link.region, self.vehicle, Channel.PRESENCE)
        return Will(topic, wire.will(epoch, self.spool.current.boot))

    async def _on_connect(self) -> None:
        self._tally.connects += 1
        self._ever_connected = True
        self._do(self._unit.connected(self._now()))

    def _on_disconnect(self, reason: str) -> None:
        self._log.debug("link lost", reason=reason)
        self._digests.clear()
        self._do(self._unit.disconnected(self._now()))

    # -- what arrives -------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        try:
            self._handle(message)
        except (FleetcellError, OSError) as error:
            self._tally.bad_messages += 1
            self._log.warning("message not understood", topic=message.topic, reason=str(error))

    def _handle(self, message: Message) -> None:
        now = self._now()
        match wire.read(message):
            case State() as state:
                self._on_state(state, now)
            case GatewayStatus() as status:
                self._do(self._unit.gateway(status, now, retained=message.retain))
            case Page():
                self._do(self._unit.page(now))
            case Ack() as ack:
                self._on_ack(ack, now)
            case Rejected() as rejected:
                self._on_rejected(rejected, now)
            case Command() as command:
                self._do(self._unit.command(command))
            case None:
                pass

    def _on_state(self, state: State, now: float) -> None:
        was_registered = self._unit.registered
        self._do(self._unit.state(state, now))
        if self._unit.registered and not was_registered:
            self._tally.attached(self.vehicle, now - self._started)

    def _on_ack(self, ack: Ack, now: float) -> None:
        count = self.spool.settle(ack.boot, wire.settled_by(ack))
        is_backlog = ack.boot != self.spool.current.boot
        self._tally.settled(count, asyncio.get_running_loop().time(), backlog=is_backlog)
        self._do(self._unit.acked(ack.boot, now))
        self._forget_digests()
        self._note_pending()

    def _on_rejected(self, rejected: Rejected, now: float) -> None:
        self._log.warning("payload rejected", sha256=rejected.rejected, reason=rejected.reason)
        in_flight = self._unit.delivery.in_flight
        found = [number for number, digest in self._digests.items() if digest == rejected.rejected]
        for number in found:
            del self._digests[number]
            if number not in in_flight:
                continue
            boot = in_flight[number].boot
            culprit = self._unit.delivery.rejected(number)
            if culprit is not None:
                self._give_up(boot, culprit)
            self._do(self._unit.acked(boot, now))
        self._note_pending()

    def _give_up(self, boot: str, seq: int) -> None:
        """A reading that the gateway cannot read is kept there as a dead letter: declare the gap."""
        boot_log = self.spool.get(boot)
        if boot_log is not None:
            boot_log.evict(from_numbers([seq]))
            self._tally.rejected += 1

    # -- inside ---------------------------------------------------------------------------------------

    def _now(self) -> float:
        return time.monotonic()

    def _forget_digests(self) -> None:
        in_flight = self._unit.delivery.in_flight
        for number in [number for number in self._digests if number not in in_flight]:
            del self._digests[number]

    def _note_pending(self) -> None:
        pending = self.spool.pending_count
        for event, is_so in ((self._drained, pending == 0), (self._room, pending < _ROOM)):
            if is_so:
                event.set()
            else:
                event.clear()

    def _schedule(self) -> None:
        """Have a timer that fires when something is due; one that fires too early does no harm."""
        due = self._unit.due
        if due >= self._timer_due:
            return
        self._cancel_timer()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - self._now()), self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_due = None, _NEVER
        self._do(self._unit.tick(self._now()))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_due = None, _NEVER
