"""The two stories of each unit of the benchmark of presence, as they are told, and what judges them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from vehicle_sim.score import presence
from vehicle_sim.score.presence import GONE, OFFLINE, UNKNOWN, Goal, Shown, State, Verdict, judge


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

    def blinded(self, unit: str, at: float) -> None:
        """Its gateway dies. Nobody can know of a loss that is not offline yet: a dying gateway loses all."""
        goals = self.goals[unit]
        held = [goal for goal in goals if goal.at <= at][-1:]
        if held and held[0].states == GONE:
            goals[:] = [goal for goal in goals if goal.at <= at]
            self.goal(unit, at, GONE | UNKNOWN, 0.0)

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
            for what, seconds in presence.wrong_by_state(goals, self.shown[unit], until).items():
                found[what] += seconds
        return dict(found)
