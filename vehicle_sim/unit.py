"""What a vehicle unit does, without any I/O: events and the time go in, actions come out.

The shell (`session.py`) feeds in what the bridge and the clock say, keeps the spool, and carries the
actions out. Times are seconds of one monotonic clock.

Presence: each CONNECT has an epoch of its own; its claims are counted by `n`. Attach and detach are
repeated, with backoff, until `state` shows them. A periodic update changes no state, so nothing answers
it: it is sent once at QoS 1 and the next one is its repetition; but while `state` says anything else
than online, updates are repeated like an attach. What is not shown after an update interval is claimed with
a new number, for the register takes each number once. When `state` shows that our epoch was used or ended
by another session (the counter was lost), the unit leaves and takes a later one.

Sleep: the unit claims it, stays until `state` shows the claim and what it has made is acknowledged, both
for a bounded while, and disconnects. It attaches again when the sleep is over or it is woken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import ClaimKind, GatewayStatus, PresenceState, Response, State
from fleetcell.contract.presence import Reason
from vehicle_sim.actions import (
    Action,
    CalledOff,
    Leave,
    Renew,
    Rest,
    Restart,
    SendBatch,
    SendClaim,
    SendResponse,
)
from vehicle_sim.claims import Claims, epoch_is_over

if TYPE_CHECKING:
    import random

    from vehicle_sim.delivery import Delivery

_NOT_SENT_PAUSE_S: Final = 0.25  # until a full link is tried again
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """How a unit keeps its registration; seconds.

    update_interval_s: until a command changes it.
    claim_retry_first_s, claim_retry_cap_s: between repetitions of a claim that `state` does not show.
    stop_wait_s: how long a clean stop waits for `state` to show the detach.
    sleep_wait_s: how long a unit that claimed sleep waits for `state` and its acknowledgements.
    """

    update_interval_s: float = 60.0
    keep_alive_s: int = 20
    claim_retry_first_s: float = 2.0
    claim_retry_cap_s: float = 30.0
    stop_wait_s: float = 3.0
    sleep_wait_s: float = 5.0


class Phase(Enum):
    """Where the session of a unit stands."""

    DOWN = auto()  # no session, or one that is being set up
    UP = auto()
    DOZING = auto()  # the sleep was claimed
    ASLEEP = auto()  # no session, and none wanted until the sleep is over
    LEAVING = auto()  # the detach was claimed
    GONE = auto()


_SERVED: Final = frozenset({Phase.UP, Phase.DOZING})  # claims and telemetry go out


class Unit:
    """The unit of one vehicle."""

    def __init__(self, delivery: Delivery, policy: PresencePolicy, rng: random.Random) -> None:
        self.phase = Phase.DOWN
        self.epoch = 0
        self.registered = False  # `state` shows this epoch, online
        self.shown: PresenceState | None = None  # by the last `state` of this session
        self.update_interval_s = policy.update_interval_s
        self.sleep_until = _NEVER  # the end of the sleep that is under way or to come; infinity: none
        self.delivery = delivery
        self._policy = policy
        self._rng = rng
        self._claims = Claims(policy, rng)
        self._linked = False
        self._answers: list[Response] = []  # that no link has taken
        self._answers_due = _NEVER
        self._sleep_shown = False
        self._restarts = False  # what follows LEAVING
        self._update_due = _NEVER
        self._wait_due = _NEVER  # when dozing, or leaving for a restart, ends without `state`
        self._stop_due = _NEVER
        self._storing: bool | None = None  # None: no status was heard in this session

    # -- the link -------------------------------------------------------------------------------

    def connecting(self, epoch: int) -> None:
        """A CONNECT with this epoch is about to go out."""
        self.epoch = epoch
        self.registered = False
        self.shown = None
        self._claims.begin_session()
        self._storing = None

    def connected(self, now: float) -> list[Action]:
        """The broker accepted the connection and the subscriptions."""
        self._linked = True
        if self.phase is not Phase.DOWN:
            return []
        if self._stop_due != _NEVER:  # it was told to stop while there was no link: say goodbye now
            return [self._goodbye(now), *self._send_answers()]
        self.phase = Phase.UP
        self._update_due = now + self.update_interval_s
        lost_before_sleep = now < self.sleep_until < _NEVER
        first = (
            self._doze(now) if lost_before_sleep else self._claims.make(ClaimKind.ATTACH, now, repeat=True)
        )
        return [first, *self._send_answers(), *self._send(now)]

    def disconnected(self, now: float) -> list[Action]:
        """The link is gone; the bridge makes another."""
        self._linked = self.registered = False
        self.shown = None
        self._claims.settle()
        self._update_due = self._wait_due = self._answers_due = _NEVER
        self.delivery.lost(now)
        if self.phase is Phase.LEAVING and self._restarts:
            return self._leave()
        if self.phase not in (Phase.GONE, Phase.ASLEEP):
            self.phase = Phase.DOWN
        return []

    # -- what the gateway says --------------------------------------------------------------------

    def state(self, state: State, now: float) -> list[Action]:
        """The register's truth about this vehicle."""
        if self.phase in (Phase.GONE, Phase.ASLEEP) or state.epoch < self.epoch:
            return []
        if self.phase is Phase.LEAVING:
            shown = state.epoch > self.epoch or (state.n or 0) >= self._claims.n
            return self._leave() if shown else []
        if state.epoch > self.epoch or (state.n or 0) > self._claims.n or epoch_is_over(state):
            return [Renew(state.epoch)]
        self.shown = state.state
        self.registered = state.state is PresenceState.ONLINE
        shown = self._claims.shown(state.n)
        if self.phase is Phase.DOZING:
            if not shown:
                return []
            self._claims.settle()
            self._sleep_shown = True
            return self._rest_when_done()
        if shown or (self.registered and self._claims.timers_known):
            self._claims.settle()
        if self.registered or self.phase is not Phase.UP or self._claims.repeated is not None:
            return []
        if state.reason == Reason.FLAPPING:  # it was heard; the register waits until the link has settled
            return []
        if state.state is PresenceState.UNKNOWN:  # the whole fleet hears this at once: spread, or be paged
            self._update_due = min(self._update_due, now + self._rng.uniform(1.0, 5.0))
            return []
        return [self._update(now)]

    def page(self, now: float) -> list[Action]:
        """The gateway asks for a sign of life."""
        if self.phase not in _SERVED:
            return []
        if self._claims.repeated is None and self.phase is Phase.UP:
            return [self._update(now)]
        return [*self._claims.repeat_now(now)]

    def gateway(self, status: GatewayStatus, now: float, *, retained: bool) -> list[Action]:
        """The gateway's status: telemetry is held while it does not store.

        A first status that is not a retained one comes from a gateway that arrived after this unit did,
        and one that stores again may have lost what it held: both did not hear what was sent before.
        """
        arrived = self._storing is None and not retained
        if status.storing and (arrived or self._storing is False):
            self.delivery.hurry(now)
            self._claims.hurry(now + self._rng.uniform(0.0, 1.0))
        self._storing = status.storing
        return self._send(now)

    def acked(self, boot: str, now: float) -> list[Action]:
        """An acknowledgement for this boot was noted in the spool."""
        self.delivery.settled(boot, now)
        return [*self._send(now), *self._rest_when_done()]

    # -- the vehicle ------------------------------------------------------------------------------

    def made(self, boot: str, seq: int, now: float) -> list[Action]:
        """A reading is in the spool."""
        self.delivery.made(boot, seq, now)
        return self._send(now)

    def answer(self, response: Response) -> list[Action]:
        """Answer a command; without a link, as soon as there is one."""
        self._answers.append(response)
        return self._send_answers()

    def set_interval(self, seconds: float, now: float) -> list[Action]:
        """Claim an update each `seconds` from now on; tell the register so until it shows that it knows."""
        if seconds == self.update_interval_s:
            return []
        self.update_interval_s = seconds
        self._claims.timers_untold()
        return [self._update(now)] if self.phase is Phase.UP else []

    def sleep(self, seconds: float, now: float) -> list[Action]:
        """Sleep for `seconds` (more than 0) from now: claim it, and leave when that is shown.

        Without a link the sleep is claimed when there is one, with what is left of it.
        """
        if self._stop_due != _NEVER or self.phase in (Phase.LEAVING, Phase.GONE):
            return [CalledOff("the unit is shutting down")]
        self.sleep_until = now + seconds
        return [self._doze(now)] if self.phase in _SERVED else []

    def wake(self, now: float, reason: str = "it was woken") -> list[Action]:
        """End the sleep, or call off the one that is to come."""
        if self.sleep_until == _NEVER:
            return []
        self.sleep_until = self._wait_due = _NEVER
        match self.phase:
            case Phase.ASLEEP:
                self.phase = Phase.DOWN
                return []
            case Phase.DOZING:
                self.phase = Phase.UP
                self._claims.settle()
                return [CalledOff(reason), self._update(now)]
            case _:
                return [CalledOff(reason)]

    def restart(self, now: float) -> list[Action]:
        """Say goodbye, wait a bounded while for it to be shown, and begin again with a new boot."""
        if self._stop_due != _NEVER or self.phase not in _SERVED:
            return []
        called_off = self._call_off("the unit restarts")
        self._restarts = True
        self._wait_due = now + self._policy.stop_wait_s
        return [*called_off, self._goodbye(now)]

    def stop(self, now: float) -> list[Action]:
        """Shut down: say goodbye, wait a bounded while for it to be shown, and leave.

        A unit that sleeps connects once more to say it: nobody should wait for its wake-up.
        """
        if self._stop_due != _NEVER or self.phase is Phase.GONE:
            return []
        self._stop_due = now + self._policy.stop_wait_s
        self._restarts = False
        called_off = self._call_off("the unit is shutting down")
        if self.phase is Phase.ASLEEP:
            self.phase = Phase.DOWN
        return [*called_off, self._goodbye(now)] if self.phase in _SERVED else called_off

    def farewell(self, now: float) -> SendClaim:
        """The last claim of this session, whose place another one has taken; nothing here repeats it."""
        return self._claims.make(ClaimKind.DETACH, now, reason=Reason.HANDOVER)

    # -- time ---------------------------------------------------------------------------------------

    @property
    def roams(self) -> bool:
        """Whether it may be handed over to another gateway: it neither leaves nor sleeps, nor is about to."""
        return self.phase in (Phase.DOWN, Phase.UP) and not self.will_sleep and self._stop_due == _NEVER

    @property
    def will_sleep(self) -> bool:
        """Whether a sleep is to come."""
        return self.sleep_until != _NEVER and self.phase is not Phase.ASLEEP

    @property
    def due(self) -> float:
        """When `tick` has something to do next."""
        if self.phase is Phase.GONE:
            return _NEVER
        sends = self.phase in _SERVED and self._storing is not False
        return min(
            self._claims.due,
            self._update_due,
            self._wait_due,
            self._stop_due,
            self.sleep_until,
            self._answers_due,
            self.delivery.due if sends else _NEVER,
        )

    def tick(self, now: float) -> list[Action]:
        """Time passed."""
        if self.phase is Phase.GONE:
            return []
        if now >= self._stop_due:
            return self._leave()
        if now >= self.sleep_until:
            return self.wake(now, "its time was over before the register showed it")
        actions = self._send_answers() if now >= self._answers_due else []
        if self.phase in (Phase.DOWN, Phase.ASLEEP):
            return actions
        if now >= self._wait_due:
            return [*actions, *(self._rest() if self.phase is Phase.DOZING else self._leave())]
        actions += self._claims.repeat(now)
        if self._update_due <= now:
            actions += self._interval_over(now)
        if self._storing is not False:
            self.delivery.expired(now)
        return [*actions, *self._send(now)]

    # -- what the shell could not do ------------------------------------------------------------------

    def not_sent(self, action: Action, now: float) -> None:
        """The link did not take this action: it comes again shortly."""
        match action:
            case SendBatch(batch):
                self.delivery.not_sent(batch.number, now, _NOT_SENT_PAUSE_S)
            case SendResponse(response):
                self._answers.append(response)
                if self._linked:
                    self._answers_due = now + _NOT_SENT_PAUSE_S
            case SendClaim() if self._claims.repeated is not None:
                self._claims.hurry(now + _NOT_SENT_PAUSE_S)
            case SendClaim():
                self._update_due = min(self._update_due, now + _NOT_SENT_PAUSE_S)
            case _:
                pass

    # -- inside -----------------------------------------------------------------------------------------

    def _update(self, now: float) -> SendClaim:
        self._update_due = now + self.update_interval_s
        return self._claims.make(ClaimKind.UPDATE, now, repeat=not self.registered)

    def _interval_over(self, now: float) -> list[SendClaim]:
        if self._claims.repeated is None:
            return [self._update(now)]
        self._update_due = now + self.update_interval_s
        return self._claims.renumber()

    def _doze(self, now: float) -> SendClaim:
        self.phase = Phase.DOZING
        self._sleep_shown = False
        self._update_due = _NEVER
        self._wait_due = now + self._policy.sleep_wait_s
        return self._claims.make(ClaimKind.SLEEP, now, repeat=True, sleep_s=self.sleep_until - now)

    def _goodbye(self, now: float) -> SendClaim:
        self.phase = Phase.LEAVING
        self._update_due = _NEVER
        return self._claims.make(ClaimKind.DETACH, now, repeat=True, reason=Reason.SHUTDOWN)

    def _send(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self.phase in _SERVED and self._storing is not False:
            while (batch := self.delivery.take(now)) is not None:
                actions.append(SendBatch(batch))
        return actions

    def _send_answers(self) -> list[Action]:
        if not self._linked:
            return []
        answers, self._answers, self._answers_due = self._answers, [], _NEVER
        return [SendResponse(response) for response in answers]

    def _call_off(self, reason: str) -> list[Action]:
        actions: list[Action] = [CalledOff(reason)] if self.will_sleep else []
        self.sleep_until = self._wait_due = _NEVER
        return actions

    def _rest_when_done(self) -> list[Action]:
        """Rest once the sleep is shown and nothing waits to be sent or acknowledged (or nobody stores)."""
        if self.phase is not Phase.DOZING or not self._sleep_shown:
            return []
        idle = self.delivery.due == _NEVER or self._storing is False
        return self._rest() if idle else []

    def _rest(self) -> list[Action]:
        self.phase = Phase.ASLEEP
        self.registered = False
        self._claims.settle()
        self._wait_due = _NEVER
        return [Rest()]

    def _leave(self) -> list[Action]:
        self._wait_due = _NEVER
        if self._restarts:
            self._restarts = False
            self.phase = Phase.DOWN
            return [Restart()]
        self.phase = Phase.GONE
        return [Leave()]
