"""What a reader gives: traces of readings, or the place and the reason why not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

Value = float | int | bool | str
Signals = dict[str, Value]


class TraceError(FleetcellError):
    """The trace file cannot be replayed."""

    def __init__(self, file: Path, line: int | None, reason: str) -> None:
        """`line` counts from 1; None where the whole file is meant."""
        super().__init__(f"{file}: {reason}" if line is None else f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class Reading(NamedTuple):
    """Signals by wire key, measured `t_s` seconds after the start of the recording."""

    t_s: float
    signals: Signals


@dataclass(frozen=True, slots=True)
class Trace:
    """One vehicle's readings, sorted by time (equal times keep the order of the file).

    Attributes:
        vehicle: a name that the contract allows, unique among the traces opened together.
        source: the file it comes from and the vehicle's name there.
        readings: at least one. `t_s` counts from the first time in the file, for all vehicles of one
            file alike, so that they keep step when replayed.
        start: the time of `t_s` 0, with UTC offset; None when the file has only relative times or none.
    """

    vehicle: str
    source: str
    readings: list[Reading]
    start: datetime | None

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the recording to the last reading."""
        return self.readings[-1].t_s


def finite(text: str) -> float:
    """The number in `text`; ValueError when it is none, infinite or NaN."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def position_problem(lat: float, lon: float) -> str | None:
    """Why (lat, lon), in degrees, is no position on Earth; None when it is one."""
    if not -90 <= lat <= 90:
        return f"latitude {lat:g} is outside -90 to 90"
    if not -180 <= lon <= 180:
        return f"longitude {lon:g} is outside -180 to 180"
    return None
