"""Energy: what a movement takes out of the battery or the tank, and what the instruments say of it.

The force at the wheels is rolling resistance, air drag and inertia; slopes are not known. An electric
vehicle gets part of the braking energy back. Figures are those of a middle-sized car.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import random

    from vehicle_sim.readers.trace import Signals

_GRAVITY: Final = 9.81
_ROLLING: Final = 0.011
_DRAG: Final = 0.5 * 1.25 * 0.65  # half the air's density in kg/m³ times drag area in m²
_KWH: Final = 3.6e6  # J
_AMBIENT_C: Final = 10.0


def wheel_force(mass_kg: float, speed_ms: float, acceleration: float) -> float:
    """Newtons at the wheels, negative when the vehicle has to be braked."""
    return mass_kg * (acceleration + _GRAVITY * _ROLLING) + _DRAG * speed_ms * speed_ms


class Powertrain(Protocol):
    """What moves a vehicle."""

    def use(self, speed_ms: float, acceleration: float, distance_m: float, dt_s: float) -> None:
        """Account for `dt_s` seconds with the ignition on, over `distance_m` at this mean speed."""

    def rest(self, dt_s: float) -> None:
        """Account for `dt_s` seconds with the ignition off."""

    def refill(self, dt_s: float) -> None:
        """Charge or fill up for `dt_s` seconds."""

    @property
    def low(self) -> bool:
        """Whether the driver should see to it after this trip."""

    @property
    def refill_s(self) -> float:
        """Seconds until it is filled as far as drivers do."""

    def signals(self, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool) -> Signals:
        """Charge or fuel, range, gear, 12 V battery, engine, by wire keys."""


class Electric:
    """A battery of 40 to 80 kWh, charged at 40 to 120 kW up to 80 %."""

    _MASS_KG: Final = 1800.0
    _DRIVE_EFFICIENCY: Final = 0.88
    _REGENERATION: Final = 0.65
    _REGENERATION_W: Final = 60_000.0
    _AUXILIARY_W: Final = 700.0
    _FULL: Final = 0.8

    def __init__(self, rng: random.Random) -> None:
        self._capacity_j = rng.uniform(40, 80) * _KWH
        self._charger_w = rng.uniform(40_000, 120_000)
        self._energy_j = self._capacity_j * rng.uniform(0.25, 0.95)
        self._low_share = rng.uniform(0.1, 0.2)
        self._volts = rng.uniform(-0.1, 0.1)
        self._j_per_m = 560.0  # running mean for the range: 156 Wh/km to begin with

    def use(self, speed_ms: float, acceleration: float, distance_m: float, dt_s: float) -> None:
        work = wheel_force(self._MASS_KG, speed_ms, acceleration) * distance_m
        if work >= 0:
            taken = work / self._DRIVE_EFFICIENCY
        else:
            taken = max(work * self._REGENERATION, -self._REGENERATION_W * dt_s)
        taken += self._AUXILIARY_W * dt_s
        self._energy_j = min(max(self._energy_j - taken, 0.0), self._capacity_j)
        if distance_m > 0:
            weight = min(distance_m / 10_000, 1.0)
            self._j_per_m += (taken - self._j_per_m * distance_m) / max(distance_m, 1.0) * weight

    def rest(self, dt_s: float) -> None:
        """A parked battery loses nothing worth counting."""

    def refill(self, dt_s: float) -> None:
        ceiling = max(self._capacity_j * self._FULL, self._energy_j)
        self._energy_j = min(self._energy_j + self._charger_w * dt_s, ceiling)

    @property
    def low(self) -> bool:
        return self._energy_j < self._capacity_j * self._low_share

    @property
    def refill_s(self) -> float:
        return max(self._capacity_j * self._FULL - self._energy_j, 0.0) / self._charger_w

    def signals(self, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool) -> Signals:
        del speed_ms  # one gear
        return {
            "soc": round(100 * self._energy_j / self._capacity_j, 3),
            "range": round(self._energy_j / max(self._j_per_m, 300.0) / 1000, 1),
            "gear": 1 if driving else 0,
            # The converter holds the 12 V battery up while the high-voltage system is on.
            "lvbat": round((14.3 if ignition or refilling else 12.8) + self._volts, 2),
        }


class Combustion:
    """A petrol engine with six gears and a tank of 45 to 60 litres."""

    _MASS_KG: Final = 1500.0
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

    def __init__(self, rng: random.Random) -> None:
        self._tank_l = rng.uniform(45, 60)
        self._fuel_l = self._tank_l * rng.uniform(0.3, 0.98)
        self._low_share = rng.uniform(0.08, 0.15)
        self._volts = rng.uniform(-0.15, 0.15)
        self._coolant_c = rng.uniform(40, self._WARM_C)
        self._l_per_m = 7e-5  # running mean for the range: 7 l/100 km to begin with

    def use(self, speed_ms: float, acceleration: float, distance_m: float, dt_s: float) -> None:
        work = wheel_force(self._MASS_KG, speed_ms, acceleration) * distance_m
        burnt = self._IDLE_LITRES_PER_S * dt_s + max(work, 0.0) / self._EFFICIENCY / self._J_PER_LITRE
        self._fuel_l = max(self._fuel_l - burnt, 0.0)
        self._coolant_c += (self._WARM_C - self._coolant_c) * -math.expm1(-dt_s / self._WARMING_S)
        if distance_m > 0:
            weight = min(distance_m / 10_000, 1.0)
            self._l_per_m += (burnt - self._l_per_m * distance_m) / max(distance_m, 1.0) * weight

    def rest(self, dt_s: float) -> None:
        self._coolant_c += (_AMBIENT_C - self._coolant_c) * -math.expm1(-dt_s / self._COOLING_S)

    def refill(self, dt_s: float) -> None:
        self._fuel_l = min(self._fuel_l + self._PUMP_LITRES_PER_S * dt_s, self._tank_l)
        self.rest(dt_s)

    @property
    def low(self) -> bool:
        return self._fuel_l < self._tank_l * self._low_share

    @property
    def refill_s(self) -> float:
        return (self._tank_l - self._fuel_l) / self._PUMP_LITRES_PER_S

    def signals(self, speed_ms: float, *, ignition: bool, driving: bool, refilling: bool) -> Signals:
        del refilling
        gear = 1 + sum(speed_ms >= shift for shift in self._SHIFT_UP_MS) if driving and speed_ms > 0 else 0
        turning = speed_ms * self._TURNS_PER_M[gear - 1] * 60 if gear else 0.0
        return {
            "fuel": round(100 * self._fuel_l / self._tank_l, 3),
            "range": round(self._fuel_l / max(self._l_per_m, 3e-5) / 1000, 1),
            "gear": gear,
            "rpm": round(max(turning, self._IDLE_RPM), 0) if ignition else 0.0,
            "coolant": round(self._coolant_c, 1),
            "lvbat": round((14.1 if ignition else 12.5) + self._volts, 2),
        }
