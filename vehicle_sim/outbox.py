"""What a unit tells a gateway: its claims, batches and responses as messages on the serving link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleetcell.contract.messages import encode
from fleetcell.contract.topics import Channel
from vehicle_sim.actions import SendBatch, SendClaim, SendResponse

if TYPE_CHECKING:
    from fleetcell.contract.messages import Response
    from vehicle_sim.claim_encoder import ClaimEncoder
    from vehicle_sim.delivery import Batch
    from vehicle_sim.instruments import Instruments
    from vehicle_sim.roamer import Roamer
    from vehicle_sim.truth.witness import Witness
    from vehicle_sim.unit import Unit
    from vehicle_sim.uploads import Uploads


class Outbox:
    """Of one unit.

    Args:
        unit: has the session's epoch.
        claims, uploads: make the payloads.
        instruments: tell the uptime.
        roamer: has the link.
        witness: is told what was answered, for the score.
    """

    __slots__ = (
        "_claims",
        "_instruments",
        "_roamer",
        "_unit",
        "_uploads",
        "_witness",
    )

    def __init__(
        self,
        unit: Unit,
        claims: ClaimEncoder,
        uploads: Uploads,
        instruments: Instruments,
        roamer: Roamer,
        witness: Witness | None,
    ) -> None:
        self._unit = unit
        self._claims = claims
        self._uploads = uploads
        self._instruments = instruments
        self._roamer = roamer
        self._witness = witness

    def send(self, action: SendClaim | SendBatch | SendResponse, now: float) -> bool:
        """Whether the link took it."""
        match action:
            case SendClaim():
                return self._publish(Channel.PRESENCE, self._claim(action))
            case SendBatch(batch):
                return self._send_batch(batch, now)
            case SendResponse(response):
                return self._answer(response)

    def _publish(self, channel: Channel, payload: bytes) -> bool:
        link = self._roamer.link
        return link is not None and link.publish(channel, payload)

    def _claim(self, action: SendClaim) -> bytes:
        link = self._roamer.link
        assert link is not None, "an epoch is of a link"
        return self._claims.of(action, self._unit.epoch, link.gateway)

    def _answer(self, response: Response) -> bool:
        stamped = msgspec.structs.replace(response, epoch=self._unit.epoch)
        if not self._publish(Channel.RESPONSE, encode(stamped)):
            return False
        if self._witness is not None:
            self._witness.answered(response)
        return True

    def _send_batch(self, batch: Batch, now: float) -> bool:
        up_ms = self._instruments.up_ms(now)
        channel, payload = self._uploads.message(batch, self._unit.epoch, up_ms)
        if not self._publish(channel, payload):
            return False
        self._uploads.sent(batch, payload)
        return True
