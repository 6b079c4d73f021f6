"""Signs of life: the last one of each vehicle, and which of them are worth a write to the register. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import PresenceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleetcell.contract.registration import Registration
    from ingest.claims import Sign

UNSETTLED_S: Final = 0.5  # least time between two signs of life of a vehicle that is not online
MOST_SIGN_S: Final = 15.0  # most time between two signs of life that move a deadline


class Liveness:
    """Of the vehicles of a region.

    Args:
        update_interval_s: the fleet's, s. Four times in it a sign of life moves a deadline, if one comes.

    Attributes:
        online: the epoch of each vehicle that is known to be online.
    """

    def __init__(self, update_interval_s: float) -> None:
        self.online: dict[str, int] = {}
        self._every_s = min(MOST_SIGN_S, update_interval_s / 4)
        self._last: dict[str, Sign] = {}
        self._written: dict[str, float] = {}  # when a sign of life last went to the register

    def note(self, vehicle: str, sign: Sign) -> bool:
        """Keep a sign of life; whether it goes to the register: soon, where its session is not online."""
        self._last[vehicle] = sign
        gap = self._every_s if self.online.get(vehicle) == sign.epoch else UNSETTLED_S
        if sign.at - self._written.get(vehicle, float("-inf")) < gap:
            return False
        self._written[vehicle] = sign.at
        return True

    def last(self, vehicle: str) -> Sign | None:
        """The last sign of life of a vehicle."""
        return self._last.get(vehicle)

    def registered(self, now: Mapping[str, Registration]) -> None:
        """The register says this of these vehicles now."""
        for vehicle, registration in now.items():
            if registration.state is PresenceState.ONLINE:
                self.online[vehicle] = registration.epoch
            else:
                self.online.pop(vehicle, None)
