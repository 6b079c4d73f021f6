"""What should have been shown of each vehicle, from what really happened; and what was shown instead. Pure.

A `Goal` holds from its moment on: the states that are true, and the detection window in which the platform
may still find out. Outside the windows each second with another state is wrong. Offline is judged in the
windows too: it is false wherever neither this goal nor, in the window, the one before allows it.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from fleetcell.contract.messages import PresenceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State = PresenceState
GONE: Final = frozenset({State.SUSPECT, State.OFFLINE})
ONLINE: Final = frozenset({State.ONLINE})
OFFLINE: Final = frozenset({State.OFFLINE})
ASLEEP: Final = frozenset({State.ASLEEP})
UNKNOWN: Final = frozenset({State.UNKNOWN})


class Goal(NamedTuple):
    """From `at` on these states are true, and must be shown after the window. `kind`: what happened.

    tried: epochs of sessions that the unit asked for meanwhile, and had no answer in time. The platform may
    have seen one begin; then it sees it end, and suspect is right for `linger_s` from there.
    """

    at: float
    states: frozenset[State]
    window_s: float
    kind: str = ""
    tried: range = range(0)
    linger_s: float = 0.0


class Shown(NamedTuple):
    """A change that a client of the platform could see from `at` on."""

    at: float
    state: State
    reason: str
    epoch: int
    region: str | None


class Verdict(NamedTuple):
    """Of all units: seconds that were judged, of which wrong; episodes of false offline."""

    seconds: float
    wrong_s: float
    false_offline: int


class Delay(NamedTuple):
    """How long after something happened it was shown, s; None: not before something else happened."""

    kind: str
    seconds: float | None


def judge(goals: Sequence[Goal], shown: Sequence[Shown], until: float) -> Verdict:
    """Compare the stories of one unit, from its first goal on; `shown` in order of time."""
    seconds = wrong = 0.0
    episodes = 0
    before: frozenset[State] = frozenset()
    for goal, end in spans(goals, until):
        if goal.at >= end:
            before = before | goal.states
            continue
        seconds += end - goal.at
        wrong += sum(lasted for _, lasted in astray(goal, shown, end))
        episodes += any(
            change.state is State.OFFLINE
            and goal.at <= change.at < end
            and State.OFFLINE not in goal.states
            and (State.OFFLINE not in before or change.at >= goal.at + goal.window_s)
            for change in shown
        )
        before = goal.states
    return Verdict(seconds, wrong, episodes)


def false_online(goals: Sequence[Goal], shown: Sequence[Shown], until: float) -> int:
    """How often a unit that was away was shown online after the window; an episode may last over goals."""
    episodes, lasts = 0, False
    for goal, end in spans(goals, until):
        wrong = State.ONLINE not in goal.states and any(
            change.state is State.ONLINE for change, _ in astray(goal, shown, end)
        )
        episodes += wrong and not lasts
        lasts = wrong
    return episodes


def wrong_by_state(goals: Sequence[Goal], shown: Sequence[Shown], until: float) -> dict[str, float]:
    """The wrong seconds by what was shown, such as `offline (lost)`."""
    found: defaultdict[str, float] = defaultdict(float)
    for goal, end in spans(goals, until):
        for change, seconds in astray(goal, shown, end):
            found[f"{change.state} ({change.reason})"] += seconds
    return dict(found)


def delays(goals: Sequence[Goal], shown: Sequence[Shown], until: float) -> list[Delay]:
    """How long it took until each goal was shown; goals that follow by a timer have no kind and are left out.

    A goal that was shown already when it began (an outage while the vehicle is suspect) tells nothing and is
    left out. So is one that ended, unseen, within its window: the platform had no need to notice.
    """
    found: list[Delay] = []
    for goal, end in spans(goals, until):
        if not goal.kind or end <= goal.at:
            continue
        at = bisect.bisect_right(shown, goal.at, key=lambda change: change.at)
        if at and shown[at - 1].state in goal.states:
            continue
        seen = next(
            (change.at for change in shown[at:] if change.at < end and change.state in goal.states), None
        )
        if seen is not None:
            found.append(Delay(goal.kind, seen - goal.at))
        elif end >= goal.at + goal.window_s:
            found.append(Delay(goal.kind, None))
    return found


def spans(goals: Sequence[Goal], until: float) -> Iterator[tuple[Goal, float]]:
    """Each goal with the moment until which it holds."""
    for index, goal in enumerate(goals):
        yield goal, min(goals[index + 1].at if index + 1 < len(goals) else until, until)


def astray(goal: Goal, shown: Sequence[Shown], end: float) -> Iterator[tuple[Shown, float]]:
    """What is shown outside of the window and is not the goal, and for how many seconds."""
    since = goal.at + goal.window_s
    at = max(bisect.bisect_right(shown, since, key=lambda change: change.at) - 1, 0)
    for index in range(at, len(shown)):
        change = shown[index]
        begin = max(change.at, since)
        if change.state is State.SUSPECT and change.epoch in goal.tried:
            begin = max(change.at + goal.linger_s, since)
        finish = min(shown[index + 1].at if index + 1 < len(shown) else end, end)
        if begin < finish and change.state not in goal.states:
            yield change, finish - begin
