"""What the presence register holds of a vehicle: state, reason, timers. The fold is in `presence`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fleetcell.contract.messages import PresenceState


class Reason(StrEnum):
    """Why a vehicle is in its state."""

    NEW = "new"  # provisioned, never heard
    ATTACH = "attach"
    REPLACED = "replaced"  # attached although its session before had not ended
    UPDATE = "update"
    TELEMETRY = "telemetry"
    RESPONSE = "command response"
    WOKE = "woke"
    CLOCK = "clock"  # it was heard, so it is there; the time that its claim says cannot be
    LOST = "lost"  # the broker published the will
    FLAPPING = "flapping"  # the link was lost again and again, and has not held for the hysteresis time yet
    OVERDUE = "overdue"  # no update within the interval and the grace
    TIMEOUT = "timeout"  # implicit detach
    SLEEP = "sleep"
    OVERSLEPT = "overslept"
    DETACH = "detach"  # said goodbye without a reason
    SHUTDOWN = "shutdown"
    HANDOVER = "handover"  # from one region's gateway to another's
    REVOKED = "revoked"  # an operator ended its credential
    GATEWAY = "gateway"  # the gateway was blind: broker, ingest or database down


@dataclass(frozen=True, slots=True)
class Timers:
    """The fleet-wide timers, in seconds; a vehicle's own update interval and keep-alive go before them.

    `update_interval_s` + `grace_s` without a sign of life makes suspect, `detach_s` more makes
    offline (timeout), but never before its broker had to end a silent link (1.5 `keep_alive_s`); a lost link
    is offline after `linger_s`. `flap_limit` losses, each within `hysteresis_s` of the one before, make a
    flapping link; it is settled when it was neither lost nor away for `hysteresis_s`. No hysteresis (0): no
    link flaps.
    """

    update_interval_s: float = 60
    grace_s: float = 15
    linger_s: float = 10
    detach_s: float = 240
    min_interval_s: float = 1
    max_interval_s: float = 86400
    keep_alive_s: float = 20
    min_keep_alive_s: float = 1  # the least that CONNECT can say
    max_keep_alive_s: float = 1200
    max_sleep_s: float = 31 * 86400
    hysteresis_s: float = 60
    flap_limit: int = 3

    def interval(self, own: float | None) -> timedelta:
        """The update interval of a vehicle, within the bounds."""
        seconds = self.update_interval_s if own is None else own
        return timedelta(seconds=min(max(seconds, self.min_interval_s), self.max_interval_s))

    def supervision(self, own: float | None) -> timedelta:
        """How long the link of a vehicle with this keep-alive may be dead unnoticed, within the bounds.

        MQTT: a broker ends a link that is silent for 1.5 keep-alive intervals, and a unit does the same.
        A keep-alive of 0 is none; then nothing but the upper bound limits it.
        """
        seconds = self.keep_alive_s if own is None else own or self.max_keep_alive_s
        return timedelta(seconds=1.5 * min(max(seconds, self.min_keep_alive_s), self.max_keep_alive_s))

    def detach(self, keep_alive: float | None) -> timedelta:
        """How long a paged vehicle with this keep-alive has to answer, before it counts as detached.

        Its broker may hold its session open for as long as the link may be dead unnoticed.
        """
        return max(timedelta(seconds=self.detach_s), self.supervision(keep_alive))


@dataclass(frozen=True, slots=True)
class Registration:
    """What the register holds of one vehicle.

    `n` is the highest claim of `epoch` that was heard (None: only its will), `lost` whether its will was
    heard, `ended` whether the vehicle said goodbye. `deadline` is when the state changes if nothing is
    heard. `flaps` counts losses of the link that followed one another within the hysteresis time, from
    `flaps_since` to `flapped_at`. `cursor` is the position of the last change in the presence events.
    """

    state: PresenceState = PresenceState.UNKNOWN
    reason: str = Reason.NEW
    since: datetime | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    deadline: datetime | None = None
    epoch: int = 0
    n: int | None = None
    lost: bool = False
    ended: bool = False
    region: str | None = None
    cell: str | None = None
    address: str | None = None
    seen_address: str | None = None
    update_interval_s: float | None = None
    keep_alive_s: float | None = None
    sleep_s: float | None = None
    flaps: int = 0
    flaps_since: datetime | None = None
    flapped_at: datetime | None = None
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A change worth an event: from which state to which, when it became so, and whether to page."""

    before: PresenceState
    after: PresenceState
    reason: str
    at: datetime
    page: bool = False


Outcome = tuple[Registration, Change | None]
