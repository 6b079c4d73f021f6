"""What the unit's state machine asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetcell.contract.messages import ClaimKind, Response
    from vehicle_sim.delivery import Batch


@dataclass(frozen=True, slots=True)
class SendClaim:
    """Publish a claim of the current epoch; `timers`: with the update interval and the keep-alive."""

    kind: ClaimKind
    n: int
    reason: str | None = None
    sleep_s: float | None = None
    timers: bool = False


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Publish telemetry."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class SendResponse:
    """Answer a command."""

    response: Response


@dataclass(frozen=True, slots=True)
class Renew:
    """Leave this session without a will, and connect with an epoch later than `epoch`."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Rest:
    """DISCONNECT: the unit sleeps. It connects again when its phase is no longer ASLEEP."""


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The sleep that was to come will not be, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """DISCONNECT, begin a new boot, and connect again."""


@dataclass(frozen=True, slots=True)
class Leave:
    """DISCONNECT: the unit is done."""


Action = SendClaim | SendBatch | SendResponse | Renew | Rest | CalledOff | Restart | Leave
