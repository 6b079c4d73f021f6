"""Events: what the kinds that units of this project report are called, and what their data says.

A unit may report other kinds with whatever data it likes; they are stored and shown all the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class EventKind(StrEnum):
    """What happened, with the data that comes beside `lat` and `lon` (degrees, where they are known).

    DTC: `code` (SAE J2012), `active`: whether it appeared or cleared.
    HARSH_BRAKE, HARSH_ACCELERATION: `acceleration` in m/s², negative when braking; `speed` in km/h.
    CRASH: the same, and `delta_v`: the change of speed in km/h.
    HAZARD_HEARD: a warning of another vehicle was received.
    """

    DTC = "dtc"
    HARSH_BRAKE = "harsh_brake"
    HARSH_ACCELERATION = "harsh_acceleration"
    CRASH = "crash"
    HAZARD_HEARD = "hazard_heard"


def place_of(data: Mapping[str, object]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, where `data` has both and they are on the Earth."""
    lat, lon = _within(data.get("lat"), 90), _within(data.get("lon"), 180)
    return None if lat is None or lon is None else (lat, lon)


def _within(value: object, most: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
        return None
    return float(value)
