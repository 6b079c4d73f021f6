"""The presence fold: what the register holds of a vehicle after a claim, a sign of life or a deadline.

Pure: time is passed in, nothing is read or sent. Claims are ordered by (epoch, n). An epoch is one
CONNECT of the unit. The will has no n and counts as the last claim of its epoch: after it only a newer
epoch brings the vehicle back, except that a vehicle which had said it would sleep, or had said goodbye,
stays asleep or offline. So the state depends on the highest claim of the highest epoch and on whether
that epoch's will was heard, and on nothing older, in whatever order they arrive.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState, State


class Reason(StrEnum):
    """Why a vehicle is in its state."""

    NEW = "new"  # provisioned, never heard
    ATTACH = "attach"
    REPLACED = "replaced"  # attached although its session before had not ended
    UPDATE = "update"
    TELEMETRY = "telemetry"
    RESPONSE = "command response"
    WOKE = "woke"
    LOST = "lost"  # the broker published the will
    OVERDUE = "overdue"  # no update within the interval and the grace
    TIMEOUT = "timeout"  # implicit detach
    SLEEP = "sleep"
    OVERSLEPT = "overslept"
    DETACH = "detach"  # said goodbye without a reason
    SHUTDOWN = "shutdown"
    HANDOVER = "handover"
    REVOKED = "revoked"  # an operator ended its credential
    GATEWAY = "gateway"  # the gateway was blind: broker, ingest or database down
    CLOCK = "clock"  # evidence refused: its time cannot be


@dataclass(frozen=True, slots=True)
class Timers:
    """The fleet-wide timers, in seconds; a vehicle's own update interval goes before the default.

    `update_interval_s` + `grace_s` without a sign of life makes suspect, `detach_s` more makes
    offline (timeout); a lost link is offline after `linger_s`.
    """

    update_interval_s: float = 60
    grace_s: float = 15
    linger_s: float = 10
    detach_s: float = 240
    min_interval_s: float = 1
    max_interval_s: float = 86400
    max_sleep_s: float = 31 * 86400

    def interval(self, own: float | None) -> timedelta:
        """The update interval of a vehicle, within the bounds."""
        seconds = self.update_interval_s if own is None else own
        return timedelta(seconds=min(max(seconds, self.min_interval_s), self.max_interval_s))


@dataclass(frozen=True, slots=True)
class Registration:
    """What the register holds of one vehicle.

    `n` is the highest claim of `epoch` that was heard (None: only its will), `lost` whether its will was
    heard, `ended` whether the vehicle said goodbye. `deadline` is when the state changes if nothing is
    heard. `cursor` is the position of the last change in the presence events.
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
    cursor: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A change worth an event: from which state to which, and whether the vehicle should be paged."""

    before: PresenceState
    after: PresenceState
    reason: str
    at: datetime
    page: bool = False


Outcome = tuple[Registration, Change | None]


def fold(
    registration: Registration | None,
    claim: Claim,
    now: datetime,
    timers: Timers,
    *,
    region: str,
    seen_address: str | None = None,
    blind: bool = False,
) -> Outcome:
    """Take one claim.

    Args:
        registration: what is held now; None where nothing is.
        claim: what the vehicle (or, for it, the broker) says.
        now: when it was heard, in database time.
        timers: the fleet-wide timers.
        region: the region whose gateway heard it.
        seen_address: the address of the session as the broker sees it.
        blind: whether the gateway was cut off less than an update interval ago. A stopping broker
            emits everybody's will, so a will then says nothing about the vehicle.

    Returns:
        The new registration, and the change if there was one. The very same registration object means
        that the claim was older than what is held, or a duplicate.
    """
    held = registration or Registration()
    if claim.epoch < held.epoch:
        return held, None
    fresh = claim.epoch > held.epoch
    if claim.is_will:
        if not fresh and held.lost:
            return held, None
        return _fold_will(held, claim, now, timers, region=region, fresh=fresh, blind=blind)
    if not fresh and held.n is not None and (claim.n or 0) <= held.n:
        return held, None
    taken = replace(
        held,
        epoch=claim.epoch,
        n=claim.n,
        lost=held.lost and not fresh,
        ended=claim.kind is ClaimKind.DETACH,
        region=region,
        cell=claim.cell or held.cell,
        address=claim.address or held.address,
        seen_address=seen_address or held.seen_address,
        update_interval_s=claim.update_interval or held.update_interval_s,
        keep_alive_s=claim.keep_alive or held.keep_alive_s,
        sleep_s=claim.sleep_s if claim.kind is ClaimKind.SLEEP else held.sleep_s,
        evidence=_evidence(claim, now),
    )
    match claim.kind:
        case ClaimKind.SLEEP:
            sleep = timedelta(seconds=min(claim.sleep_s or timers.update_interval_s, timers.max_sleep_s))
            deadline = now + sleep + timedelta(seconds=timers.grace_s)
            return _enter(held, taken, PresenceState.ASLEEP, claim.reason or Reason.SLEEP, now, deadline)
        case ClaimKind.DETACH if claim.reason == Reason.HANDOVER:
            # The vehicle is attaching elsewhere: not an outage unless that attach never comes.
            deadline = now + timedelta(seconds=timers.linger_s)
            return _enter(held, taken, PresenceState.SUSPECT, Reason.HANDOVER, now, deadline)
        case ClaimKind.DETACH:
            return _enter(held, taken, PresenceState.OFFLINE, claim.reason or Reason.DETACH, now, None)
        case ClaimKind.ATTACH | ClaimKind.UPDATE:
            return _fold_alive(held, taken, claim, now, timers)


def _fold_alive(
    held: Registration, taken: Registration, claim: Claim, now: datetime, timers: Timers
) -> Outcome:
    if taken.lost:  # a claim of an epoch whose will was heard: too late to bring it back
        if held.ended or held.state is PresenceState.ASLEEP:
            # It came back after that sleep or goodbye, and was lost then: only the order of arrival differs.
            deadline = now + timedelta(seconds=timers.linger_s)
            return _enter(held, taken, PresenceState.SUSPECT, Reason.LOST, now, deadline)
        return replace(taken, evidence=held.evidence), None
    reason = Reason.ATTACH if claim.kind is ClaimKind.ATTACH else Reason.UPDATE
    if held.state is PresenceState.ASLEEP:
        reason = Reason.WOKE
    return _enter(held, taken, PresenceState.ONLINE, reason, now, _next_update(taken, now, timers))


def _fold_will(
    held: Registration,
    claim: Claim,
    now: datetime,
    timers: Timers,
    *,
    region: str,
    fresh: bool,
    blind: bool,
) -> Outcome:
    taken = replace(held, epoch=claim.epoch, lost=True, region=region if fresh else held.region)
    if fresh:
        taken = replace(taken, n=None, ended=False)
    elif held.ended or held.state is PresenceState.ASLEEP:
        return taken, None  # it had said goodbye, or that it would sleep: the link's end is no news
    taken = replace(taken, evidence=_evidence(claim, now))
    if blind:
        return _enter(
            held, taken, PresenceState.UNKNOWN, Reason.GATEWAY, now, _next_update(taken, now, timers)
        )
    if held.state is PresenceState.OFFLINE and not fresh:
        return replace(taken, evidence=held.evidence), None  # offline already: a late will adds nothing
    deadline = now + timedelta(seconds=timers.linger_s)
    return _enter(held, taken, PresenceState.SUSPECT, Reason.LOST, now, deadline)


def evidence(
    registration: Registration,
    epoch: int,
    now: datetime,
    timers: Timers,
    *,
    by: Reason = Reason.TELEMETRY,
) -> Outcome:
    """Take a sign of life that is not a claim: telemetry, or a response, sent in `epoch`.

    It settles a suspect, unknown or timed-out vehicle of that epoch and moves the deadline of an online
    one. It does nothing for another epoch, nor after that epoch's will or goodbye, nor for a vehicle that
    sleeps (it may still be sending what was on its way).
    """
    held = registration
    if epoch != held.epoch or held.lost or held.ended or held.state is PresenceState.ASLEEP:
        return held, None
    taken = replace(held, evidence={"by": by.value, "epoch": epoch, "heard": _text(now)})
    return _enter(held, taken, PresenceState.ONLINE, by, now, _next_update(taken, now, timers))


def expire(registration: Registration, now: datetime, timers: Timers) -> Outcome:
    """Take the passing of time: what happens at the deadline, if it has come."""
    held = registration
    if held.deadline is None or held.deadline > now:
        return held, None
    detach = now + timedelta(seconds=timers.detach_s)
    silent = {**held.evidence, "deadline": _text(held.deadline)}
    taken = replace(held, evidence=silent)
    match held.state:
        case PresenceState.ONLINE:
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERDUE, now, detach, page=True)
        case PresenceState.UNKNOWN if held.reason == Reason.GATEWAY:
            if held.lost:  # its will was heard while the gateway was blind, and nothing since
                return _enter(held, taken, PresenceState.OFFLINE, Reason.LOST, now, None)
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERDUE, now, detach, page=True)
        case PresenceState.ASLEEP:
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERSLEPT, now, detach, page=True)
        case PresenceState.SUSPECT:
            kept = held.reason if held.reason in (Reason.LOST, Reason.HANDOVER) else Reason.TIMEOUT
            return _enter(held, taken, PresenceState.OFFLINE, kept, now, None)
        case _:
            return replace(held, deadline=None), None


def blind(registration: Registration, now: datetime, timers: Timers) -> Outcome:
    """Take the return of a gateway that could not hear: nobody is known to be online or suspect now."""
    held = registration
    if held.state not in (PresenceState.ONLINE, PresenceState.SUSPECT):
        return held, None
    taken = replace(held, evidence={**held.evidence, "blind_until": _text(now)})
    return _enter(
        held, taken, PresenceState.UNKNOWN, Reason.GATEWAY, now, _next_update(taken, now, timers), page=True
    )


def to_state(vehicle: str, registration: Registration, created: datetime) -> State:
    """The `state` message; `created` stands in for `since` where nothing was ever heard."""
    return State(
        vehicle=vehicle,
        state=registration.state,
        reason=registration.reason,
        since=registration.since or created,
        evidence=registration.evidence,
        deadline=registration.deadline,
        epoch=registration.epoch,
        n=registration.n,
        region=registration.region,
        cell=registration.cell,
        address=registration.address,
        seen_address=registration.seen_address,
        cursor=registration.cursor,
    )


def _enter(
    held: Registration,
    taken: Registration,
    state: PresenceState,
    reason: str,
    now: datetime,
    deadline: datetime | None,
    *,
    page: bool = False,
) -> Outcome:
    """Go to a state. Staying online in the same session and region is no change, whatever the sign was."""
    same = held.state is state and held.region == taken.region and held.epoch == taken.epoch
    if same and (state is PresenceState.ONLINE or held.reason == reason):
        return replace(taken, deadline=deadline), None
    since = held.since if held.state is state and held.since is not None else now
    entered = replace(taken, state=state, reason=str(reason), since=since, deadline=deadline)
    return entered, Change(held.state, state, str(reason), now, page)


def _next_update(registration: Registration, now: datetime, timers: Timers) -> datetime:
    return now + timers.interval(registration.update_interval_s) + timedelta(seconds=timers.grace_s)


def _evidence(claim: Claim, now: datetime) -> dict[str, Any]:
    by = "will" if claim.is_will else claim.kind.value
    found: dict[str, Any] = {"by": by, "epoch": claim.epoch, "heard": _text(now)}
    if not claim.is_will:  # a will was written before its session began: its time says nothing
        found |= {"n": claim.n, "measured": _text(claim.at)}
    return found


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
