"""What a gateway tells a unit, handed to the part of it that it concerns."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.messages import Ack, Command, Directory, GatewayStatus, Page, Rejected, State
from vehicle_sim import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleetcell.mqtt import Message
    from vehicle_sim.actions import Action
    from vehicle_sim.commands import Commands
    from vehicle_sim.making import Making
    from vehicle_sim.roamer import Roamer
    from vehicle_sim.tally import Tally
    from vehicle_sim.truth.witness import Witness
    from vehicle_sim.unit import Unit
    from vehicle_sim.uploads import Uploads

log = structlog.get_logger()


class Inbox:
    """Of one unit.

    Args:
        vehicle: its id.
        unit: decides; `do` carries out what it decided.
        commands, uploads, making, roamer: the other parts of it.
        tally: counts what is not understood.
        witness: is told of commands, for the score.
        registered: called with the time when the register shows a session online that it did not before.
    """

    __slots__ = (
        "_commands",
        "_do",
        "_making",
        "_registered",
        "_roamer",
        "_tally",
        "_unit",
        "_uploads",
        "_vehicle",
        "_witness",
    )

    def __init__(
        self,
        vehicle: str,
        unit: Unit,
        commands: Commands,
        uploads: Uploads,
        making: Making,
        roamer: Roamer,
        tally: Tally,
        witness: Witness | None,
        *,
        do: Callable[[list[Action]], None],
        registered: Callable[[float], None],
    ) -> None:
        self._vehicle = vehicle
        self._unit = unit
        self._commands = commands
        self._uploads = uploads
        self._making = making
        self._roamer = roamer
        self._tally = tally
        self._witness = witness
        self._do = do
        self._registered = registered

    def take(self, message: Message, now: float) -> None:
        """A message came; one that is not understood is counted, and changes nothing."""
        try:
            self._take(message, now)
        except (FleetcellError, OSError) as error:
            self._tally.bad_messages += 1
            log.warning(
                "message not understood", vehicle=self._vehicle, topic=message.topic, reason=str(error)
            )

    def _take(self, message: Message, now: float) -> None:
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
                if self._witness is not None:
                    self._witness.ordered(command)
                self._commands.take(command, datetime.now(UTC))
            case Directory() as directory:
                self._roamer.directory(directory.regions)
            case None:
                pass

    def _on_state(self, state: State, now: float) -> None:
        was_registered = self._unit.registered
        self._do(self._unit.state(state, now))
        if self._unit.registered and not was_registered:
            self._registered(now)

    def _on_ack(self, ack: Ack, now: float) -> None:
        self._uploads.acked(ack, asyncio.get_running_loop().time())
        self._do(self._unit.acked(ack.boot, now))
        self._uploads.forget()
        self._making.settled()

    def _on_rejected(self, rejected: Rejected, now: float) -> None:
        log.warning(
            "payload rejected", vehicle=self._vehicle, sha256=rejected.rejected, reason=rejected.reason
        )
        for boot in self._uploads.rejected(rejected):
            self._do(self._unit.acked(boot, now))
        self._making.rejected()
