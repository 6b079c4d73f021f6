"""The claims of one unit as bytes: what its state machine says, with what only the shell knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetcell.contract.directory import cell_of
from fleetcell.contract.messages import ClaimKind
from fleetcell.contract.presence import Reason
from vehicle_sim import wire
from vehicle_sim.actions import SendClaim

if TYPE_CHECKING:
    from vehicle_sim.gateway_link import Gateway
    from vehicle_sim.spool import Spool
    from vehicle_sim.unit import Unit


class ClaimEncoder:
    """Makes the payloads of claims.

    Attributes:
        place: where the unit is, latitude and longitude in degrees, as far as it is known.
    """

    def __init__(self, unit: Unit, spool: Spool, keep_alive_s: float) -> None:
        self.place: tuple[float, float] | None = None
        self._unit = unit
        self._spool = spool
        self._keep_alive_s = keep_alive_s

    def of(self, sent: SendClaim, epoch: int, gateway: Gateway, *, to: str | None = None) -> bytes:
        """A claim of the session `epoch` at a gateway; `to`: the region that it hands over to."""
        return wire.claim(
            sent,
            epoch,
            self._spool,
            update_interval_s=self._unit.update_interval_s,
            keep_alive_s=self._keep_alive_s,
            cell=None if self.place is None else cell_of(*self.place),
            address=gateway.address,
            to=to,
        )

    def attach(self, epoch: int, gateway: Gateway) -> bytes:
        """The first claim of a session at another gateway."""
        return self.of(SendClaim(ClaimKind.ATTACH, 1, timers=True), epoch, gateway)

    def withdrawal(self, epoch: int, gateway: Gateway, to: str) -> tuple[int, int, bytes]:
        """The goodbye of a session that began with `attach` and is not to be: epoch, number and claim."""
        goodbye = SendClaim(ClaimKind.DETACH, 2, Reason.HANDOVER)
        return epoch, goodbye.n, self.of(goodbye, epoch, gateway, to=to)

    def farewell(self, gateway: Gateway, to: str, now: float) -> tuple[int, int, bytes]:
        """The last claim of the session at a gateway that is left: epoch, number and claim."""
        goodbye = self._unit.farewell(now)
        return self._unit.epoch, goodbye.n, self.of(goodbye, self._unit.epoch, gateway, to=to)
