"""What to do next with a command that is due, and what a response changes. Pure: rows and times go in.

A command is sent where its vehicle is attached, at once, in each new session again, and with growing pauses
while nothing is heard of it; its id makes that harmless. Where the vehicle is suspect it is paged. Everywhere
else the command waits: the vehicle's next claim wakes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fleetcell.contract.commands import CommandEvent, CommandState, Progress, Refusal, fold
from fleetcell.contract.messages import PresenceState, Response, ResponseState
from fleetcell.contract.presence import Reason

PAGE_CAP_S: Final = 30.0  # the most between two pages; a suspect vehicle is offline within minutes
SEND_CAP_S: Final = 900.0  # the most between two attempts in one session
OUTCOME_WAIT_S: Final = 60.0  # how long after not_after the outcome of an accepted command is waited for


@dataclass(frozen=True, slots=True)
class Due:
    """A command that is due: its row, and its vehicle's registration.

    `epoch` is the session that it was last sent to, `sent` and `pages` how often it was sent and paged for,
    `attached` whether the vehicle's session is there as far as is known.
    """

    state: CommandState
    not_after: datetime
    epoch: int | None
    sent: int
    pages: int
    vehicle_state: PresenceState
    vehicle_epoch: int
    attached: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The command's row afterwards, and what to do once it is committed; event None: only wait.

    `next_at` None: until the vehicle is heard, or the command expires.
    """

    state: CommandState
    epoch: int | None
    sent: int
    pages: int
    next_at: datetime | None
    event: CommandEvent | None


def is_attached(state: PresenceState, reason: str, *, lost: bool) -> bool:
    """Whether the vehicle has a session: online, or only held back from it because its link flaps."""
    flapping = state is PresenceState.SUSPECT and reason == Reason.FLAPPING and not lost
    return state is PresenceState.ONLINE or flapping


def plan(due: Due, now: datetime, retry_s: float) -> Plan:
    """What to do with a command now.

    Args:
        due: the command.
        now: in database time.
        retry_s: the first pause; each further one is twice as long, up to a cap.
    """
    held = Progress(due.state)
    if now < due.not_after and due.attached:
        pause = _pause(retry_s, due.sent, SEND_CAP_S)
        state = fold(held, CommandEvent.SENT).state
        return Plan(state, due.vehicle_epoch, due.sent + 1, due.pages, now + pause, CommandEvent.SENT)
    if now < due.not_after and due.vehicle_state is PresenceState.SUSPECT and due.sent == 0:
        pause = _pause(retry_s, due.pages, PAGE_CAP_S)
        state = fold(held, CommandEvent.PAGED).state
        return Plan(state, due.epoch, due.sent, due.pages + 1, now + pause, CommandEvent.PAGED)
    return Plan(due.state, due.epoch, due.sent, due.pages, None, None)


def _pause(first_s: float, attempt: int, cap_s: float) -> timedelta:
    return timedelta(seconds=min(first_s * 2.0 ** min(attempt, 30), max(cap_s, first_s)))


def not_taken(response: Response, sent_to: int | None) -> bool:
    """Whether the unit refused this because it was for another session: it is to be sent again.

    Args:
        response: the unit's.
        sent_to: the session that the command was last sent to; None: none since the last such refusal, so
            this one is no news. A refusal by that very session is of an attempt before.
    """
    refused = response.state is ResponseState.FAILED and response.code == Refusal.EPOCH
    return refused and sent_to is not None and response.epoch != sent_to


def answered(held: Progress, response: Response) -> Progress | None:
    """How far the command is after a response; None: that was known, or says nothing of the command."""
    if response.state is ResponseState.FAILED and response.code == Refusal.EPOCH:
        return None
    now = fold(held, CommandEvent(response.state))
    return None if now == held else now
