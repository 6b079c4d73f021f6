"""What the links of a unit tell it: where a session begins and ends, which message came."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from fleetcell.contract.topics import is_v2x
from fleetcell.mqtt import Will
from vehicle_sim import wire
from vehicle_sim.actions import Action, Renew
from vehicle_sim.unit import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fleetcell.mqtt import Message
    from vehicle_sim.inbox import Inbox
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.roamer import Roamer
    from vehicle_sim.spool import Spool
    from vehicle_sim.tally import Tally
    from vehicle_sim.unit import Unit
    from vehicle_sim.uploads import Uploads
    from vehicle_sim.v2x.radio import Radio

log = structlog.get_logger()


class Sessions:
    """The sessions of one unit, one after the other; implements `roamer.Roams`.

    Args:
        vehicle: its id.
        unit: decides; `do` carries out what it decided.
        spool: has the epochs and the boot.
        uploads: forgets what was on its way in a session that is over.
        tally: counts them.

    Attributes:
        any_yet: whether a broker has ever let it in.
        radio: its V2X station, where it has one.
    """

    __slots__ = (
        "_do",
        "_inbox",
        "_roamer",
        "_spool",
        "_tally",
        "_unit",
        "_uploads",
        "_vehicle",
        "any_yet",
        "radio",
    )

    def __init__(
        self,
        vehicle: str,
        unit: Unit,
        spool: Spool,
        uploads: Uploads,
        tally: Tally,
        *,
        do: Callable[[list[Action]], None],
    ) -> None:
        self.any_yet = False
        self.radio: Radio | None = None
        self._vehicle = vehicle
        self._unit = unit
        self._spool = spool
        self._uploads = uploads
        self._tally = tally
        self._do = do

    def begin(self, roamer: Roamer, inbox: Inbox) -> None:
        """To be called before anything else: who has the links, and who takes the messages."""
        self._roamer = roamer
        self._inbox = inbox

    # -- the serving link -----------------------------------------------------------------------------

    async def prepare(self) -> None:
        """The session that is about to begin has an epoch."""
        await self._spool.epochs.prepare()

    def will(self, topic: str) -> Will:
        """The last claim of the session that is about to begin; its epoch is on the disk first."""
        epoch = self._spool.epochs.take()
        self._unit.connecting(epoch)
        return Will(topic, wire.will(epoch, self._spool.current.boot))

    def connected(self) -> None:
        """The broker let it in."""
        self._tally.connects += 1
        self.any_yet = True
        if self.radio is not None:
            self.radio.connected()
        self._roamer.connected()
        self._do(self._unit.connected(time.monotonic()))

    def lost(self, reason: str) -> None:
        """The session is gone."""
        log.debug("link lost", vehicle=self._vehicle, reason=reason)
        self._uploads.forget_all()
        self._do(self._unit.disconnected(time.monotonic()))
        self._roamer.lost()

    def receive(self, message: Message) -> None:
        """A message came."""
        if self.radio is not None and is_v2x(message.topic):
            self.radio.heard(message.topic, message.payload, round(time.monotonic() * 1000))
        else:
            self._inbox.take(message, time.monotonic())

    # -- handover -------------------------------------------------------------------------------------

    def taken_over(self, epoch: int, heard: Sequence[Message]) -> None:
        """Another gateway serves it now. Its session has attached, and says so once more by this unit."""
        self._tally.handed_over()
        if self.radio is not None:
            self.radio.connected()
        self._uploads.forget_all()
        self._do(self._unit.disconnected(time.monotonic()))
        self._unit.connecting(epoch)
        self._do(self._unit.connected(time.monotonic()))
        for message in heard:
            self.receive(message)

    def renew(self, epoch: int) -> None:
        """A session of this epoch began elsewhere and is not to be: have a later one here."""
        self._do([Renew(epoch)])

    # -- vehicle to everything --------------------------------------------------------------------------

    def look_v2x(self, motion: Motion | None, unix_ms: int) -> None:
        """Let its V2X station speak; `motion`: None, where it has no position; `unix_ms`: its time."""
        link = self._roamer.link
        if self.radio is not None and link is not None and self._unit.phase is Phase.UP:
            now_ms = round(time.monotonic() * 1000)
            self.radio.look(now_ms, unix_ms, motion, link.gateway.region, link)

    def leave_v2x(self) -> None:
        """The vehicle is no longer in traffic, as far as others hear."""
        if self.radio is not None:
            self.radio.leave(round(time.monotonic() * 1000))
