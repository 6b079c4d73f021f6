"""Energy: what a movement takes out of the battery or the tank, and what the instruments say of it. Pure.

The force at the wheels is rolling resistance, air drag, slope and inertia. An electric vehicle gets part of
the braking energy back. What a powertrain holds is `Levels`, passed in and given back, so that a vehicle can
be computed forth while somebody still looks at an earlier moment.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import random

    from vehicle_sim.mobility.kinds import Kind
    from vehicle_sim.readers.trace import Signals

_GRAVITY: Final = 9.81
_ROLLING: Final = 0.011
_HALF_AIR: Final = 0.5 * 1.25  # half the air's density in kg/m³
_KWH: Final = 3.6e6  # J
AMBIENT_C: Final = 10.0


def wheel_force(
    mass_kg: float, drag_area_m2: float, speed_ms: float, acceleration: float, slope: float = 0.0
) -> float:
    """Newtons at the wheels, negative when the vehicle has to be braked; `slope` is rise over run."""
    weight = mass_kg * _GRAVITY
    climb = weight * (_ROLLING + slope) / math.hypot(1.0, slope)
    return mass_kg * acceleration + climb + _HALF_AIR * drag_area_m2 * speed_ms * speed_ms


class Levels(NamedTuple):
    """What a powertrain holds: energy in J or fuel in l; its use a metre, a running mean; coolant in °C."""

    store: float
    per_m: float
    coolant_c: float


class Powertrain(Protocol):
    """What moves a vehicle.

    Attributes:
        load_kg: what it carries; may be changed at stops.
    """

    load_kg: float

    def begin(self, rng: random.Random) -> Levels:
        """Some levels to begin with."""

    def use(self, levels: Levels, speed_ms: float, acceleration: float, distance_m: float, dt_s: float,
            slope: float = 0.0) -> Levels:  # fmt: skip
        """After `dt_s` seconds with the ignition on, over `distance_m` at this mean speed."""

    def rest(self, levels: Levels, dt_s: float) -> Levels:
        """After `dt_s` seconds with the ignition off."""

    def refill(self, levels: Levels, dt_s: float) -> Levels:
        """After `dt_s` seconds at a charger or pump."""

    def low(self, levels: Levels) -> bool:
        """Whether the driver should see to it after this trip."""

    def refill_s(self, levels: Levels) -> float:
        """Seconds until it is filled as far as drivers do."""

    def signals(
        self, levels: Levels, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool
    ) -> Signals:
        """Charge or fuel, range, gear, 12 V battery, engine, by wire keys."""


class Electric:
    """A battery, charged at 0.8 to 1.5 C up to 80 %."""

    _BATTERY_KG: Final = 300.0
    _DRIVE_EFFICIENCY: Final = 0.88
    _REGENERATION: Final = 0.65
    _REGENERATION_W: Final = 60_000.0
    _AUXILIARY_W: Final = 700.0
    _FULL: Final = 0.8

    def __init__(self, rng: random.Random, kind: Kind) -> None:
        self._mass_kg = kind.mass_kg + self._BATTERY_KG
        self._drag_area = kind.drag_area_m2
        self.load_kg = rng.uniform(*kind.load_kg)
        self.capacity_j = rng.uniform(*kind.battery_kwh) * _KWH
        self._charger_w = self.capacity_j / 3600 * rng.uniform(0.8, 1.5)
        self._low_share = rng.uniform(0.1, 0.2)
        self._volts = rng.uniform(-0.1, 0.1)
        # For the range, to begin with: at 50 km/h, with a third more for speeding up.
        self._j_per_m = 1.33 * wheel_force(self._mass_kg, self._drag_area, 14.0, 0.0) / self._DRIVE_EFFICIENCY

    def begin(self, rng: random.Random) -> Levels:
        return Levels(self.capacity_j * rng.uniform(0.25, 0.95), self._j_per_m, AMBIENT_C)

    def use(self, levels: Levels, speed_ms: float, acceleration: float, distance_m: float, dt_s: float,
            slope: float = 0.0) -> Levels:  # fmt: skip
        store, per_m, coolant = levels
        mass = self._mass_kg + self.load_kg
        work = wheel_force(mass, self._drag_area, speed_ms, acceleration, slope) * distance_m
        if work >= 0:
            taken = work / self._DRIVE_EFFICIENCY
        else:
            taken = max(work * self._REGENERATION, -self._REGENERATION_W * dt_s)
        taken += self._AUXILIARY_W * dt_s
        return Levels(min(max(store - taken, 0.0), self.capacity_j), _mean(per_m, taken, distance_m), coolant)

    def rest(self, levels: Levels, dt_s: float) -> Levels:
        """A parked battery loses nothing worth counting."""
        del dt_s
        return levels

    def refill(self, levels: Levels, dt_s: float) -> Levels:
        ceiling = max(self.capacity_j * self._FULL, levels.store)
        return levels._replace(store=min(levels.store + self._charger_w * dt_s, ceiling))

    def low(self, levels: Levels) -> bool:
        return levels.store < self.capacity_j * self._low_share

    def refill_s(self, levels: Levels) -> float:
        return max(self.capacity_j * self._FULL - levels.store, 0.0) / self._charger_w

    def signals(
        self, levels: Levels, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool
    ) -> Signals:
        del speed_ms  # one gear
        return {
            "soc": round(100 * levels.store / self.capacity_j, 3),
            "range": round(levels.store / max(levels.per_m, self._j_per_m / 2) / 1000, 1),
            "gear": 1 if driving else 0,
            # The converter holds the 12 V battery up while the high-voltage system is on.
            "lvbat": round((14.3 if ignition or refilling else 12.8) + self._volts, 2),
        }


class Combustion:
    """An engine with six gears; petrol in a car, diesel in what is heavier."""

    _EFFICIENCY: Final = 0.28
    _J_PER_LITRE: Final = 32.0e6
    _IDLE_LITRES_PER_S: Final = 0.9 / 3600
    _IDLE_RPM: Final = 820.0
    _PUMP_LITRES_PER_S: Final = 0.5
    _SHIFT_UP_MS: Final = (5.0, 9.5, 14.0, 19.5, 26.0)
    # Engine turns per metre in each gear: overall ratio over a wheel of 1.95 m.
    _TURNS_PER_M: Final = (7.0, 3.9, 2.7, 2.0, 1.55, 1.25)
    _WARM_C: Final = 90.0
    _WARMING_S: Final = 240.0
    _COOLING_S: Final = 3600.0

    def __init__(self, rng: random.Random, kind: Kind) -> None:
        self._mass_kg = kind.mass_kg
        self._drag_area = kind.drag_area_m2
        self.load_kg = rng.uniform(*kind.load_kg)
        self.tank_l = rng.uniform(*kind.tank_l)
        self._low_share = rng.uniform(0.08, 0.15)
        self._volts = rng.uniform(-0.15, 0.15)
        force = wheel_force(self._mass_kg, self._drag_area, 14.0, 0.0)
        self._l_per_m = 2.0 * force / self._EFFICIENCY / self._J_PER_LITRE

    def begin(self, rng: random.Random) -> Levels:
        return Levels(self.tank_l * rng.uniform(0.3, 0.98), self._l_per_m, rng.uniform(40.0, self._WARM_C))

    def use(self, levels: Levels, speed_ms: float, acceleration: float, distance_m: float, dt_s: float,
            slope: float = 0.0) -> Levels:  # fmt: skip
        store, per_m, coolant = levels
        mass = self._mass_kg + self.load_kg
        work = wheel_force(mass, self._drag_area, speed_ms, acceleration, slope) * distance_m
        burnt = self._IDLE_LITRES_PER_S * dt_s + max(work, 0.0) / self._EFFICIENCY / self._J_PER_LITRE
        warmer = coolant + (self._WARM_C - coolant) * -math.expm1(-dt_s / self._WARMING_S)
        return Levels(max(store - burnt, 0.0), _mean(per_m, burnt, distance_m), warmer)

    def rest(self, levels: Levels, dt_s: float) -> Levels:
        cooler = (AMBIENT_C - levels.coolant_c) * -math.expm1(-dt_s / self._COOLING_S)
        return levels._replace(coolant_c=levels.coolant_c + cooler)

    def refill(self, levels: Levels, dt_s: float) -> Levels:
        filled = min(levels.store + self._PUMP_LITRES_PER_S * dt_s, self.tank_l)
        return self.rest(levels, dt_s)._replace(store=filled)

    def low(self, levels: Levels) -> bool:
        return levels.store < self.tank_l * self._low_share

    def refill_s(self, levels: Levels) -> float:
        return (self.tank_l - levels.store) / self._PUMP_LITRES_PER_S

    def signals(
        self, levels: Levels, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool
    ) -> Signals:
        del refilling
        gear = 1 + sum(speed_ms >= shift for shift in self._SHIFT_UP_MS) if driving and speed_ms > 0 else 0
        turning = speed_ms * self._TURNS_PER_M[gear - 1] * 60 if gear else 0.0
        return {
            "fuel": round(100 * levels.store / self.tank_l, 3),
            "range": round(levels.store / max(levels.per_m, self._l_per_m / 3) / 1000, 1),
            "gear": gear,
            "rpm": round(max(turning, self._IDLE_RPM), 0) if ignition else 0.0,
            "coolant": round(levels.coolant_c, 1),
            "lvbat": round((14.1 if ignition else 12.5) + self._volts, 2),
        }


def _mean(per_m: float, used: float, distance_m: float) -> float:
    """The running mean of the use a metre, over about 10 km."""
    if distance_m <= 0:
        return per_m
    return per_m + (used - per_m * distance_m) / max(distance_m, 1.0) * min(distance_m / 10_000, 1.0)
