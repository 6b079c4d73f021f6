"""Kinds of vehicles, how they are driven and how they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Manners:
    """From careful to brisk: accelerations in m/s², the share of the limit, seconds to the one ahead."""

    accelerate: Range = (1.0, 2.2)
    brake: Range = (1.4, 2.6)
    lateral: Range = (1.8, 2.8)
    limit_share: Range = (0.88, 1.0)
    headway_s: Range = (1.0, 1.6)
    fastest_ms: float = math.inf


@dataclass(frozen=True, slots=True)
class Habit:
    """How a vehicle is used.

    trip_s, parked_s: how long a trip and a parked stop take, from and to, in seconds.
    parked_share: of the trips that end parked; after the others it waits with the ignition on.
    sleeps: whether its unit sleeps while it is parked.
    pause_s: how long such a wait takes.
    begins_parked: whether it stands parked when a run begins, for any part of such a stop.
    busy: how busy it is in each of 24 hours of local time, above 0 to 1: that much of a stop's time passes.
        Empty: alike all day.
    """

    trip_s: Range
    parked_s: Range
    parked_share: float
    sleeps: bool = False
    pause_s: Range = (5.0, 40.0)
    begins_parked: bool = False
    busy: tuple[float, ...] = ()

    def stop_s(self, busiest_s: float, hour: float | None) -> float:
        """How long a stop lasts that begins at this hour (0 to 24, local), s.

        `busiest_s` is how long it would last in the busiest hours; a stop that begins in the night ends with
        the morning.
        """
        if not self.busy or hour is None:
            return busiest_s
        passed, left = 0.0, busiest_s
        while True:
            share, next_hour = self.busy[int(hour) % 24], math.floor(hour) + 1
            hour_s = (next_hour - hour) * 3600
            if left <= share * hour_s:
                return passed + left / share
            left -= share * hour_s
            passed, hour = passed + hour_s, next_hour

    def still_parked_s(self, rng: random.Random, hour: float) -> float | None:
        """How long a vehicle still stands that is looked at first at this hour, s; None: it is out."""
        parked_s = self.stop_s(sum(self.parked_s) / 2, hour) * self.parked_share
        out_s = sum(self.trip_s) / 2 + sum(self.pause_s) / 2 * (1 - self.parked_share)
        if rng.random() * (parked_s + out_s) >= parked_s:
            return None
        return self.stop_s(rng.uniform(*self.parked_s) * rng.random(), hour)


ALWAYS_OUT: Final = Habit((120.0, 900.0), (120.0, 600.0), 0.15)
ERRANDS: Final = Habit((60.0, 180.0), (120.0, 420.0), 1.0, sleeps=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a vehicle is.

    length_m, mass_kg (empty), drag_area_m2; load_kg: what it carries, from and to.
    battery_kwh, tank_l: their sizes; electric_share: of the vehicles of this kind.
    tyres_kpa: pressure of the tyres when cold.
    """

    name: str
    habit: Habit
    manners: Manners = Manners()
    length_m: float = 4.6
    mass_kg: float = 1500.0
    load_kg: Range = (80.0, 350.0)
    drag_area_m2: float = 0.65
    battery_kwh: Range = (40.0, 80.0)
    tank_l: Range = (45.0, 60.0)
    electric_share: float = 0.7
    tyres_kpa: float = 240.0


def _hours(night: float, morning: float, day: float, evening: float) -> tuple[float, ...]:
    """Busy from 0 to 6, 6 to 9, 9 to 15, 15 to 19 o'clock; later half as in the evening, or as at night."""
    return (*[night] * 6, *[morning] * 3, *[day] * 6, *[evening] * 4, *[max(evening / 2, night)] * 5)


CAR: Final = Kind(
    "car",
    Habit((300.0, 1500.0), (1800.0, 9 * 3600.0), 0.95, sleeps=True, busy=_hours(0.05, 1.0, 0.4, 1.0)),
)
TAXI: Final = Kind(
    "taxi",
    Habit((180.0, 1200.0), (300.0, 900.0), 0.15, pause_s=(20.0, 240.0), busy=_hours(0.4, 0.8, 0.7, 1.0)),
    Manners(accelerate=(1.4, 2.4), brake=(1.6, 2.6), limit_share=(0.95, 1.0), headway_s=(1.0, 1.3)),
)
VAN: Final = Kind(
    "van",
    Habit((60.0, 420.0), (60.0, 360.0), 0.8, pause_s=(20.0, 90.0), busy=_hours(0.05, 0.9, 1.0, 0.6)),
    Manners(accelerate=(0.9, 1.7), brake=(1.4, 2.3), lateral=(1.5, 2.3)),
    length_m=5.9,
    mass_kg=2100.0,
    load_kg=(100.0, 1200.0),
    drag_area_m2=1.5,
    battery_kwh=(60.0, 90.0),
    tank_l=(70.0, 90.0),
    electric_share=0.4,
    tyres_kpa=380.0,
)
TRUCK: Final = Kind(
    "truck",
    Habit((600.0, 2400.0), (900.0, 3600.0), 0.9, busy=_hours(0.3, 0.9, 1.0, 0.6)),
    Manners(
        accelerate=(0.5, 0.9),
        brake=(1.0, 1.8),
        lateral=(1.2, 1.8),
        headway_s=(1.4, 2.0),
        fastest_ms=80 / 3.6,
    ),
    length_m=9.5,
    mass_kg=7500.0,
    load_kg=(0.0, 7000.0),
    drag_area_m2=5.0,
    battery_kwh=(280.0, 400.0),
    tank_l=(250.0, 350.0),
    electric_share=0.1,
    tyres_kpa=800.0,
)
KINDS: Final = {kind.name: kind for kind in (CAR, TAXI, VAN, TRUCK)}


def kind_of(vehicle: str) -> Kind:
    """The kind that a vehicle's id tells ("van-0003"); a car where it tells none."""
    return KINDS.get(vehicle.partition("-")[0], CAR)


def with_habit(kind: Kind, habit: Habit) -> Kind:
    """The same vehicle, used in another way."""
    return replace(kind, habit=habit)
