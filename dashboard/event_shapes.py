"""What the API answers of events and hazards."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True):
    """Something that a vehicle reported. `lat`, `lon`: degrees, where its `data` says so.

    quality: 0 is good; otherwise flags, as of readings.
    """

    time: datetime
    vehicle: str
    boot: str
    seq: int
    kind: str
    data: dict[str, Any]
    lat: float | None
    lon: float | None
    received_at: datetime
    quality: int


class EventPage(msgspec.Struct, frozen=True):
    """Events, newest first."""

    items: list[Event]
    next_cursor: str | None


class Hazard(msgspec.Struct, frozen=True):
    """What vehicles warned each other of. Nothing in it says which vehicle it was.

    station, sequence: ETSI's actionID, the pseudonym of the station that told it first and its number there.
    cause, sub_cause: ETSI's codes; `kind` is a word for them. quality: ETSI's informationQuality, 1 to 7.
    speed in km/h and heading in degrees from north: of the event. state: active, expired, cancelled (by the
    station that told it) or negated (by another). first_at: when it was first heard here.
    """

    id: int
    region: str
    station: str
    sequence: int
    kind: str
    cause: int
    sub_cause: int
    quality: int | None
    lat: float
    lon: float
    speed: float | None
    heading: float | None
    detected_at: datetime
    reference_at: datetime
    valid_until: datetime
    first_at: datetime
    updates: int
    ended_at: datetime | None
    state: str


class HazardPage(msgspec.Struct, frozen=True):
    """Hazards, last told first."""

    items: list[Hazard]
    next_cursor: str | None
    server_time: datetime
