"""One vehicle's day on the roads: trips, stops between them, charging. Pure, seeded, without a clock."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Literal

from vehicle_sim.mobility.driver import Driver, route_knots
from vehicle_sim.mobility.powertrain import Combustion, Electric, Powertrain
from vehicle_sim.mobility.profile import Profile, speed_profile
from vehicle_sim.mobility.routing import choose_route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_sim.readers.trace import Signals
    from vehicle_sim.roads import Road, RoadNetwork

_ELECTRIC_SHARE: Final = 0.7
_SHORT_STOP_S: Final = (5.0, 40.0)
_TUNNEL_ACCURACY_M: Final = 40.0


@dataclass(frozen=True, slots=True)
class Habit:
    """How a vehicle is used.

    trip_s, parked_s: how long a trip and a parked stop take, from and to, in seconds.
    parked_share: of the trips that end parked; after the others it waits with the ignition on.
    sleeps: whether its unit sleeps while it is parked.
    """

    trip_s: tuple[float, float]
    parked_s: tuple[float, float]
    parked_share: float
    sleeps: bool = False


ALWAYS_OUT: Final = Habit((120.0, 900.0), (120.0, 600.0), 0.15)
ERRANDS: Final = Habit((60.0, 180.0), (120.0, 420.0), 1.0, sleeps=True)


class _Doing(Enum):
    DRIVING = auto()
    WAITING = auto()  # between trips, ignition on
    PARKED = auto()  # ignition off
    REFILLING = auto()  # at a charger or pump, ignition off


class Drive:
    """A vehicle that drives on a road network for ever.

    The same network and seed give the same drive, and the size of the steps does not change it: what is
    random is drawn once a trip. Positions lie on the roads; GNSS errors are not modelled, `acc` only
    says what a receiver would.

    Attributes:
        road: the road it is on; `offset_m`: metres from the road's start.
        speed_ms, acceleration: in m/s and m/s², at the end of the last step.
        odometer_m: metres ever driven.
    """

    def __init__(
        self,
        network: RoadNetwork,
        seed: int | str,
        *,
        powertrain: Literal["electric", "combustion"] | None = None,
        habit: Habit = ALWAYS_OUT,
    ) -> None:
        """A vehicle somewhere on the network; 7 of 10 are electric where `powertrain` does not say."""
        self._network = network
        self.habit = habit
        self._rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        rng = self._rng
        self._driver = Driver.random(rng)
        electric = rng.random() < _ELECTRIC_SHARE if powertrain is None else powertrain == "electric"
        self.powertrain: Powertrain = Electric(rng) if electric else Combustion(rng)
        self.odometer_m = rng.uniform(2e6, 150e6)
        place_m = rng.uniform(0.0, network.length_m)
        self.road: Road = network.roads[min(bisect_right(network.starts_m, place_m), len(network.roads) - 1)]
        self.offset_m = self.road.length_m * rng.uniform(0.1, 0.9)
        self.speed_ms = 0.0
        self.acceleration = 0.0
        self._accuracy_m = rng.uniform(2.0, 6.0)
        self._doing = _Doing.WAITING
        self._left_s = rng.uniform(0.0, 3.0)  # of what is not driving
        self._route: Sequence[int] = ()
        self._place = 0  # in the route
        self._profile = Profile()
        self._phase = 0
        self._elapsed_s = 0.0  # in the phase

    @property
    def parked(self) -> bool:
        """Whether it stands with the ignition off."""
        return self._doing in {_Doing.PARKED, _Doing.REFILLING}

    def advance(self, dt_s: float) -> Signals:
        """Let `dt_s` seconds pass (at least 0) and read the sensors, by the wire keys of the catalogue.

        Always: lat, lon, acc, speed, heading, odo, range, lvbat, ignition, gear, brake; soc on an
        electric vehicle, fuel, rpm and coolant on one with an engine. Units are the catalogue's.
        """
        if not dt_s >= 0:
            raise ValueError(f"time cannot pass by {dt_s} s")
        left = dt_s
        while left > 0:
            left -= self._drive(left) if self._doing is _Doing.DRIVING else self._stand(left)
        return self._signals()

    def _drive(self, dt_s: float) -> float:
        """Drive on for at most `dt_s` seconds, to the end of the phase; the seconds driven."""
        profile, phase = self._profile, self._phase
        duration = profile.durations_s[phase]
        acceleration = profile.accelerations[phase]
        step = min(dt_s, duration - self._elapsed_s)
        speed = profile.speeds_ms[phase] + acceleration * self._elapsed_s
        distance = max(speed * step + acceleration * step * step / 2, 0.0)
        self.speed_ms = max(speed + acceleration * step, 0.0)
        self.acceleration = acceleration
        if step > 0:
            self.powertrain.use((speed + self.speed_ms) / 2, acceleration, distance, step)
            self._move(distance)
        self._elapsed_s += step
        if self._elapsed_s >= duration:
            self._phase += 1
            self._elapsed_s = 0.0
            if self._phase == len(profile):
                self._arrive()
        return step

    def _move(self, distance_m: float) -> None:
        self.odometer_m += distance_m
        self.offset_m += distance_m
        while self.offset_m > self.road.length_m and self._place + 1 < len(self._route):
            self.offset_m -= self.road.length_m
            self._place += 1
            self.road = self._network.roads[self._route[self._place]]

    def _stand(self, dt_s: float) -> float:
        """Stand for at most `dt_s` seconds, to the end of the stop; the seconds stood."""
        step = min(dt_s, self._left_s)
        match self._doing:
            case _Doing.REFILLING:
                self.powertrain.refill(step)
            case _Doing.PARKED:
                self.powertrain.rest(step)
            case _:
                self.powertrain.use(0.0, 0.0, 0.0, step)
        self._left_s -= step
        if self._left_s <= 0:
            self._set_off()
        return step

    def _set_off(self) -> None:
        rng, network = self._rng, self._network
        route = choose_route(network, self.road.index, rng.uniform(*self.habit.trip_s), rng)
        end_m = network.roads[route[-1]].length_m * rng.uniform(0.3, 0.8)
        knots = route_knots(network, route, self.offset_m, end_m, self._driver, rng)
        self._profile = speed_profile(knots, self._driver.accelerate, self._driver.brake)
        self._route, self._place, self._phase, self._elapsed_s = route, 0, 0, 0.0
        self._accuracy_m = rng.uniform(2.0, 6.0)
        self._doing = _Doing.DRIVING

    def _arrive(self) -> None:
        rng = self._rng
        self.speed_ms = self.acceleration = 0.0
        self._route, self._profile = (), Profile()
        if self.powertrain.low:
            self._doing, self._left_s = _Doing.REFILLING, self.powertrain.refill_s
        elif rng.random() < self.habit.parked_share:
            self._doing, self._left_s = _Doing.PARKED, rng.uniform(*self.habit.parked_s)
        else:
            self._doing, self._left_s = _Doing.WAITING, rng.uniform(*_SHORT_STOP_S)

    def _signals(self) -> Signals:
        lon, lat, heading = self.road.at(self.offset_m)
        driving = self._doing is _Doing.DRIVING
        signals: Signals = {
            "lat": round(lat, 7),
            "lon": round(lon, 7),
            "acc": round(_TUNNEL_ACCURACY_M if self.road.tunnel else self._accuracy_m, 1),
            "speed": round(self.speed_ms * 3.6, 2),
            "heading": round(heading, 1) % 360.0,
            "odo": round(self.odometer_m / 1000, 4),
            "ignition": not self.parked,
            "brake": self._brake(driving=driving),
        }
        signals.update(
            self.powertrain.signals(
                self.speed_ms,
                ignition=not self.parked,
                driving=driving,
                refilling=self._doing is _Doing.REFILLING,
            )
        )
        return signals

    def _brake(self, *, driving: bool) -> float:
        if not driving:
            return 0.0
        if self.speed_ms == 0.0 and self.acceleration <= 0.0:
            return 20.0  # held at a signal
        # The first 0.5 m/s² come from the engine or motor.
        return round(min(max((-self.acceleration - 0.5) / 4.0, 0.0), 1.0) * 100, 1)
