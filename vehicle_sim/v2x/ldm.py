"""Local dynamic map: what a station has heard of others, and still believes. Pure.

Anybody can publish anything. So what is not plausible is refused with a reason, what is old is forgotten, and
both lists have an end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import TopicError
from fleetcell.contract.v2x.cells import check_sender, near_cell
from fleetcell.contract.v2x.times import age_ms
from vehicle_sim.roads.geodesy import segment

if TYPE_CHECKING:
    from fleetcell.contract.topics import V2xTopic
    from fleetcell.contract.v2x.messages import ActionId, Cam, Denm

Place = tuple[float, float]
"""Latitude and longitude in degrees."""

MOST_NEIGHBOURS: Final = 256
MOST_EVENTS: Final = 128
MOST_EVENTS_OF_ONE: Final = 8
NEIGHBOUR_MS: Final = 3000  # three of the longest intervals
WARNING_M: Final = 1000.0
_TOLERANCE_MS: Final = 2000  # of clocks and links
_FASTEST_MS: Final = 100.0
_JUMP_M: Final = 50.0  # by which two positions may be wrong


class Refusal(StrEnum):
    """Why a message was not believed."""

    UNREADABLE = "unreadable"  # not CAM or DENM, or UPER without the extra
    TOPIC = "topic"  # no H3 cell of the right size, or another pseudonym than in the message
    NO_POSITION = "no position"
    ELSEWHERE = "elsewhere"  # its position is not where it was published
    WRONG_TIME = "wrong time"
    JUMPED = "jumped"
    NOT_ITS_OWN = "not its own"  # the event of another station
    TOO_MANY = "too many"  # events of one station


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The newest CAM of a station."""

    cam: Cam
    place: Place
    heard_ms: int


@dataclass(frozen=True, slots=True)
class Event:
    """The newest DENM of an event; one that is over is kept until nobody can repeat it."""

    denm: Denm
    place: Place
    expires_its_ms: int

    @property
    def over(self) -> bool:
        """Whether it was cancelled or negated."""
        return self.denm.termination is not None


class Ldm:
    """The map of one station. `now_ms`: of a clock that only goes forward; `its_ms`: TimestampIts."""

    def __init__(self) -> None:
        self._neighbours: dict[int, Neighbour] = {}  # the one that was heard last is last
        self._events: dict[ActionId, Event] = {}
        self._news: deque[Event] = deque(maxlen=MOST_EVENTS)

    # -- what is heard ----------------------------------------------------------------------------

    def hear_cam(self, topic: V2xTopic, cam: Cam, now_ms: int, its_ms: int) -> Refusal | None:
        """Take a CAM, or say why not."""
        place = _place(topic, cam)
        if isinstance(place, Refusal):
            return place
        if abs(age_ms(cam.cam.generation_delta_time, its_ms)) > _TOLERANCE_MS:
            return Refusal.WRONG_TIME
        station = cam.station_id
        known = self._neighbours.get(station)
        if known is not None:
            most_m = _FASTEST_MS * (now_ms - known.heard_ms) / 1000 + _JUMP_M
            if metres(known.place, place) > most_m:
                return Refusal.JUMPED
            del self._neighbours[station]
        elif len(self._neighbours) >= MOST_NEIGHBOURS:
            del self._neighbours[next(iter(self._neighbours))]
        self._neighbours[station] = Neighbour(cam, place, now_ms)
        return None

    def hear_denm(self, topic: V2xTopic, denm: Denm, its_ms: int) -> Refusal | None:
        """Take a DENM, or say why not. A repetition, or one that came late, changes nothing."""
        place = _place(topic, denm)
        if isinstance(place, Refusal):
            return place
        told = denm.management
        expires = told.detection_time + told.validity_duration * 1000
        if (
            told.reference_time < told.detection_time
            or told.reference_time > its_ms + _TOLERANCE_MS
            or expires <= its_ms
        ):
            return Refusal.WRONG_TIME
        action = told.action_id
        if denm.station_id != action.originating_station_id and denm.termination != "isNegation":
            return Refusal.NOT_ITS_OWN
        known = self._events.get(action)
        if known is not None:
            if known.over or told.reference_time <= known.denm.management.reference_time:
                return None
            expires = max(expires, known.expires_its_ms) if denm.termination else expires
        else:
            refusal = self._make_room(action, its_ms)
            if refusal is not None:
                return refusal
        event = self._events[action] = Event(denm, place, expires)
        if known is None and not event.over:
            self._news.append(event)
        return None

    def _make_room(self, action: ActionId, its_ms: int) -> Refusal | None:
        self._expire(its_ms)
        station = action.originating_station_id
        if sum(other.originating_station_id == station for other in self._events) >= MOST_EVENTS_OF_ONE:
            return Refusal.TOO_MANY
        if len(self._events) >= MOST_EVENTS:
            first = min(self._events, key=lambda other: self._events[other].expires_its_ms)
            del self._events[first]
        return None

    # -- what is believed -------------------------------------------------------------------------

    def neighbours(self, now_ms: int) -> list[Neighbour]:
        """The stations that were heard within 3 s."""
        old = [
            station
            for station, neighbour in self._neighbours.items()
            if now_ms - neighbour.heard_ms > NEIGHBOUR_MS
        ]
        for station in old:
            del self._neighbours[station]
        return list(self._neighbours.values())

    def warnings(self, its_ms: int, here: Place) -> list[Event]:
        """The events that hold, within 1 km."""
        self._expire(its_ms)
        return [
            event
            for event in self._events.values()
            if not event.over and metres(here, event.place) <= WARNING_M
        ]

    def take_news(self, here: Place) -> list[Event]:
        """The events within 1 km that were heard of for the first time since the last call."""
        news = [event for event in self._news if metres(here, event.place) <= WARNING_M]
        self._news.clear()
        return news

    def _expire(self, its_ms: int) -> None:
        for action in [action for action, event in self._events.items() if event.expires_its_ms <= its_ms]:
            del self._events[action]


def metres(one: Place, other: Place) -> float:
    """The distance of two near places."""
    return segment(one[1], one[0], other[1], other[0])[0]


def _place(topic: V2xTopic, message: Cam | Denm) -> Place | Refusal:
    """Where it says it is, when that is where it was published."""
    try:
        cell = check_sender(topic, message.station_id)
    except TopicError:
        return Refusal.TOPIC
    place = message.position.degrees
    if place is None:
        return Refusal.NO_POSITION
    return place if near_cell(cell, *place) else Refusal.ELSEWHERE
