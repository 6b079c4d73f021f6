"""The presence fold: what the register holds of a vehicle after a claim, a sign of life or a deadline.

Pure: time is passed in, nothing is read or sent. Claims are ordered by (epoch, n). An epoch is one
CONNECT of the unit. The will has no n and counts as the last claim of its epoch: after it only a newer
epoch brings the vehicle back, except that a vehicle which had said it would sleep, or had said goodbye,
stays asleep or offline. So the state depends on the highest claim of the highest epoch and on whether
that epoch's will was heard, and on nothing older, in whatever order they arrive.

The one thing that looks further back is the count of losses: a link that is lost again and again is one
episode, `suspect (flapping)`, not a stream of changes. docs/presence.md has the table of all of it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState, State
from fleetcell.contract.registration import Change, Outcome, Reason, Registration, Timers

__all__ = [
    "Change",
    "Outcome",
    "Reason",
    "Registration",
    "Timers",
    "blind",
    "evidence",
    "expire",
    "fold",
    "returned",
    "revoke",
    "to_state",
]

# The clocks that are believed, the same as of readings.
EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=5)


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
        that the claim was older than what is held, a duplicate, or of a session that an operator ended.
    """
    held = registration or Registration()
    if claim.epoch < held.epoch:
        return held, None
    fresh = claim.epoch > held.epoch
    if not fresh and held.reason == Reason.REVOKED:
        return held, None
    if claim.is_will:
        if not fresh and held.lost:
            return held, None
        return _fold_will(held, claim, now, timers, region=region, fresh=fresh, blind=blind)
    if not fresh and held.n is not None and (claim.n or 0) <= held.n:
        return held, None
    here = held.region == region  # an address is of one region
    taken = replace(
        held,
        epoch=claim.epoch,
        n=claim.n,
        lost=held.lost and not fresh,
        ended=claim.kind is ClaimKind.DETACH,
        region=region,
        cell=claim.cell or held.cell,
        address=claim.address or (held.address if here else None),
        seen_address=seen_address or (held.seen_address if here else None),
        update_interval_s=claim.update_interval or held.update_interval_s,
        keep_alive_s=held.keep_alive_s if claim.keep_alive is None else claim.keep_alive,
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
            return _lose(held, taken, now, timers)
        return replace(taken, evidence=held.evidence), None
    if held.state is PresenceState.ASLEEP:
        return _alive(held, taken, Reason.WOKE, now, timers)
    open_yet = held.state in (PresenceState.ONLINE, PresenceState.SUSPECT) and not (held.lost or held.ended)
    origin = held.evidence.get("to") if held.region == taken.region else held.region
    if (_leaving(held) and origin) or (open_yet and held.region != taken.region):
        return _alive(held, _noting(taken, {"from": origin}), Reason.HANDOVER, now, timers)
    if held.epoch != taken.epoch and open_yet:
        noted = _noting(taken, {"replaced": held.epoch})
        return _alive(held, _count_flap(noted, now, timers), Reason.REPLACED, now, timers)
    reason = Reason.ATTACH if claim.kind is ClaimKind.ATTACH else Reason.UPDATE
    return _alive(held, taken, reason if _believed(claim.at, now) else Reason.CLOCK, now, timers)


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
    if blind:  # it was asked to speak up within its interval; the will does not give it more time
        deadline = _next_update(taken, now, timers) if held.deadline is None else held.deadline
        return _enter(held, taken, PresenceState.UNKNOWN, Reason.GATEWAY, now, deadline)
    if held.state is PresenceState.OFFLINE and not fresh:
        return taken, None  # offline already: only its evidence tells of a late will
    return _lose(held, taken, now, timers)


def evidence(
    registration: Registration,
    epoch: int,
    now: datetime,
    timers: Timers,
    *,
    by: Reason = Reason.TELEMETRY,
    measured: datetime | None = None,
) -> Outcome:
    """Take a sign of life that is not a claim: telemetry, or a response, sent in `epoch`.

    `measured` is when its newest reading was, by the unit's clock; None where it has none.

    It settles a suspect, unknown or timed-out vehicle of that epoch and moves the deadline of an online
    one. It does nothing for another epoch, nor after that epoch's will or goodbye, nor for a vehicle that
    sleeps (it may still be sending what was on its way).
    """
    held = registration
    if epoch != held.epoch or held.lost or held.ended or held.state is PresenceState.ASLEEP:
        return held, None
    found = {"by": by.value, "epoch": epoch, "heard": _text(now)}
    if measured is not None:
        found["measured" if _believed(measured, now) else "refused"] = _text(measured)
    return _alive(held, replace(held, evidence=found), by, now, timers)


def expire(registration: Registration, now: datetime, timers: Timers) -> Outcome:
    """Take the passing of time: what happens at the deadline, if it has come.

    The change is dated by the deadline, whenever somebody looked; what follows is counted from now, so
    that a vehicle has the whole of it to answer the page.
    """
    held = registration
    if held.deadline is None or held.deadline > now:
        return held, None
    at, detach = held.deadline, now + timers.detach(held.keep_alive_s)
    taken = _noting(held, {"deadline": _text(held.deadline)})
    match held.state:
        case PresenceState.ONLINE:
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERDUE, at, detach, page=True)
        case PresenceState.UNKNOWN if held.reason == Reason.GATEWAY:
            # Also where its will was heard: a dying gateway emits everybody's, so it proves nothing.
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERDUE, at, detach, page=True)
        case PresenceState.ASLEEP:
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERSLEPT, at, detach, page=True)
        case PresenceState.SUSPECT if held.reason == Reason.FLAPPING and not held.lost:
            return _enter(held, taken, PresenceState.SUSPECT, Reason.OVERDUE, at, detach, page=True)
        case PresenceState.SUSPECT:
            silent = Reason.LOST if held.lost else Reason.TIMEOUT
            kept = Reason.HANDOVER if held.reason == Reason.HANDOVER else silent
            if kept is Reason.HANDOVER and "to" in held.evidence:  # the register there knows, not this one
                return _enter(held, taken, PresenceState.UNKNOWN, kept, at, None)
            return _enter(held, taken, PresenceState.OFFLINE, kept, at, None)
        case _:
            return replace(held, deadline=None), None


