"""What the frame should show of each unit, from what really happened; and what it showed instead. Pure.

A `Goal` holds from its moment on: the states that are true, and the detection window in which the register
may still find out. Outside the windows each second with another state is wrong. Offline is judged in the
windows too: it is false wherever neither this goal nor the one before allows it.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fleetcell.contract.messages import PresenceState

if TYPE_CHECKING:
    from collections.abc import Iterator

State = PresenceState
GONE = frozenset({State.SUSPECT, State.OFFLINE})
ONLINE = frozenset({State.ONLINE})
OFFLINE = frozenset({State.OFFLINE})
ASLEEP = frozenset({State.ASLEEP})
UNKNOWN = frozenset({State.UNKNOWN})


class Goal(NamedTuple):
    """From `at` on these states are true, and must be shown after the window."""

    at: float
    states: frozenset[State]
    window_s: float


class Shown(NamedTuple):
    """A change in the frame."""

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


@dataclass
class Book:
    """The two stories of each unit, as they are told."""

    goals: defaultdict[str, list[Goal]] = field(default_factory=lambda: defaultdict(list))
    shown: defaultdict[str, list[Shown]] = field(default_factory=lambda: defaultdict(list))

    def goal(self, unit: str, at: float, states: frozenset[State], window_s: float) -> None:
        """Note what is true; later goals that were foreseen are taken back."""
        goals = self.goals[unit]
        while goals and goals[-1].at >= at:
            goals.pop()
        goals.append(Goal(at, states, window_s))

    def lost(self, unit: str, at: float, window_s: float, linger_s: float) -> None:
        """It is gone: suspect or offline, and offline once the linger is over."""
        self.goal(unit, at, GONE, window_s)
        self.goals[unit].append(Goal(at + window_s + linger_s, OFFLINE, 1.0))

    def first(self, unit: str, after: float, states: frozenset[State], epoch: int = 0) -> float | None:
        """When one of these states was first shown, of this epoch or a later one."""
        for change in self.shown[unit]:
            if change.at >= after and change.state in states and change.epoch >= epoch:
                return change.at
        return None

    def epoch(self, unit: str, at: float) -> int:
        """The epoch that was shown at a moment."""
        return max((change.epoch for change in self.shown[unit] if change.at <= at), default=0)

    def judge(self, until: float) -> Verdict:
        """Compare, up to a moment."""
        found = [judge(self.goals[unit], self.shown[unit], until) for unit in self.goals]
        return Verdict(*(sum(column) for column in zip(*found, strict=True))) if found else Verdict(0, 0, 0)

    def wrong_by_state(self, until: float) -> dict[str, float]:
        """The wrong seconds by what was shown, such as `offline (lost)`."""
        found: defaultdict[str, float] = defaultdict(float)
        for unit, goals in self.goals.items():
            for goal, end in _spans(goals, until):
                for change, seconds in _wrong(goal, self.shown[unit], end):
                    found[f"{change.state} ({change.reason})"] += seconds
        return dict(found)


def judge(goals: list[Goal], shown: list[Shown], until: float) -> Verdict:
    """Compare the stories of one unit, from its first goal on."""
    seconds = wrong = 0.0
    episodes = 0
    before: frozenset[State] = frozenset()
    for goal, end in _spans(goals, until):
        if goal.at >= end:
            before = before | goal.states
            continue
        seconds += end - goal.at
        wrong += sum(lasted for _, lasted in _wrong(goal, shown, end))
        became_offline = any(change.state is State.OFFLINE for change in shown if goal.at <= change.at < end)
        episodes += became_offline and State.OFFLINE not in goal.states | before
        before = goal.states
    return Verdict(seconds, wrong, episodes)


def _spans(goals: list[Goal], until: float) -> Iterator[tuple[Goal, float]]:
    """Each goal with the moment until which it holds."""
    for index, goal in enumerate(goals):
        yield goal, min(goals[index + 1].at if index + 1 < len(goals) else until, until)


def _wrong(goal: Goal, shown: list[Shown], end: float) -> Iterator[tuple[Shown, float]]:
    """What is shown outside of the window and is not the goal, and for how many seconds."""
    since = goal.at + goal.window_s
    at = max(bisect.bisect_right(shown, since, key=lambda change: change.at) - 1, 0)
    for index in range(at, len(shown)):
        begin = max(shown[index].at, since)
        finish = min(shown[index + 1].at if index + 1 < len(shown) else end, end)
        if begin < finish and shown[index].state not in goal.states:
            yield shown[index], finish - begin
