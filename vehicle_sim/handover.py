"""From one gateway to another: attach there, wait until the register shows it, then say goodbye here.

The unit goes on working at its own gateway until the other has registered it, so it is never offline in
between; and since the new session has the later epoch, the register never shows it in two regions.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.messages import State
from fleetcell.contract.topics import Channel
from fleetcell.flag import set_within
from fleetcell.mqtt import Will
from vehicle_sim import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.mqtt import Message
    from vehicle_sim.epoch import EpochCounter
    from vehicle_sim.gateway_link import Link

log = structlog.get_logger()

_REPEAT_FIRST_S: Final = 1.0
_REPEAT_CAP_S: Final = 4.0


class Attempt:
    """Tries to be registered at another gateway; owns the link to it meanwhile.

    Args:
        epochs: where the new session's epoch comes from.
        boot: of the unit.
        attach: makes the attach claim, number 1, of an epoch.

    Attributes:
        epoch: of the newest session; 0 where none was begun.
        heard: what came before the gateway was taken, for whoever owns the link next.
    """

    def __init__(self, epochs: EpochCounter, boot: str, attach: Callable[[int], bytes]) -> None:
        self.epoch = 0
        self.heard: list[Message] = []
        self._epochs = epochs
        self._boot = boot
        self._attach = attach
        self._up = asyncio.Event()
        self._shown = asyncio.Event()

    async def succeeds(self, link: Link, within_s: float) -> bool:
        """Whether the gateway shows the attach in time. The link has to be running."""
        repeat_s = _REPEAT_FIRST_S
        try:
            async with asyncio.timeout(within_s):
                while not self._shown.is_set():
                    await self._up.wait()
                    link.publish(Channel.PRESENCE, self._attach(self.epoch))
                    await set_within(self._shown, repeat_s)
                    repeat_s = min(2 * repeat_s, _REPEAT_CAP_S)
        except TimeoutError:
            return False
        return True

    async def prepare(self) -> None:
        """The session that is about to begin has an epoch."""
        await self._epochs.prepare()

    def will(self, topic: str) -> Will:
        """The will of the session that is about to begin; its epoch is on the disk first."""
        self.epoch = self._epochs.take()
        return Will(topic, wire.will(self.epoch, self._boot))

    def connected(self) -> None:
        """The session is there: claim."""
        self._up.set()

    def lost(self, _reason: str) -> None:
        """The session is gone; the link makes another, which has another epoch."""
        self._up.clear()
        self._shown.clear()
        self.heard.clear()

    def receive(self, message: Message) -> None:
        """Wait for the attach to be shown; keep the rest."""
        self.heard.append(message)
        state = _state_of(message)
        if state is not None and state.epoch == self.epoch and (state.n or 0) >= 1:
            self._shown.set()


class Farewell:
    """Ends a session whose place another has taken; owns its link until that is closed.

    Args:
        link: of the session.
        epoch, n: of the goodbye.
        claim: the goodbye itself.
    """

    def __init__(self, link: Link, epoch: int, n: int, claim: bytes) -> None:
        self._link = link
        self._epoch = epoch
        self._n = n
        self._claim = claim
        self._done = asyncio.Event()

    async def say(self, within_s: float) -> None:
        """Say goodbye until it is shown, for a bounded time, and disconnect."""
        if not self._link.bridge.connected:
            self._done.set()
        try:
            async with asyncio.timeout(within_s):
                while not self._done.is_set():
                    self._link.publish(Channel.PRESENCE, self._claim)
                    await set_within(self._done, _REPEAT_FIRST_S)
        except TimeoutError:
            log.debug("the goodbye was not shown in time", region=self._link.gateway.region)
        self._link.bridge.close()

    async def prepare(self) -> None:
        """It begins no session."""

    def will(self, topic: str) -> Will:
        """Of a session that must not be: the link is closed before it has one."""
        self._link.bridge.close()
        return Will(topic, self._claim)

    def connected(self) -> None:
        """Too late."""
        self._link.bridge.close()

    def lost(self, _reason: str) -> None:
        """The session is gone before the goodbye was shown: there is nothing more to say."""
        self._link.bridge.close()
        self._done.set()

    def receive(self, message: Message) -> None:
        """`state` shows the goodbye, or is cleared: another region's gateway serves the vehicle."""
        if message.topic != self._link.topic(Channel.STATE):
            return
        state = _state_of(message)
        if state is None or (state.epoch, state.n or 0) >= (self._epoch, self._n):
            self._done.set()


def _state_of(message: Message) -> State | None:
    """The `state` that a message is; None for any other, a cleared one, or one that is not readable."""
    try:
        found = wire.read(message)
    except FleetcellError:
        return None
    return found if isinstance(found, State) else None
