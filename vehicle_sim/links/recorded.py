"""Air without a radio model: rates from a recording, or without bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.air import Change, Direction, Event, Reception

if TYPE_CHECKING:
    from vehicle_sim.links.drivelog import DriveLog
    from vehicle_sim.links.mahimahi import Opportunities

_NEVER: Final = math.inf


class FreeAir:
    """No limit at all."""

    next_change = _NEVER
    reception = Reception(None, None, None)

    def advance(self, _now: float) -> list[Event]:
        return []

    def rate(self, _direction: Direction, _t: float) -> tuple[float, float]:
        return _NEVER, _NEVER

    def move(self, _lon: float, _lat: float, _now: float) -> list[Event]:
        return []


class OpportunityAir(FreeAir):
    """Delivery opportunities, one recording a direction, `start_s` seconds into both."""

    def __init__(self, up: Opportunities, down: Opportunities, start_s: float) -> None:
        self._recorded = (up, down)
        self._start_s = start_s

    def rate(self, direction: Direction, t: float) -> tuple[float, float]:
        rate, until = self._recorded[direction].rate(t + self._start_s)
        return rate, until - self._start_s


class DriveLogAir:
    """A drive test, `start_s` seconds into it. The position is the log's: `move` changes nothing."""

    def __init__(self, log: DriveLog, start_s: float) -> None:
        self._log = log
        self._start_s = start_s
        self._row, self._until = log.find(start_s)

    @property
    def next_change(self) -> float:
        return self._until - self._start_s

    @property
    def reception(self) -> Reception:
        return self._log.receptions[self._row]

    @property
    def position(self) -> tuple[float, float]:
        """(longitude, latitude) of the drive, degrees."""
        return self._log.positions[self._row]

    def advance(self, now: float) -> list[Event]:
        events: list[Event] = []
        while (due := self.next_change) <= now:
            before = self.reception.cell
            self._row, self._until = self._log.find(self._until)
            if self.reception.cell != before:
                events.append(Event(due, Change.HANDOVER, f"to {self.reception.cell}"))
        return events

    def rate(self, direction: Direction, _t: float) -> tuple[float, float]:
        return self._log.rates[self._row][direction], self.next_change

    def move(self, _lon: float, _lat: float, now: float) -> list[Event]:
        return self.advance(now)
