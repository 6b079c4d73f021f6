"""The claims of one session: counted, and repeated with backoff until the register shows them. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import ClaimKind, PresenceState, State
from fleetcell.contract.presence import Reason
from vehicle_sim.actions import SendClaim

if TYPE_CHECKING:
    import random

    from vehicle_sim.unit import PresencePolicy

_NEVER: Final = float("inf")


class Claims:
    """What a unit has claimed in its session.

    Attributes:
        n: the number of the latest claim.
        repeated: the claim that is repeated until it is shown.
        due: when it is repeated next; infinity: nothing is.
    """

    def __init__(self, policy: PresencePolicy, rng: random.Random) -> None:
        self.n = 0
        self.repeated: SendClaim | None = None
        self.due = _NEVER
        self._policy = policy
        self._rng = rng
        self._attempt = 0
        self._timers_from: int | None = None  # claims from this one on tell them; none is shown

    def begin_session(self) -> None:
        """A CONNECT with a new epoch."""
        self.n = 0
        self.timers_untold()
        self.settle()

    def make(
        self,
        kind: ClaimKind,
        now: float,
        *,
        repeat: bool = False,
        reason: str | None = None,
        sleep_s: float | None = None,
    ) -> SendClaim:
        """The next claim. An update that is repeated tells the timers too: the register may have missed them.

        One that tells timers is repeated, and so are those after it, until one of them is shown: the register
        takes only the newest claim, and whether it took one that nobody waits for is not known.
        """
        if kind is ClaimKind.UPDATE and repeat and self._timers_from is None:
            self.timers_untold()
        self.n += 1
        timers = kind is not ClaimKind.DETACH and self._timers_from is not None
        repeat |= timers
        claim = SendClaim(kind, self.n, reason, sleep_s, timers)
        if repeat:
            self.repeated = claim
            self._attempt = 0
            self.due = now + self._delay()
        return claim

    def timers_untold(self) -> None:
        """The register does not know them: the next claim tells them."""
        self._timers_from = self.n + 1

    def shown(self, n: int | None) -> bool:
        """A `state` has this number. Returns whether it shows the claim that is repeated."""
        number = n or 0
        if self._timers_from is not None and number >= self._timers_from:
            self._timers_from = None
        return self.repeated is not None and number >= self.repeated.n

    @property
    def timers_known(self) -> bool:
        """Whether the register has been seen to know the timers."""
        return self._timers_from is None

    def settle(self) -> None:
        """Repeat nothing any more."""
        self.repeated, self.due = None, _NEVER

    def repeat(self, now: float) -> list[SendClaim]:
        """The claim that is due to be repeated."""
        if self.repeated is None or now < self.due:
            return []
        self._attempt += 1
        self.due = now + self._delay()
        return [self.repeated]

    def repeat_now(self, now: float) -> list[SendClaim]:
        """The claim that is repeated, at once: the gateway asks."""
        if self.repeated is None:
            return []
        self.due = now + self._policy.claim_retry_first_s
        return [self.repeated]

    def renumber(self) -> list[SendClaim]:
        """Make a claim that is still not shown a new sign of life: the register takes a number once."""
        if self.repeated is None:
            return []
        self.n += 1
        self.repeated = replace(self.repeated, n=self.n)
        return [self.repeated]

    def hurry(self, due: float) -> None:
        """Repeat it then, if not earlier."""
        if self.repeated is not None:
            self.due = min(self.due, due)

    def _delay(self) -> float:
        policy = self._policy
        ceiling = min(policy.claim_retry_first_s * 2.0 ** min(self._attempt, 16), policy.claim_retry_cap_s)
        return ceiling * self._rng.uniform(0.75, 1.25)


def epoch_is_over(state: State) -> bool:
    """Whether a session of this epoch has said goodbye or was lost: only a newer epoch comes back.

    The evidence tells of the will where the state does not: heard by a gateway that was blind, it makes
    `unknown`, and yet no claim of this epoch counts any more.
    """
    if state.evidence.get("by") == "will":
        return True
    if state.state is PresenceState.OFFLINE:
        return state.reason != Reason.TIMEOUT
    return state.state is PresenceState.SUSPECT and state.reason in (Reason.LOST, Reason.HANDOVER)
