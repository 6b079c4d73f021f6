"""What a station's own vehicle is to others: standing in the way, braking hard, at road works. Pure.

Each event has an action id and is told in DENMs that are repeated while it is valid. An event that lasts is
told anew before it expires (an update: later detection and reference time), and cancelled when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from fleetcell.contract.v2x.messages import (
    BREAKDOWN,
    EMERGENCY_BRAKE,
    SHORT_TERM_ROADWORKS,
    ActionId,
    Cause,
    Denm,
)
from vehicle_sim.v2x import making
from vehicle_sim.v2x.body import HARD_BRAKING_MS2

if TYPE_CHECKING:
    import random

    from fleetcell.contract.v2x.messages import PathPoint
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.v2x.body import Body

_MIN_BRAKING_SPEED_MS: Final = 20 / 3.6
_GOODBYES: Final = 3  # how often a cancellation is told: QoS 0 may lose it
_SEQUENCE_NUMBERS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of event is told.

    after_s: how long it must last before. validity_s, repeat_ms: as in the DENM.
    update_s: how long after the last news it is told anew while it lasts; None: it is told once.
    """

    cause: Cause
    after_s: float
    validity_s: int
    repeat_ms: int
    update_s: float | None


STATIONARY: Final = Rule(Cause.STATIONARY_VEHICLE, 15.0, 30, 1000, 10.0)
HARD_BRAKING: Final = Rule(Cause.DANGEROUS_SITUATION, 0.0, 2, 500, None)
ROADWORKS: Final = Rule(Cause.ROADWORKS, 5.0, 60, 1000, 15.0)


@dataclass(frozen=True, slots=True)
class Hazard:
    """One event of the station's own. `its_ms`: TimestampIts; `lasted_s`: since it began."""

    rule: Rule
    action: ActionId
    sub_cause: int
    body: Body
    motion: Motion
    path: tuple[PathPoint, ...]
    detected_its_ms: int
    reference_its_ms: int
    lasted_s: float


class _Episode:
    """One kind of event: since when it lasts, and what was told of it. Times are in ms, forward only."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.since_ms: int | None = None  # it lasts
        self.told: Hazard | None = None
        self.told_ms = 0  # the last news
        self.repeat_ms = 0  # the next repetition
        self.goodbyes: list[int] = []  # when the cancellation is repeated
        self.over = False  # it was told, and is not told again while it lasts


class Hazards:
    """The events of one station.

    Args:
        body: what the vehicle is.
        rng: of sequence numbers.
    """

    def __init__(self, body: Body, rng: random.Random) -> None:
        self._body = body
        self._rng = rng
        self._sequence = rng.randrange(_SEQUENCE_NUMBERS)
        self._episodes = [_Episode(rule) for rule in (STATIONARY, HARD_BRAKING, ROADWORKS)]

    @property
    def active(self) -> bool:
        """Whether there is an event that is still told."""
        return any(episode.told is not None for episode in self._episodes)

    def begin(self) -> None:
        """There is another pseudonym: numbers begin anew."""
        self._sequence = self._rng.randrange(_SEQUENCE_NUMBERS)

    def look(
        self,
        now_ms: int,
        its_ms: int,
        station_id: int,
        motion: Motion,
        path: tuple[PathPoint, ...],
    ) -> list[Denm]:
        """The DENMs that are due now."""
        due: list[Denm] = []
        for episode in self._episodes:
            if not _lasts(episode.rule, motion, self._body):
                due += self._ended(episode, now_ms, its_ms)
                continue
            if episode.since_ms is None:
                episode.since_ms = now_ms
            if episode.goodbyes:  # it was cancelled: what begins now is another event
                episode.told, episode.goodbyes = None, []
            lasted_s = (now_ms - episode.since_ms) / 1000
            if lasted_s >= episode.rule.after_s and _is_news(episode, now_ms):
                episode.told = self._hazard(episode, its_ms, station_id, motion, path, lasted_s)
                episode.told_ms = episode.repeat_ms = now_ms
            due += _repeated(episode, now_ms, its_ms)
        return due

    def leave(self, its_ms: int) -> list[Denm]:
        """The station falls silent: what lasts is cancelled."""
        due = [
            making.denm(episode.told, its_ms, terminated="isCancellation")
            for episode in self._episodes
            if episode.told is not None and episode.rule.update_s is not None
        ]
        self._episodes = [_Episode(episode.rule) for episode in self._episodes]
        return due

    def _hazard(
        self,
        episode: _Episode,
        its_ms: int,
        station_id: int,
        motion: Motion,
        path: tuple[PathPoint, ...],
        lasted_s: float,
    ) -> Hazard:
        if episode.told is not None:
            return replace(
                episode.told,
                motion=motion,
                detected_its_ms=its_ms,
                reference_its_ms=its_ms,
                lasted_s=lasted_s,
            )
        self._sequence = (self._sequence + 1) % _SEQUENCE_NUMBERS
        return Hazard(
            rule=episode.rule,
            action=ActionId(station_id, self._sequence),
            sub_cause=_sub_cause(episode.rule, motion),
            body=self._body,
            motion=motion,
            path=path,
            detected_its_ms=its_ms,
            reference_its_ms=its_ms,
            lasted_s=lasted_s,
        )

    def _ended(self, episode: _Episode, now_ms: int, its_ms: int) -> list[Denm]:
        episode.since_ms, episode.over = None, False
        if episode.told is None:
            return []
        if episode.rule.update_s is None:  # it runs out by itself
            return _repeated(episode, now_ms, its_ms)
        if not episode.goodbyes:
            repeat = episode.rule.repeat_ms
            episode.goodbyes = [now_ms + number * repeat for number in range(_GOODBYES)]
        due: list[Denm] = []
        if now_ms >= episode.goodbyes[0]:
            del episode.goodbyes[0]
            due.append(making.denm(episode.told, its_ms, terminated="isCancellation"))
            if not episode.goodbyes:
                episode.told = None
        return due


def _lasts(rule: Rule, motion: Motion, body: Body) -> bool:
    works = body.role == "roadWork"
    match rule.cause:
        case Cause.STATIONARY_VEHICLE:
            return motion.standing and motion.ignition and not works
        case Cause.ROADWORKS:
            return motion.standing and works
        case Cause.DANGEROUS_SITUATION:
            return motion.acceleration <= HARD_BRAKING_MS2 and motion.speed_ms >= _MIN_BRAKING_SPEED_MS


def _is_news(episode: _Episode, now_ms: int) -> bool:
    if episode.told is None:
        return not episode.over
    update_s = episode.rule.update_s
    return update_s is not None and now_ms >= episode.told_ms + update_s * 1000


def _repeated(episode: _Episode, now_ms: int, its_ms: int) -> list[Denm]:
    """The DENM of what was told, when it is time; the end of what is told once."""
    if episode.told is None:
        return []
    if now_ms >= episode.told_ms + episode.rule.validity_s * 1000:
        episode.told, episode.over = None, True
        return []
    if now_ms < episode.repeat_ms:
        return []
    episode.repeat_ms = now_ms + episode.rule.repeat_ms
    return [making.denm(episode.told, its_ms)]


def _sub_cause(rule: Rule, motion: Motion) -> int:
    match rule.cause:
        case Cause.STATIONARY_VEHICLE:
            return BREAKDOWN if motion.faulty else 0
        case Cause.ROADWORKS:
            return SHORT_TERM_ROADWORKS
        case Cause.DANGEROUS_SITUATION:
            return EMERGENCY_BRAKE