def blind(
    registration: Registration, now: datetime, timers: Timers, *, since: datetime | None = None
) -> Outcome:
    """Take that the gateway could not hear, from `since` (None: from now) on: nobody is known to be there."""
    held = registration
    if held.state not in (PresenceState.ONLINE, PresenceState.SUSPECT) or _leaving(held):
        return held, None
    at = now if since is None else min(since, now)
    taken = _noting(held, {"blind_since": _text(at)})
    deadline = _next_update(taken, now, timers)
    return _enter(held, taken, PresenceState.UNKNOWN, Reason.GATEWAY, at, deadline, page=True)


def returned(
    registration: Registration, now: datetime, timers: Timers, *, since: datetime | None = None
) -> Outcome:
    """Take that the gateway hears again, and did not from `since` on: all have time to speak up.

    Deadlines that passed meanwhile do not count: who was to wake then may have done so unheard, and who was
    handing over may have attached.
    """
    held = registration
    if held.state is PresenceState.UNKNOWN and held.reason == Reason.GATEWAY:
        return replace(held, deadline=_next_update(held, now, timers)), None
    if held.deadline is not None and held.deadline <= now:
        if held.state is PresenceState.ASLEEP:
            taken = _noting(held, {"deadline": _text(held.deadline)})
            deadline, gateway = _next_update(held, now, timers), Reason.GATEWAY
            return _enter(held, taken, PresenceState.UNKNOWN, gateway, held.deadline, deadline, page=True)
        if _leaving(held):
            return replace(held, deadline=now + timedelta(seconds=timers.linger_s)), None
    return blind(held, now, timers, since=since)


def revoke(registration: Registration, now: datetime) -> Outcome:
    """Take that an operator ended the credential: offline, and nothing of this session counts any more."""
    held = registration
    if held.reason in (Reason.REVOKED, Reason.NEW):
        return held, None
    taken = replace(held, ended=True, evidence={"by": Reason.REVOKED.value, "heard": _text(now)})
    return _enter(held, taken, PresenceState.OFFLINE, Reason.REVOKED, now, None)


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


# -- a link that comes and goes ------------------------------------------------------------------


