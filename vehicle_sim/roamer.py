"""The links of one unit: to the gateway that serves it, to one that it tries, to one that it leaves.

`Roaming` decides, `Attempt` and `Farewell` are the two halves of a handover; here they get their links.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from fleetcell.contract.errors import ConfigError
from fleetcell.flag import over
from fleetcell.mqtt import parse_url
from vehicle_sim.alarm import Alarm
from vehicle_sim.gateway_link import Gateway, Link, LinkOptions, Owner
from vehicle_sim.handover import Attempt, Farewell
from vehicle_sim.roaming import Roaming

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from fleetcell.contract.messages import RegionEntry
    from fleetcell.mqtt import Message
    from vehicle_sim.claim_encoder import ClaimEncoder
    from vehicle_sim.spool import Spool
    from vehicle_sim.unit import Unit

log = structlog.get_logger()

_NOBODY: Final[frozenset[asyncio.Task[None]]] = frozenset()  # one for all: each is 200 bytes


class Roams(Owner, Protocol):
    """Whom the serving link and a handover tell."""

    def taken_over(self, epoch: int, heard: Sequence[Message]) -> None:
        """Another gateway serves it, by a session of this epoch; `heard` came in that session before."""

    def renew(self, epoch: int) -> None:
        """Another gateway may have registered a session of this epoch that is not to be: take a later one."""


class Roamer:
    """Keeps one unit at the gateway where it should be.

    Args:
        owner: of the serving link, whichever that is.
        unit: its state machine.
        claims: made by it.
        spool: of its epochs and boots.
        vehicle: its id.
        secret: its password at every broker.
        options: how the platform is reached.
        rng: for jitter.
    """

    def __init__(
        self,
        owner: Roams,
        unit: Unit,
        claims: ClaimEncoder,
        spool: Spool,
        vehicle: str,
        secret: str,
        options: LinkOptions,
        rng: random.Random,
    ) -> None:
        self.secret = secret
        self.link: Link | None = None
        self._owner = owner
        self._unit = unit
        self._claims = claims
        self._vehicle = vehicle
        self._spool = spool
        self._options = options
        self._rng = rng
        entries = options.directory or {}
        if not options.roams:
            entries = {name: entry for name, entry in entries.items() if name == options.region}
        self._roaming = Roaming(options.region, entries, options.roaming, rng, time.monotonic())
        self._began = False
        self._running: asyncio.Task[None] | None = None  # of the serving link
        self._trying: asyncio.Task[None] | None = None
        self._leaving = _NOBODY
        self._alarm = Alarm(self.consider)

    # -- what the unit tells ----------------------------------------------------------------------

    def moved(self, lat: float, lon: float) -> None:
        """It is here, in degrees."""
        self._roaming.moved(lat, lon)
        self.consider()

    def directory(self, entries: Mapping[str, RegionEntry]) -> None:
        """The gateway's directory says this.

        Raises:
            ConfigError: a cell is none.
        """
        if self._options.roams:
            self._roaming.directory(
                {name: entry for name, entry in entries.items() if _reachable(name, entry)}
            )
            self.consider()

    def connected(self) -> None:
        """There is a session at the serving gateway."""
        self._roaming.connected()
        self.consider()

    def lost(self) -> None:
        """There is none."""
        self._roaming.lost(time.monotonic())
        self.consider()

    # -- the serving link -------------------------------------------------------------------------

    async def serve(self) -> None:
        """Connect to the serving gateway, and be handed over to others; returns when `close` has ended that.

        Cancelling it loses every link: the brokers publish the wills.
        """
        if not self._began:
            self._began = True
            self._roaming.start()
        self._roaming.lost(time.monotonic())
        self.link = self._make_link(self._gateway(self._roaming.served), self._owner)
        self._running = asyncio.create_task(self.link.bridge.run())
        self.consider()
        try:
            while True:
                running = self._running
                # Not awaited itself: a link that is just ending could keep our cancellation to itself.
                await over(running)
                running.result()
                if running is self._running:
                    return
        finally:
            self._alarm.cancel()
            await _end(self._trying)

    def close(self) -> None:
        """DISCONNECT from the serving gateway."""
        if self.link is not None:
            self.link.bridge.close()

    def drop(self) -> None:
        """Lose the session without DISCONNECT; the link connects again."""
        if self.link is not None:
            self.link.bridge.drop()

    async def end(self) -> None:
        """Lose the links that are still there."""
        await _end(self._running, *self._leaving)

    # -- handover ---------------------------------------------------------------------------------

    def consider(self) -> None:
        """Look whether the unit should be elsewhere; end a try that it no longer wants."""
        if self._trying is not None:
            if not self._unit.roams:
                self._trying.cancel()
            return
        if self._running is None or self._running.done() or not self._unit.roams:
            return
        now = time.monotonic()
        target = self._roaming.target(now)
        if target is None:
            self._alarm.set(self._roaming.due(now))
        else:
            self._trying = asyncio.create_task(self._try(target))

    async def _try(self, region: str) -> None:
        """Be registered at another gateway, and go there; or leave everything as it is."""
        gateway = self._gateway(region)
        attempt = Attempt(
            self._spool.epochs,
            self._spool.current.boot,
            lambda epoch: self._claims.attach(epoch, gateway),
        )
        link = self._make_link(gateway, attempt)
        running = asyncio.create_task(link.bridge.run())
        taken = False
        try:
            shown = await attempt.succeeds(link, self._options.roaming.try_s)
            taken = shown and attempt.epoch > self._unit.epoch  # else a session here began meanwhile
            if taken:
                self._take(link, running, attempt)
        finally:
            self._trying = None
            if not taken:
                self._keep(running)
                self._withdraw(link, attempt)
                self._roaming.failed(region, time.monotonic())
                log.info("not handed over", vehicle=self._vehicle, to=region, reason=link.bridge.last_error)
                if attempt.epoch > self._unit.epoch:
                    self._owner.renew(attempt.epoch)
        self.consider()

    def _withdraw(self, link: Link, attempt: Attempt) -> None:
        """Leave a gateway that did not register the unit in time, and may do so yet."""
        here = self._roaming.served
        if attempt.epoch and link.bridge.connected:
            self._leave(link, *self._claims.withdrawal(attempt.epoch, link.gateway, here))
        else:
            link.bridge.close()

    def _take(self, link: Link, running: asyncio.Task[None], attempt: Attempt) -> None:
        """The other gateway serves from here on; the old one hears a goodbye."""
        old, old_running = self.link, self._running
        assert old is not None
        assert old_running is not None
        region = link.gateway.region
        log.info("handed over", vehicle=self._vehicle, region=region, left=old.gateway.region)
        self._leave(old, *self._claims.farewell(old.gateway, region, time.monotonic()))
        self._keep(old_running)
        self.link, self._running = link, running
        link.owner = self._owner
        self._roaming.arrived(region, time.monotonic())
        self._owner.taken_over(attempt.epoch, attempt.heard)

    def _leave(self, link: Link, epoch: int, n: int, claim: bytes) -> None:
        """Say goodbye on a link, and close it."""
        link.owner = farewell = Farewell(link, epoch, n, claim)
        self._keep(asyncio.create_task(farewell.say(self._options.presence.stop_wait_s)))

    # -- inside -----------------------------------------------------------------------------------

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._leaving |= {task}
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving = self._leaving - {task} or _NOBODY

    def _gateway(self, region: str) -> Gateway:
        entry = self._roaming.entries.get(region)
        if entry is None:  # the directory does not know it, or no longer
            began = Gateway(self._options.region, self._options.broker_url)
            return began if self.link is None else self.link.gateway
        try:
            return Gateway.of(region, entry, self._vehicle)
        except ConfigError as error:
            log.warning("no address from the region's pool", region=region, reason=str(error))
            return Gateway(region, entry.url)

    def _make_link(self, gateway: Gateway, owner: Owner) -> Link:
        return Link(gateway, self._vehicle, self.secret, self._options, self._rng, owner)


def _reachable(region: str, entry: RegionEntry) -> bool:
    """Whether its address is one: an entry that is not readable costs itself only."""
    try:
        parse_url(entry.url)
    except ValueError as error:
        log.warning("a region of the directory has no address", region=region, reason=str(error))
        return False
    return True


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel tasks and wait until they are over."""
    there = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)
