"""What a DENM says of a hazard, once it was checked: a `Report`. Pure; the time is passed in.

Any unit may publish any DENM: nothing is signed, and a pseudonym hides which unit it was. So a report is
believed only as far as it can be true: it was sent under its own pseudonym, from near the hazard, and now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import h3

from fleetcell.contract.errors import FleetcellError, TopicError
from fleetcell.contract.v2x.cells import check_sender

if TYPE_CHECKING:
    from fleetcell.contract.topics import V2xTopic
    from fleetcell.contract.v2x.messages import Denm

AHEAD_MS: Final = 60_000  # a sender's clock may be ahead by this
FAR_M: Final = 5_000.0  # a hazard is at most this far from the cell that it is told in

# Of TS 102 894-2, CauseCodeType. What is not here is "other".
_KINDS: Final = {
    1: "traffic_condition",
    2: "accident",
    3: "road_works",
    6: "slippery_road",
    9: "road_surface",
    10: "obstacle",
    11: "animal",
    12: "people",
    14: "wrong_way_driver",
    15: "rescue",
    17: "extreme_weather",
    18: "low_visibility",
    19: "precipitation",
    26: "slow_vehicle",
    27: "end_of_queue",
    91: "breakdown",
    92: "post_crash",
    93: "human_problem",
    94: "stationary_vehicle",
    95: "emergency_vehicle",
    96: "dangerous_curve",
    97: "collision_risk",
    98: "signal_violation",
    99: "dangerous_situation",
}
_EMERGENCY_BRAKE: Final = (99, 1)


def kind_of(cause: int, sub_cause: int) -> str:
    """A word for causeCode and subCauseCode of ETSI."""
    return "hard_braking" if (cause, sub_cause) == _EMERGENCY_BRAKE else _KINDS.get(cause, "other")


class Doubt(StrEnum):
    """Why a DENM is not believed."""

    SENDER = "sender"  # the topic is of another station or no cell, or another station tells or cancels
    POSITION = "position"  # none, or too far from where it was sent
    TIME = "time"  # of the future, or over already
    CAUSE = "cause"  # it does not say what happened


class UnbelievableError(FleetcellError):
    """A DENM that cannot be true; `doubt` says in which respect."""

    def __init__(self, doubt: Doubt, message: str) -> None:
        super().__init__(message)
        self.doubt = doubt


class Ending(StrEnum):
    """Who says that a hazard is over: the station that told it, or another that is there."""

    CANCELLED = "cancelled"
    NEGATED = "negated"


@dataclass(frozen=True, slots=True)
class Report:
    """One DENM. Times in ms since 1970, place in degrees, speed in km/h, heading in degrees from north."""

    station_id: int
    sequence: int
    detected_ms: int
    reference_ms: int
    expires_ms: int
    lat: float
    lon: float
    cause: int = 0
    sub_cause: int = 0
    quality: int | None = None
    speed: float | None = None
    heading: float | None = None
    ending: Ending | None = None

    @property
    def action(self) -> tuple[int, int]:
        """Which hazard."""
        return self.station_id, self.sequence


def report_of(topic: V2xTopic, message: Denm, now_ms: int) -> Report:
    """What a DENM that came on this topic says.

    Raises:
        UnbelievableError: it cannot be true.
    """
    try:
        cell = check_sender(topic, message.station_id)
    except TopicError as error:
        raise UnbelievableError(Doubt.SENDER, str(error)) from error
    ending = _ending(message)
    action = message.action_id
    if ending is not Ending.NEGATED and action.originating_station_id != message.station_id:
        raise UnbelievableError(
            Doubt.SENDER,
            f"station {message.station_id} tells an event of station {action.originating_station_id}",
        )
    lat, lon = _place(message, cell)
    _check_times(message, now_ms, ends=ending is not None)
    cause = message.cause
    if cause is None and ending is None:
        raise UnbelievableError(Doubt.CAUSE, "it does not say what happened")
    situation, location = message.denm.situation, message.denm.location
    speed = None if location is None or location.event_speed is None else location.event_speed.speed_value
    towards = None if location is None else location.event_position_heading
    heading = None if towards is None else towards.heading_value
    return Report(
        station_id=action.originating_station_id,
        sequence=action.sequence_number,
        detected_ms=message.detected_ms,
        reference_ms=message.reference_ms,
        expires_ms=message.expires_ms,
        lat=lat,
        lon=lon,
        cause=cause.cause_code if cause else 0,
        sub_cause=cause.sub_cause_code if cause else 0,
        quality=situation.information_quality if situation else None,
        speed=None if speed is None else round(speed * 0.036, 2),
        heading=None if heading is None else heading / 10 % 360.0,
        ending=ending,
    )


def _ending(message: Denm) -> Ending | None:
    match message.termination:
        case None:
            return None
        case "isCancellation":
            return Ending.CANCELLED
        case _:
            return Ending.NEGATED


def _place(message: Denm, cell: str) -> tuple[float, float]:
    degrees = message.position.degrees
    if degrees is None:
        raise UnbelievableError(Doubt.POSITION, "it does not say where")
    away_m = h3.great_circle_distance(degrees, h3.cell_to_latlng(cell), unit="m")
    if away_m > FAR_M:
        raise UnbelievableError(Doubt.POSITION, f"{away_m / 1000:.0f} km from where it was sent")
    return degrees


def _check_times(message: Denm, now_ms: int, *, ends: bool) -> None:
    latest = max(message.detected_ms, message.reference_ms)
    if latest > now_ms + AHEAD_MS:
        raise UnbelievableError(Doubt.TIME, f"{(latest - now_ms) / 1000:.0f} s in the future")
    if message.expires_ms <= now_ms and not ends:
        raise UnbelievableError(Doubt.TIME, f"over for {(now_ms - message.expires_ms) / 1000:.0f} s")
