"""One vehicle's instruments: what they show while it drives, waits and charges. Pure, seeded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, Literal

from vehicle_sim.mobility.condition import Condition
from vehicle_sim.mobility.device_clock import ClockErrors, DeviceClock
from vehicle_sim.mobility.gnss import Gnss, GnssErrors
from vehicle_sim.mobility.incidents import Incident, Incidents
from vehicle_sim.mobility.kinds import ALWAYS_OUT, CAR, Habit, Kind, with_habit
from vehicle_sim.mobility.motion import Motion
from vehicle_sim.mobility.powertrain import Combustion
from vehicle_sim.mobility.traffic import Traffic
from vehicle_sim.mobility.vehicle import Doing, Moment, Vehicle
from vehicle_sim.readers.trace import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from vehicle_sim.mobility.powertrain import Powertrain
    from vehicle_sim.roads import Road, RoadNetwork

Shown = dict[str, Value | list[str]]
"""Signals by wire key; a list of texts are trouble codes."""

_TUNNEL_ACCURACY_M: Final = 40.0
_SLOW_S: Final = 60.0  # between two readings with what changes slowly
_HARSH_BRAKING: Final = -3.0  # m/s²: what fleets commonly call harsh
_HARSH_ACCELERATION: Final = 2.8
_INCIDENTS: Final = 100  # kept until they are taken


_IGNITION_OFF: Final = frozenset({Doing.PARKED, Doing.REFILLING})


class Drive:
    """A vehicle that drives on a road network for ever, alone or in the traffic of others.

    The same network, seed and traffic give the same drive, and the size of the steps does not change it.
    Without `gnss` positions lie on the roads, and `acc` only says what a receiver would. With it, errors are
    drawn for each reading.

    Attributes:
        habit: how the vehicle is used.
        road: the road it is on; `offset_m`: metres from the road's start.
        speed_ms, acceleration: in m/s and m/s², now.
        odometer_m: metres ever driven.
    """

    def __init__(
        self,
        network: RoadNetwork,
        seed: int | str,
        *,
        powertrain: Literal["electric", "combustion"] | None = None,
        habit: Habit | None = None,
        kind: Kind | None = None,
        traffic: Traffic | None = None,
        gnss: GnssErrors | None = None,
        clock: ClockErrors | None = None,
        may_begin: Callable[[float, float], bool] | None = None,
    ) -> None:
        """A vehicle somewhere on the network.

        A car that is always out, where nothing else is said; with `kind` alone it is used as that kind is.
        `may_begin`: whether it may begin at a longitude and latitude; where it hardly may anywhere, it does
        all the same.
        """
        if habit is None:
            habit = ALWAYS_OUT if kind is None else kind.habit
        kind = with_habit(CAR if kind is None else kind, habit)
        self.habit = habit
        self._network = network
        self._traffic = Traffic(network, seed) if traffic is None else traffic
        self._vehicle = vehicle = Vehicle(network, seed, kind, powertrain, may_begin)
        self._traffic.add(vehicle)
        self._t_s = self._traffic.t_s
        self._began_s = self._t_s
        rng = random.Random(f"{seed}:instruments")  # noqa: S311 - a simulation, not a secret
        self._accuracy_m = rng.uniform(2.0, 6.0)
        self._gnss = None if gnss is None else Gnss(gnss, seed)
        self._clock = None if clock is None else DeviceClock(clock, seed)
        self._condition = Condition(kind, seed, engine=isinstance(vehicle.powertrain, Combustion))
        self._incidents = Incidents(seed)
        self._found: list[Incident] = []
        self._slow_due_s = self._t_s
        self._codes: list[str] = []
        self._error: tuple[float, float] | None = (0.0, 0.0)  # of the last position, °; None: there was none
        self._accuracy_now_m = self._accuracy_m
        self._shown: Shown | None = None
        self._harshest = (0.0, 0.0)  # accelerations since the last reading, lowest and highest
        self._now: Moment = vehicle.trail[0]
        self._look()

    @property
    def traffic(self) -> Traffic:
        """Among whom it drives."""
        return self._traffic

    @property
    def powertrain(self) -> Powertrain:
        """What moves it."""
        return self._vehicle.powertrain

    @property
    def parked(self) -> bool:
        """Whether it stands with the ignition off."""
        return self._now.doing in _IGNITION_OFF

    @property
    def stands_s(self) -> float:
        """How long it will stay parked at least, s; 0 while it is not."""
        return max(self._vehicle.until_s - self._t_s, 0.0) if self.parked else 0.0

    def advance(self, dt_s: float) -> Shown:
        """Let `dt_s` seconds pass (at least 0) and read the instruments, by the wire keys of the catalogue.

        Always: speed, odo, range, lvbat, ignition, gear, brake; soc on an electric vehicle, fuel, rpm and
        coolant on one with an engine. While the receiver has a position: lat, lon, acc, heading, and alt
        where the roads have heights above the sea. Once a minute the tyres, and dtc, which also comes with
        each change. `harsh` (an extra key) names harsh braking or acceleration since the last reading. Units
        are the catalogue's.
        """
        if not dt_s >= 0:
            raise ValueError(f"time cannot pass by {dt_s} s")
        if dt_s == 0 and self._shown is not None:
            return dict(self._shown)
        self._t_s += dt_s
        self._traffic.run_until(self._t_s)
        self._harshest = (0.0, 0.0)
        self._look()
        self._shown = self._read(dt_s)
        if found := self._incidents.look(self._shown, self._harshest):
            self._found = [*self._found, *found][-_INCIDENTS:]
        return dict(self._shown)

    def take_incidents(self) -> list[Incident]:
        """What of the readings since the last call is worth an event, oldest first."""
        taken, self._found = self._found, []
        return taken

    @property
    def t_s(self) -> float:
        """The time of the last reading, on the time that all vehicles share."""
        return self._t_s

    def moment(self, t_s: float) -> Motion | None:
        """The vehicle at `t_s`, after the last reading and before the next; None: it has no position.

        Nothing of the readings to come changes by this. The error of a position is that of the last reading.
        """
        self._traffic.run_until(t_s)
        if self._error is None:
            return None
        now = self._now
        for later in self._vehicle.trail:
            if later.t_s > t_s:
                break
            now = later
        speed_ms, acceleration, offset_m = 0.0, 0.0, now.offset_m
        if now.doing is Doing.DRIVING:
            since = max(t_s - now.t_s, 0.0)
            acceleration = now.acceleration
            speed_ms = max(now.speed_ms + acceleration * since, 0.0)
            offset_m += (now.speed_ms + speed_ms) / 2 * since
        road, offset_m = self._on(now, offset_m)
        lon, lat, heading = road.at(offset_m)
        error_lat, error_lon = self._error
        return Motion(
            lat + error_lat,
            lon + error_lon,
            heading % 360.0,
            speed_ms,
            acceleration,
            self._accuracy_now_m,
            standing=now.doing is not Doing.DRIVING,
            ignition=now.doing not in _IGNITION_OFF,
            faulty=bool(self._codes),
        )

    def _on(self, now: Moment, offset_m: float) -> tuple[Road, float]:
        """The road `offset_m` metres from the start of a moment's one, along its route, and metres on it."""
        road, place = self._network.roads[now.road], now.place
        while offset_m > road.length_m and place + 1 < len(now.route):
            offset_m -= road.length_m
            place += 1
            road = self._network.roads[now.route[place]]
        return road, offset_m

    def dated(self, true_ms: int) -> int:
        """How the unit dates a reading of this moment, in ms since 1970, when that is the true time."""
        return true_ms if self._clock is None else self._clock.read(self._t_s - self._began_s, true_ms)

    def _look(self) -> None:
        """Follow the vehicle's trail to this moment."""
        trail = self._vehicle.trail
        low, high = self._harshest
        while len(trail) > 1 and trail[1].t_s <= self._t_s:
            low, high = min(low, trail[0].acceleration), max(high, trail[0].acceleration)
            del trail[0]
        now = trail[0]
        self._now = now
        self._harshest = (min(low, now.acceleration), max(high, now.acceleration))
        driven, self.speed_ms, self.acceleration = 0.0, 0.0, 0.0
        if now.doing is Doing.DRIVING:
            since = max(self._t_s - now.t_s, 0.0)
            self.acceleration = now.acceleration
            self.speed_ms = max(now.speed_ms + now.acceleration * since, 0.0)
            driven = max((now.speed_ms + self.speed_ms) / 2 * since, 0.0)
        self.odometer_m = now.odometer_m + driven
        self.road, self.offset_m = self._on(now, now.offset_m + driven)

    def _read(self, dt_s: float) -> Shown:
        now, ignition = self._now, not self.parked
        driving = now.doing is Doing.DRIVING
        signals: Shown = {
            **self._position(dt_s),
            "speed": round(self.speed_ms * 3.6, 2),
            "odo": round(self.odometer_m / 1000, 4),
            "ignition": ignition,
            "brake": self._brake(driving=driving),
        }
        levels, since = now.levels, max(self._t_s - now.t_s, 0.0)
        refilling = now.doing is Doing.REFILLING
        if refilling:
            levels = self.powertrain.refill(levels, since)
        elif not ignition:
            levels = self.powertrain.rest(levels, since)
        elif not driving:
            levels = self.powertrain.use(levels, 0.0, 0.0, 0.0, since)
        signals.update(
            self.powertrain.signals(
                levels, self.speed_ms, ignition=ignition, driving=driving, refilling=refilling
            )
        )
        signals.update(self._condition_signals(driving=driving))
        if self._harshest[0] <= _HARSH_BRAKING:
            signals["harsh"] = "braking"
        elif self._harshest[1] >= _HARSH_ACCELERATION:
            signals["harsh"] = "acceleration"
        return signals

    def _position(self, dt_s: float) -> Shown:
        lon, lat, heading = self.road.at(self.offset_m)
        alt = self.road.height_at(self.offset_m) if self._network.heights == "sea" else None
        acc = _TUNNEL_ACCURACY_M if self.road.tunnel else self._accuracy_m
        if self._gnss is not None:
            limit = self.road.limit_ms * 3.6
            fix = self._gnss.fix(self._t_s, dt_s, lat, lon, limit, tunnel=self.road.tunnel)
            if fix is None:
                self._error = None
                return {}
            self._error = fix.lat - lat, fix.lon - lon
            lat, lon, acc, up_m = fix
            alt = None if alt is None else alt + up_m
        self._accuracy_now_m = acc
        shown: Shown = {
            "lat": round(lat, 7),
            "lon": round(lon, 7),
            "acc": round(acc, 1),
            "heading": round(heading, 1) % 360.0,
        }
        if alt is not None:
            shown["alt"] = round(alt, 2)
        return shown

    def _condition_signals(self, *, driving: bool) -> Shown:
        self._condition.pass_to(self._t_s - self._began_s, driving=driving)
        codes = self._condition.codes()
        signals: Shown = {}
        if self._t_s >= self._slow_due_s:
            self._slow_due_s = self._t_s + _SLOW_S
            signals |= self._condition.tyres()
            signals["dtc"] = codes
        elif codes != self._codes:
            signals["dtc"] = codes
        self._codes = codes
        return signals

    def _brake(self, *, driving: bool) -> float:
        if not driving:
            return 0.0
        if self.speed_ms == 0.0 and self.acceleration <= 0.0:
            return 20.0  # held at a light or in a queue
        # The first 0.5 m/s² come from the engine or motor.
        return round(min(max((-self.acceleration - 0.5) / 4.0, 0.0), 1.0) * 100, 1)
