"""All vehicles of a run on one network, moved together tick by tick. Pure, seeded, without a clock.

Vehicles are moved one after the other, always in the same order, on one time that all of them share. Who asks
for the time to pass, and how far at once, changes nothing: each vehicle's instruments read the trail that it
left (`Drive`). Vehicles at the kerb cost nothing until they want to set off.
"""

from __future__ import annotations

import math
import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from vehicle_sim.mobility.driver import plan_route
from vehicle_sim.mobility.following import (
    HARDEST_MS2,
    JAM_GAP_M,
    TICK_S,
    idm_acceleration,
    stopping_speed,
)
from vehicle_sim.mobility.junctions import Junctions
from vehicle_sim.mobility.lanes import Lanes
from vehicle_sim.mobility.lights import Lights
from vehicle_sim.mobility.routing import choose_route
from vehicle_sim.mobility.vehicle import Doing, Vehicle
from vehicle_sim.roads.tags import Control

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vehicle_sim.mobility.powertrain import Levels
    from vehicle_sim.roads import RoadNetwork

_CAREFUL_MS: Final = 5.0  # over a line where one gives way
_RETRY_S: Final = 1.0  # when there is no room to set off
_PATIENCE_S: Final = 60.0  # standing in a jam, before the driver pulls over
_PULLED_OVER_S: Final = (30.0, 180.0)
_ARRIVED_M: Final = 0.5
_STARTLED_MS2: Final = 6.0
_STARTLED_S: Final = (0.5, 2.0)
_STARTLED_MS: Final = 20 / 3.6  # slower ones need not brake hard
_STANDING_MS: Final = 0.1
_QUEUING_MS: Final = 2.0
_PART: Final = 50  # vehicles that are moved without interruption: about a millisecond
_OVER: Final = object()
_OVER_LINE_M: Final = 1.0  # still at the line


