"""What else a registrar does while it is in office, such as commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleetcell.contract.presence import Registration
    from fleetcell.mqtt import MqttBridge


class Duty(Protocol):
    """Begun when it takes office, cancelled when it leaves it."""

    async def run(self, bridge: MqttBridge) -> None:
        """Work until cancelled."""

    def registered(self, now: Mapping[str, Registration]) -> None:
        """These registrations, by vehicle, were committed."""
