"""What was heard of one vehicle, folded into its registration. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import ClaimKind, PresenceState
from fleetcell.contract.presence import (
    Change,
    Reason,
    Registration,
    Timers,
    evidence,
    fold,
    returned,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fleetcell.contract.messages import Claim
    from ingest.claims import Said, Sign

_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Return:
    """The gateway hears again, and settles this in parts: whom it has told of its blindness so far.

    since: when it stopped to hear (monotonic seconds).
    after: vehicles up to this id have been told, and of the others those in `spoken`: they were heard since.
    """

    since: float
    after: int = 0
    spoken: set[int] = field(default_factory=set)

    def is_due(self, vehicle_id: int) -> bool:
        """Whether a vehicle has not been told yet."""
        return vehicle_id > self.after and vehicle_id not in self.spoken


@dataclass(slots=True)
class Taken:
    """What was heard of one vehicle makes `registration`.

    changes: each with the registration before and after it.
    answer: whether the vehicle waits to see a claim of it in `state`.
    stale: claims that were older than what is held, or heard before.
    told: whether it was told of the gateway's blindness on the way.
    """

    registration: Registration
    changes: list[tuple[Registration, Registration, Change]] = field(default_factory=list)
    answer: bool = False
    stale: int = 0
    told: bool = False

    def become(self, outcome: tuple[Registration, Change | None]) -> None:
        """Take a step."""
        before = self.registration
        self.registration, change = outcome
        if change is not None:
            self.changes.append((before, self.registration, change))


@dataclass(frozen=True, slots=True)
class Ear:
    """Where and when it was heard.

    region: whose gateway.
    when: the database's time of a monotonic one.
    back: what the gateway's return still has to do, where it has just come back.
    blind_window: whether it came back less than an update interval ago.
    """

    region: str
    timers: Timers
    when: Callable[[float], datetime]
    back: Return | None = None
    blind_window: bool = False


def take(
    registration: Registration,
    claims: Sequence[Said],
    sign: Sign | None,
    ear: Ear,
    *,
    seen_address: str | None,
    due: bool = False,
) -> Taken:
    """Fold claims, and then a sign of life.

    Args:
        registration: what is held.
        claims: in the order in which they came.
        sign: the last sign of life.
        ear: who heard it.
        seen_address: where the vehicle connects from, as the broker sees it.
        due: whether the vehicle has to be told that the gateway was blind. What was heard before that is
            folded before, so that the blindness is in its history, and what was heard since settles it.
    """
    taken = Taken(registration)
    for claim, heard_at in claims:
        _tell(taken, ear, heard_at, due=due)
        held = taken.registration
        unsettled = held.state is PresenceState.UNKNOWN and held.reason == Reason.GATEWAY
        folded, change = fold(
            held,
            claim,
            ear.when(heard_at),
            ear.timers,
            region=ear.region,
            seen_address=seen_address,
            blind=ear.blind_window and unsettled,
        )
        taken.answer |= change is not None or not _is_routine(claim, held, folded)
        taken.stale += folded is held
        taken.become((folded, change))
    if sign is not None:
        _tell(taken, ear, sign.at, due=due)
        taken.become(lived(taken.registration, sign, ear.when(sign.at), ear.timers))
    return taken


def lived(
    registration: Registration, sign: Sign, heard_at: datetime, timers: Timers
) -> tuple[Registration, Change | None]:
    """Take a sign of life. It never takes back what a later claim has promised."""
    measured = None if sign.measured_us is None else _UNIX_EPOCH + timedelta(microseconds=sign.measured_us)
    found, change = evidence(registration, sign.epoch, heard_at, timers, by=sign.by, measured=measured)
    held, new = registration.deadline, found.deadline
    if change is None and held is not None and new is not None and new <= held:
        return registration, None
    return found, change


def _tell(taken: Taken, ear: Ear, heard_at: float, *, due: bool) -> None:
    """Before the first word since the return: nobody knew whether it was there. No page: it speaks."""
    if not due or taken.told or ear.back is None or heard_at < ear.back.since:
        return
    taken.told = True
    held = taken.registration
    if held.region == ear.region:
        now, since = ear.when(heard_at), ear.when(ear.back.since)
        told, change = returned(held, now, ear.timers, since=since)
        taken.become((told, None if change is None else replace(change, page=False)))


def _is_routine(claim: Claim, held: Registration, folded: Registration) -> bool:
    """Whether a claim is the periodic update of a vehicle that is online: nobody waits for an answer.

    An answer to each would be most of what presence costs on the air. One that comes again (nobody repeats
    it without a reason) or that tells its timers is answered.
    """
    periodic = claim.kind is ClaimKind.UPDATE and claim.update_interval is None and claim.keep_alive is None
    return periodic and folded is not held and folded.state is PresenceState.ONLINE