class Traffic:
    """The vehicles of a run.

    The same network, seed, and vehicles added in the same order give the same traffic. Who is added later
    begins then.

    Args:
        network: where they drive.
        seed: of the lights; vehicles have seeds of their own.
        start_hour: local time at the begin, 0 to 24, for the day profiles; None: always the busiest hour.
        startled_every_s: how long one drives on average until somebody steps into the way, and the driver
            brakes hard for a moment; None: never.
    """

    def __init__(
        self,
        network: RoadNetwork,
        seed: int | str,
        start_hour: float | None = None,
        startled_every_s: float | None = None,
    ) -> None:
        self.network = network
        self.vehicles: list[Vehicle] = []
        self._start_hour = start_hour
        self._startled_every_s = startled_every_s
        self._steps_into_way = random.Random(f"{seed}:startled")  # noqa: S311 - a simulation, not a secret
        self._lengths = [road.length_m for road in network.roads]
        predecessors: list[list[int]] = [[] for _ in network.roads]
        for road, following in enumerate(network.successors):
            for after in following:
                predecessors[after].append(road)
        self.lanes = Lanes(self._lengths, predecessors)
        self._junctions = Junctions(network.roads, predecessors, self.lanes, Lights(network, seed))
        self._ticks = 0
        self._asked_s = 0.0  # the latest moment that anybody wanted to know
        self._under_way: Iterator[object] | None = None  # the tick that was begun ahead
        self._driving: list[Vehicle] = []  # by index
        self._standing: list[tuple[float, int]] = []  # heap: when, who

    @property
    def t_s(self) -> float:
        """Seconds since the begin, in whole ticks."""
        return self._ticks * TICK_S

    def add(self, vehicle: Vehicle) -> None:
        """Put a vehicle at the kerb where it stands; with a day profile, many stay parked there at first."""
        vehicle.index = len(self.vehicles)
        self.vehicles.append(vehicle)
        hour, rng = self._hour(self.t_s), vehicle.decision()
        if hour is not None:
            parked_s = vehicle.kind.habit.still_parked_s(rng, hour)
            if parked_s is not None:
                vehicle.doing, vehicle.until_s = Doing.PARKED, parked_s
        vehicle.until_s += self.t_s
        vehicle.note(self.t_s)
        heappush(self._standing, (vehicle.until_s, vehicle.index))

    def run_until(self, t_s: float) -> None:
        """Let time pass so far that every moment up to `t_s` is known."""
        self._asked_s = max(self._asked_s, t_s)
        while self.t_s <= t_s:
            for _ in self._under_way or self._tick():
                pass
            self._under_way = None

    def work_ahead(self) -> bool:
        """Do a part of the tick that will be asked for next; whether there is more to do now.

        What happens is the same without it. But a tick of thousands of vehicles takes as long as a program
        with other things to do cannot wait.
        """
        if self._under_way is None:
            if self.t_s - self._asked_s > TICK_S:
                return False
            self._under_way = self._tick()
        if next(self._under_way, _OVER) is _OVER:
            self._under_way = None
        return True

    # -- one tick ---------------------------------------------------------------------------------

    def _tick(self) -> Iterator[object]:
        """Move everybody; it may be interrupted after every few of them."""
        t = self.t_s
        joined = False
        while self._standing and self._standing[0][0] <= t:
            vehicle = self.vehicles[heappop(self._standing)[1]]
            if self._set_off(vehicle, t):
                self._driving.append(vehicle)
                joined = True
            else:
                heappush(self._standing, (t + _RETRY_S, vehicle.index))
            yield None
        if joined:
            self._driving.sort(key=lambda v: v.index)
        self._startle(t)
        stopped = False
        for number, vehicle in enumerate(self._driving, 1):
            self._drive(vehicle, t)
            if vehicle.doing is not Doing.DRIVING:
                stopped = True
            if number % _PART == 0:
                yield None
        self._ticks += 1
        if stopped:
            self._driving = [v for v in self._driving if v.doing is Doing.DRIVING]

    def _startle(self, t: float) -> None:
        """Perhaps somebody steps into the way of one of those who drive."""
        rng = self._steps_into_way
        if self._startled_every_s and rng.random() < len(self._driving) * TICK_S / self._startled_every_s:
            vehicle = rng.choice(self._driving)
            if vehicle.speed_ms > _STARTLED_MS:
                vehicle.startled_until_s = t + rng.uniform(*_STARTLED_S)

    def _drive(self, v: Vehicle, t: float) -> None:
        """Move one vehicle by a tick that begins at `t`."""
        speed = v.speed_ms
        if v.plan.at_m[-1] - v.along_m < _ARRIVED_M and speed == 0.0:
            self._arrive(v, t)
            return
        if speed == 0.0 and v.still_s > _PATIENCE_S:
            self._pull_over(v, v.decision().uniform(*_PULLED_OVER_S), t)
            return
        wish = v.plan.limits_ms[v.knot]
        driver = v.driver
        ahead = v.ahead
        if ahead is not None:
            gap = ahead.offset_m - ahead.kind.length_m - v.offset_m
        else:
            gap, ahead = self.lanes.gap_beyond(v, 20.0 + speed * (3.0 + speed / (2 * driver.brake)))
        is_queue = ahead is not None and ahead.speed_ms < _QUEUING_MS
        bound, red = self._bound(v, t, gap if is_queue else math.inf)
        closing, room = 0.0, math.inf
        if ahead is not None:
            room = max(gap - 0.1, 0.0)
            gap = max(gap, 0.1)
            closing = speed - ahead.speed_ms
            lead_m = ahead.speed_ms * ahead.speed_ms / (2 * HARDEST_MS2)
            bound = min(bound, stopping_speed(speed, max(gap - 1.0, 0.0) + lead_m, 0.0, HARDEST_MS2))
        acceleration = idm_acceleration(
            speed, wish, driver.accelerate, driver.brake, driver.headway_s, gap, closing
        )
        if t < v.startled_until_s:
            bound = min(bound, speed - _STARTLED_MS2 * TICK_S)
        hardest = speed - HARDEST_MS2 * TICK_S
        new = max(min(speed + acceleration * TICK_S, bound), hardest, 0.0)
        if new < _STANDING_MS:
            new = 0.0
        move = (speed + new) / 2 * TICK_S
        if move > room:  # the last resort: no closer than the bumper
            new = max(min(2 * room / TICK_S - speed, new), 0.0)
            move = min((speed + new) / 2 * TICK_S, room)
        v.acceleration = (new - speed) / TICK_S
        v.note(t)
        mean = (speed + new) / 2
        slope, length = self._climb(v, move) if move > 0.0 else (0.0, 0.0)
        v.levels = v.powertrain.use(v.levels, mean, v.acceleration, length, TICK_S, slope)
        v.speed_ms = new
        v.still_s = 0.0 if new > 0.0 or red else v.still_s + TICK_S

    def _bound(self, v: Vehicle, t: float, queue_m: float) -> tuple[float, bool]:
        """The speed that the road allows at the end of the tick, and whether a red light is why.

        `queue_m`: how far ahead somebody stands or crawls. Where that leaves no room beyond a junction, it is
        not entered.
        """
        speed, brake, plan = v.speed_ms, v.driver.brake, v.plan
        reach = (speed + v.driver.accelerate * TICK_S / 2) * TICK_S
        knot, along = v.knot, v.along_m
        bound = plan.limits_ms[knot]
        knot += 1
        while plan.at_m[knot] - along <= reach and plan.caps_ms[knot] > 0.0:
            cap = min(plan.caps_ms[knot], plan.limits_ms[knot])
            bound = min(bound, max(cap, stopping_speed(speed, plan.at_m[knot] - along, cap, brake)))
            knot += 1
        bound = min(bound, stopping_speed(speed, plan.at_m[knot] - along, plan.caps_ms[knot], brake))
        braking_m = speed * speed / (2 * brake)
        horizon = braking_m + 2 * speed * TICK_S + 10.0
        route, place = v.route, v.place
        to_end = self._lengths[v.road] - v.offset_m
        junctions, roads = self._junctions, self.network.roads
        while to_end < horizon and place + 1 < len(route):
            road = route[place]
            to_line = to_end - junctions.line_m(road)
            stop = stopping_speed(speed, max(to_line, 0.0), 0.0, brake)
            if to_line > -_OVER_LINE_M and stop >= speed - brake * TICK_S - 1e-6 and junctions.red(road, t):
                if place <= v.cleared:
                    junctions.take_back(v, place)
                    v.cleared = place - 1
                return min(bound, stop), True
            queued = queue_m - to_end < v.kind.length_m + JAM_GAP_M
            if place <= v.cleared and queued and speed == 0.0 and to_line > -_OVER_LINE_M:
                junctions.take_back(v, place)  # for those who have room
                v.cleared = place - 1
            if place > v.cleared:
                if queued or not junctions.may_enter(v, place, to_line):
                    return min(bound, stop), False
                junctions.hold(v, place, to_end)
                v.cleared = place
            if roads[road].control is Control.GIVE_WAY:
                bound = min(bound, stopping_speed(speed, to_end, _CAREFUL_MS, brake))
            place += 1
            to_end += self._lengths[route[place]]
        return bound, False

    def _climb(self, v: Vehicle, move: float) -> tuple[float, float]:
        """Move a vehicle, above 0; the mean slope, and how far it has driven on the slope."""
        if self.network.heights is None:
            self._move(v, move)
            return 0.0, move
        self._move(v, move)
        before, v.height_m = v.height_m, self.network.roads[v.road].height_at(v.offset_m)
        rise = v.height_m - before
        return rise / move, math.hypot(move, rise)

    def _move(self, v: Vehicle, move: float) -> None:
        v.odometer_m += move
        v.along_m += move
        offset = v.offset_m + move
        while offset > self._lengths[v.road] and v.place + 1 < len(v.route):
            offset -= self._lengths[v.road]
            v.place += 1
            self.lanes.pass_on(v, v.route[v.place], offset)
        v.offset_m = offset
        at = v.plan.at_m
        while v.knot + 2 < len(at) and at[v.knot + 1] <= v.along_m:
            v.knot += 1
        if v.held:
            self._junctions.passed(v)

    # -- trips ------------------------------------------------------------------------------------

    def _set_off(self, v: Vehicle, t: float) -> bool:
        """Begin a trip if there is room on the road; whether there was."""
        if not v.route:
            rng, network = v.decision(), self.network
            v.route = choose_route(network, v.road, rng.uniform(*v.kind.habit.trip_s), rng)
            end_m = network.roads[v.route[-1]].length_m * rng.uniform(0.3, 0.8)
            v.plan = plan_route(network, v.route, v.offset_m, end_m, v.driver)
            v.place = v.knot = 0
            v.along_m = 0.0
            v.cleared = v.served = -1
        if not self.lanes.join(v):
            return False
        v.levels = self._rested(v, t)
        v.doing, v.still_s = Doing.DRIVING, 0.0
        return True

    def _rested(self, v: Vehicle, t: float) -> Levels:
        """What the powertrain holds at the end of a stop."""
        since, stop = v.trail[-1].t_s, v.powertrain
        match v.doing:
            case Doing.REFILLING:
                return stop.refill(v.levels, t - since)
            case Doing.PARKED:
                return stop.rest(v.levels, t - since)
            case _:
                return stop.use(v.levels, 0.0, 0.0, 0.0, t - since)

    def _arrive(self, v: Vehicle, t: float) -> None:
        rng, habit = v.decision(), v.kind.habit
        if v.powertrain.low(v.levels):
            self._stop(v, Doing.REFILLING, v.powertrain.refill_s(v.levels), t)
        elif rng.random() < habit.parked_share:
            self._stop(v, Doing.PARKED, habit.stop_s(rng.uniform(*habit.parked_s), self._hour(t)), t)
            v.powertrain.load_kg = rng.uniform(*v.kind.load_kg)
        else:
            self._pull_over(v, rng.uniform(*habit.pause_s), t)

    def _pull_over(self, v: Vehicle, seconds: float, t: float) -> None:
        self._stop(v, Doing.WAITING, seconds, t)

    def _stop(self, v: Vehicle, doing: Doing, seconds: float, t: float) -> None:
        self._junctions.gone(v)
        self.lanes.leave(v)
        v.doing, v.speed_ms, v.acceleration, v.route, v.place = doing, 0.0, 0.0, (), 0
        v.until_s = t + max(seconds, TICK_S)
        v.note(t)
        heappush(self._standing, (v.until_s, v.index))

    def _hour(self, t: float) -> float | None:
        return None if self._start_hour is None else (self._start_hour + t / 3600) % 24
