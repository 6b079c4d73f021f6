"""What a vehicle unit does, without any I/O: events and the time go in, actions come out.

The shell (`session.py`) feeds in what the bridge and the clock say, keeps the spool, and carries the
actions out. Times are seconds of one monotonic clock.

Presence: each CONNECT has an epoch of its own; its claims are counted by `n`. Attach and detach are
repeated, with backoff, until `state` shows them. A periodic update changes no state, so nothing answers
it: it is sent once at QoS 1 and the next one is its repetition; but while `state` says anything else
than online, updates are repeated like an attach. When `state` shows that our epoch was used or ended by
another session (the counter was lost), the unit leaves and takes a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import (
    ClaimKind,
    Command,
    GatewayStatus,
    PresenceState,
    Response,
    ResponseState,
    State,
)
from fleetcell.contract.presence import Reason

if TYPE_CHECKING:
    import random

    from vehicle_sim.delivery import Batch, Delivery

_NOT_SENT_PAUSE_S: Final = 0.25  # until a full link is tried again
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """How a unit keeps its registration; seconds.

    claim_retry_first_s, claim_retry_cap_s: between repetitions of a claim that `state` does not show.
    stop_wait_s: how long a clean stop waits for `state` to show the detach.
    """

    update_interval_s: float = 60.0
    keep_alive_s: int = 20
    claim_retry_first_s: float = 2.0
    claim_retry_cap_s: float = 30.0
    stop_wait_s: float = 3.0


@dataclass(frozen=True, slots=True)
class SendClaim:
    """Publish a claim of the current epoch."""

    kind: ClaimKind
    n: int
    reason: str | None = None


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
class Leave:
    """DISCONNECT: the unit is done."""


Action = SendClaim | SendBatch | SendResponse | Renew | Leave


class Phase(Enum):
    """Where the session of a unit stands."""

    DOWN = auto()  # no session, or one that is being set up
    UP = auto()
    LEAVING = auto()  # the detach was claimed
    GONE = auto()


@dataclass(slots=True)
class _Repeat:
    """A claim that is repeated until `state` shows it."""

    claim: SendClaim
    attempt: int
    due: float


class Unit:
    """The unit of one vehicle."""

    def __init__(self, delivery: Delivery, policy: PresencePolicy, rng: random.Random) -> None:
        self.phase = Phase.DOWN
        self.epoch = 0
        self.registered = False  # `state` shows this epoch, online
        self.delivery = delivery
        self._policy = policy
        self._rng = rng
        self._n = 0
        self._repeat: _Repeat | None = None
        self._update_due = _NEVER
        self._stop_due = _NEVER
        self._storing: bool | None = None  # None: no status was heard in this session

    # -- the link -------------------------------------------------------------------------------

    def connecting(self, epoch: int) -> None:
        """A CONNECT with this epoch is about to go out."""
        self.epoch = epoch
        self.registered = False
        self._n = 0
        self._repeat = None
        self._storing = None

    def connected(self, now: float) -> list[Action]:
        """The broker accepted the connection and the subscriptions."""
        if self.phase is not Phase.DOWN:
            return []
        if self._stop_due != _NEVER:  # it was told to stop while there was no link: say goodbye now
            self.phase = Phase.LEAVING
            return [self._claim(ClaimKind.DETACH, now, repeat=True, reason=Reason.SHUTDOWN)]
        self.phase = Phase.UP
        self._update_due = now + self._policy.update_interval_s
        return [self._claim(ClaimKind.ATTACH, now, repeat=True), *self._send(now)]

    def disconnected(self, now: float) -> list[Action]:
        """The link is gone; the bridge makes another."""
        self.registered = False
        self._repeat = None
        self._update_due = _NEVER
        self.delivery.lost(now)
        if self.phase is not Phase.GONE:
            self.phase = Phase.DOWN
        return []

    # -- what the gateway says --------------------------------------------------------------------

    def state(self, state: State, now: float) -> list[Action]:
        """The register's truth about this vehicle."""
        if self.phase is Phase.GONE or state.epoch < self.epoch:
            return []
        if self.phase is Phase.LEAVING:
            shown = state.epoch > self.epoch or (state.n or 0) >= self._n
            return self._leave() if shown else []
        if state.epoch > self.epoch or (state.n or 0) > self._n or _ended(state):
            return [Renew(state.epoch)]
        self.registered = state.state is PresenceState.ONLINE
        shown = self._repeat is not None and (state.n or 0) >= self._repeat.claim.n
        if self.registered or shown:
            self._repeat = None
        if self.registered or self.phase is not Phase.UP or self._repeat is not None:
            return []
        if state.state is PresenceState.UNKNOWN:  # the whole fleet hears this at once: spread, or be paged
            self._update_due = min(self._update_due, now + self._rng.uniform(1.0, 5.0))
            return []
        return [self._update(now)]

    def page(self, now: float) -> list[Action]:
        """The gateway asks for a sign of life."""
        if self.phase is not Phase.UP:
            return []
        if self._repeat is not None:
            self._repeat.due = now + self._policy.claim_retry_first_s
            return [self._repeat.claim]
        return [self._update(now)]

    def gateway(self, status: GatewayStatus, now: float, *, retained: bool) -> list[Action]:
        """The gateway's status: telemetry is held while it does not store.

        A first status that is not a retained one comes from a gateway that arrived after this unit did,
        and one that stores again may have lost what it held: both did not hear what was sent before.
        """
        arrived = self._storing is None and not retained
        if status.storing and (arrived or self._storing is False):
            self.delivery.hurry(now)
            if self._repeat is not None:
                self._repeat.due = min(self._repeat.due, now + self._rng.uniform(0.0, 1.0))
        self._storing = status.storing
        return self._send(now)

    def acked(self, boot: str, now: float) -> list[Action]:
        """An acknowledgement for this boot was noted in the spool."""
        self.delivery.settled(boot)
        return self._send(now)

    def command(self, command: Command) -> list[Action]:
        """A command: this unit knows none yet, and says so."""
        error = f"not supported: this unit knows no command {command.name!r}"
        return [SendResponse(Response(command.id, ResponseState.FAILED, error=error))]

    # -- the vehicle ------------------------------------------------------------------------------

    def made(self, boot: str, seq: int, now: float) -> list[Action]:
        """A reading is in the spool."""
        self.delivery.made(boot, seq, now)
        return self._send(now)

    def stop(self, now: float) -> list[Action]:
        """Shut down: say goodbye, wait a bounded while for it to be shown, and leave."""
        if self._stop_due != _NEVER or self.phase is Phase.GONE:
            return []
        self._stop_due = now + self._policy.stop_wait_s
        if self.phase is not Phase.UP:
            return []
        self.phase = Phase.LEAVING
        self._update_due = _NEVER
        return [self._claim(ClaimKind.DETACH, now, repeat=True, reason=Reason.SHUTDOWN)]

    # -- time ---------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the unit has left for good."""
        return self.phase is Phase.GONE

    @property
    def due(self) -> float:
        """When `tick` has something to do next."""
        if self.phase is Phase.GONE:
            return _NEVER
        repeat = self._repeat.due if self._repeat else _NEVER
        sending = self.delivery.due if self.phase is Phase.UP and self._storing is not False else _NEVER
        return min(repeat, self._update_due, self._stop_due, sending)

    def tick(self, now: float) -> list[Action]:
        """Time passed."""
        if self.phase is Phase.GONE:
            return []
        if now >= self._stop_due:
            return self._leave()
        if self.phase is Phase.DOWN:
            return []
        actions: list[Action] = []
        if self._repeat is not None and self._repeat.due <= now:
            self._repeat.attempt += 1
            self._repeat.due = now + self._retry_delay(self._repeat.attempt)
            actions.append(self._repeat.claim)
        if self._update_due <= now:
            if self._repeat is None:
                actions.append(self._update(now))
            else:
                self._update_due = now + self._policy.update_interval_s
        if self._storing is not False:
            self.delivery.expired(now)
        return [*actions, *self._send(now)]

    # -- what the shell could not do ------------------------------------------------------------------

    def not_sent(self, action: Action, now: float) -> None:
        """The link did not take this action: it comes again shortly."""
        match action:
            case SendBatch(batch):
                self.delivery.not_sent(batch.number, now, _NOT_SENT_PAUSE_S)
            case SendClaim() if self._repeat is not None:
                self._repeat.due = min(self._repeat.due, now + _NOT_SENT_PAUSE_S)
            case SendClaim():
                self._update_due = min(self._update_due, now + _NOT_SENT_PAUSE_S)
            case _:
                pass

    # -- inside -----------------------------------------------------------------------------------------

    def _update(self, now: float) -> SendClaim:
        self._update_due = now + self._policy.update_interval_s
        return self._claim(ClaimKind.UPDATE, now, repeat=not self.registered)

    def _claim(
        self, kind: ClaimKind, now: float, *, repeat: bool = False, reason: str | None = None
    ) -> SendClaim:
        self._n += 1
        claim = SendClaim(kind, self._n, reason)
        if repeat:
            self._repeat = _Repeat(claim, 0, now + self._retry_delay(0))
        return claim

    def _retry_delay(self, attempt: int) -> float:
        ceiling = min(
            self._policy.claim_retry_first_s * 2.0 ** min(attempt, 16), self._policy.claim_retry_cap_s
        )
        return ceiling * self._rng.uniform(0.75, 1.25)

    def _send(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self.phase is Phase.UP and self._storing is not False:
            while (batch := self.delivery.take(now)) is not None:
                actions.append(SendBatch(batch))
        return actions

    def _leave(self) -> list[Action]:
        self.phase = Phase.GONE
        return [Leave()]


def _ended(state: State) -> bool:
    """Whether a session of this epoch has said goodbye or was lost: only a newer epoch comes back."""
    if state.state is PresenceState.OFFLINE:
        return state.reason != Reason.TIMEOUT
    return state.state is PresenceState.SUSPECT and state.reason in (Reason.LOST, Reason.HANDOVER)
