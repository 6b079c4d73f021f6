"""What the API answers of derived data and dead letters.

Lengths in m, durations in s, speeds in km/h, charge and fuel in percent points of battery and tank.
`complete_until`: all readings that were measured before it and are stored are in the answer; what is later
may still change.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations

import msgspec


class Trip(msgspec.Struct, frozen=True):
    """A trip; `open`: it goes on, `end` is its newest reading."""

    start: datetime
    end: datetime
    open: bool
    duration_s: float
    moving_s: float
    distance_m: float
    speed_avg: float | None
    speed_max: float | None
    soc_used: float
    soc_charged: float
    fuel_used: float
    fuel_filled: float
    start_lat: float | None
    start_lon: float | None
    end_lat: float | None
    end_lon: float | None


class TripPage(msgspec.Struct, frozen=True):
    """Trips, newest first."""

    items: list[Trip]
    next_cursor: str | None
    complete_until: datetime


class Stop(msgspec.Struct, frozen=True):
    """A stop; `open`: it goes on, `end` is its newest reading."""

    start: datetime
    end: datetime
    open: bool
    duration_s: float
    lat: float | None
    lon: float | None
    soc_used: float
    soc_charged: float
    fuel_used: float
    fuel_filled: float


class StopPage(msgspec.Struct, frozen=True):
    """Stops, newest first."""

    items: list[Stop]
    next_cursor: str | None
    complete_until: datetime


class Rollup(msgspec.Struct, frozen=True):
    """The figures of the time from `time` on; readings whose clock was wrong are not in them."""

    time: datetime
    count: int
    first_at: datetime
    last_at: datetime
    distance_m: float
    moving_s: float
    speed_min: float | None
    speed_avg: float | None
    speed_max: float | None
    soc_used: float
    soc_charged: float
    fuel_used: float
    fuel_filled: float


class RollupPage(msgspec.Struct, frozen=True):
    """Rollups, oldest first; times without readings are left out."""

    items: list[Rollup]
    next_cursor: str | None
    complete_until: datetime


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be used, as it came: `payload` in base64, its beginning where it is shorter than `size`.

    `boot`: it is one sample or event of a message of that boot; null: a whole message.
    """

    id: int
    topic: str
    vehicle: str
    reason: str
    size: int
    payload: bytes
    sha256: str
    boot: str | None
    first_at: datetime
    last_at: datetime
    count: int


class DeadLetterPage(msgspec.Struct, frozen=True):
    """Dead letters, last arrived first."""

    items: list[DeadLetter]
    next_cursor: str | None