def _alive(held: Registration, taken: Registration, reason: Reason, now: datetime, timers: Timers) -> Outcome:
    """It is there: online, unless its link flaps and has not held for the hysteresis time."""
    deadline = _next_update(taken, now, timers)
    episode = held.state is PresenceState.SUSPECT and held.reason == Reason.FLAPPING
    if (episode or reason is Reason.REPLACED) and _flaps(taken, now, timers):
        return _enter(held, _with_flaps(taken), PresenceState.SUSPECT, Reason.FLAPPING, now, deadline)
    if episode:
        taken = replace(_with_flaps(taken), flaps=0)
    return _enter(held, taken, PresenceState.ONLINE, reason, now, deadline)


def _lose(held: Registration, taken: Registration, now: datetime, timers: Timers) -> Outcome:
    """Its link is gone: suspect at once, offline when it has not come back."""
    if held.state is not PresenceState.SUSPECT or held.reason == Reason.FLAPPING or held.epoch != taken.epoch:
        taken = _count_flap(taken, now, timers)  # a silent link whose will comes was lost once, not twice
    if _flaps(taken, now, timers):
        deadline = now + timedelta(seconds=max(timers.linger_s, timers.hysteresis_s))
        return _enter(held, _with_flaps(taken), PresenceState.SUSPECT, Reason.FLAPPING, now, deadline)
    deadline = now + timedelta(seconds=timers.linger_s)
    return _enter(held, taken, PresenceState.SUSPECT, Reason.LOST, now, deadline)


def _count_flap(taken: Registration, now: datetime, timers: Timers) -> Registration:
    if taken.flaps and _recent(taken, now, timers):
        return replace(taken, flaps=taken.flaps + 1, flapped_at=now)
    return replace(taken, flaps=1, flaps_since=now, flapped_at=now)


def _flaps(registration: Registration, now: datetime, timers: Timers) -> bool:
    return registration.flaps >= timers.flap_limit and _recent(registration, now, timers)


def _recent(registration: Registration, now: datetime, timers: Timers) -> bool:
    """Whether the last loss is less than the hysteresis time ago."""
    last = registration.flapped_at
    return last is not None and now < last + timedelta(seconds=timers.hysteresis_s)


def _with_flaps(registration: Registration) -> Registration:
    assert registration.flaps_since is not None
    flaps = {"flaps": registration.flaps, "flaps_since": _text(registration.flaps_since)}
    return _noting(registration, flaps)


# -- helpers -------------------------------------------------------------------------------------


def _enter(
    held: Registration,
    taken: Registration,
    state: PresenceState,
    reason: str,
    at: datetime,
    deadline: datetime | None,
    *,
    page: bool = False,
) -> Outcome:
    """Go to a state; never dated before the state that it follows.

    Staying online in the same session and region is no change, whatever the sign was. Nor is anything that
    a flapping link does until it has settled.
    """
    at = at if held.since is None else max(at, held.since)
    same = held.state is state and held.region == taken.region
    if same and held.reason == reason == Reason.FLAPPING:
        return replace(taken, deadline=deadline), None
    if same and held.epoch == taken.epoch and (state is PresenceState.ONLINE or held.reason == reason):
        return replace(taken, deadline=deadline), None
    since = held.since if held.state is state and held.since is not None else at
    entered = replace(taken, state=state, reason=str(reason), since=since, deadline=deadline)
    return entered, Change(held.state, state, str(reason), at, page)


def _leaving(registration: Registration) -> bool:
    """Whether it said goodbye to hand over to another region, and has attached nowhere that we know of."""
    said = registration.ended and registration.reason == Reason.HANDOVER
    return said and registration.state in (PresenceState.SUSPECT, PresenceState.UNKNOWN)


def _next_update(registration: Registration, now: datetime, timers: Timers) -> datetime:
    return now + timers.interval(registration.update_interval_s) + timedelta(seconds=timers.grace_s)


def _believed(measured: datetime, now: datetime) -> bool:
    return EARLIEST <= measured <= now + AHEAD


def _evidence(claim: Claim, now: datetime) -> dict[str, Any]:
    by = "will" if claim.is_will else claim.kind.value
    found: dict[str, Any] = {"by": by, "epoch": claim.epoch, "heard": _text(now)}
    if claim.is_will:  # it was written before its session began: its time says nothing
        return found
    found["n"] = claim.n
    found["measured" if _believed(claim.at, now) else "refused"] = _text(claim.at)
    if claim.to is not None:
        found["to"] = claim.to
    return found


def _noting(registration: Registration, facts: dict[str, Any]) -> Registration:
    return replace(registration, evidence=registration.evidence | facts)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
