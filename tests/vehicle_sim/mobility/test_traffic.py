"""All vehicles together: what holds at every tick, and that it is the same every time."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vehicle_sim.helsinki import HELSINKI
from tests.vehicle_sim.roads.grids import grid
from vehicle_sim.mobility import ALWAYS_OUT, Drive, Traffic
from vehicle_sim.mobility.driver import Plan
from vehicle_sim.mobility.following import HARDEST_MS2, TICK_S, idm_acceleration, stopping_speed
from vehicle_sim.mobility.junctions import STOP_LINE_M
from vehicle_sim.mobility.kinds import CAR, ERRANDS, KINDS, Habit, kind_of, with_habit
from vehicle_sim.mobility.lights import CYCLE_S, Lights
from vehicle_sim.mobility.vehicle import Doing, Vehicle
from vehicle_sim.roads.tags import Control

if TYPE_CHECKING:
    from vehicle_sim.roads import RoadNetwork

GRID = grid(4, 120.0, no_turns=True)
NETWORKS = {"helsinki": HELSINKI, "grid": GRID}
BUSY = Habit((60.0, 400.0), (10.0, 60.0), 0.5)


def crowd(network: RoadNetwork, seed: int, count: int, *, startled_every_s: float | None = None) -> Traffic:
    """Vehicles of all kinds that hardly ever stand."""
    traffic = Traffic(network, seed, startled_every_s=startled_every_s)
    for number in range(count):
        kind = with_habit(list(KINDS.values())[number % len(KINDS)], BUSY)
        traffic.add(Vehicle(network, f"{seed}:{number}", kind))
    return traffic


def on_lanes(traffic: Traffic) -> list[list[Vehicle]]:
    """The vehicles of each road, the first one first."""
    roads = []
    for first in traffic.lanes.first:
        vehicle, found = first, []
        while vehicle is not None:
            found.append(vehicle)
            vehicle = vehicle.behind
        roads.append(found)
    return roads


@settings(max_examples=8)
@given(
    st.sampled_from(sorted(NETWORKS)),
    st.integers(0, 2**32),
    st.integers(2, 60),
    st.sampled_from([None, 20.0]),
)
def test_nobody_drives_through_anybody(
    where: str, seed: int, count: int, startled_every_s: float | None
) -> None:
    traffic = crowd(NETWORKS[where], seed, count, startled_every_s=startled_every_s)
    for _ in range(300):
        traffic.run_until(traffic.t_s)
        seen = set()
        for road, vehicles in enumerate(on_lanes(traffic)):
            for place, vehicle in enumerate(vehicles):
                assert vehicle.road == road
                assert vehicle.doing is Doing.DRIVING
                assert vehicle.index not in seen
                seen.add(vehicle.index)
                if place:
                    ahead = vehicles[place - 1]
                    assert vehicle.ahead is ahead
                    assert ahead.offset_m - ahead.kind.length_m >= vehicle.offset_m
        assert seen == {v.index for v in traffic.vehicles if v.doing is Doing.DRIVING}


def test_somebody_who_steps_into_the_way_makes_a_driver_brake_hard() -> None:
    traffic = crowd(HELSINKI, 5, 30, startled_every_s=60.0)
    calm = crowd(HELSINKI, 5, 30)
    hard = [0, 0]
    for _ in range(600):
        for which, each in enumerate((traffic, calm)):
            each.run_until(each.t_s)
            hard[which] += sum(v.acceleration <= -5.9 for v in each.vehicles)
    assert hard[0] > 50
    assert hard[1] < 5


@settings(max_examples=8)
@given(st.sampled_from(sorted(NETWORKS)), st.integers(0, 2**32), st.integers(1, 40))
def test_turns_one_ways_and_limits_are_kept(where: str, seed: int, count: int) -> None:
    network = NETWORKS[where]
    traffic = crowd(network, seed, count)
    before = [(v.road, v.odometer_m, v.speed_ms, v.levels.store, v.height_m) for v in traffic.vehicles]
    turns = 0
    for _ in range(400):
        doing = [v.doing for v in traffic.vehicles]
        traffic.run_until(traffic.t_s)
        for v, (road, odometer, speed, store, height), did in zip(
            traffic.vehicles, before, doing, strict=True
        ):
            path = [road]
            while path[-1] != v.road:  # what lies between on its route; short roads take no tick
                path.append(v.route[v.route.index(path[-1]) + 1])
                turns += 1
                assert path[-1] in network.successors[path[-2]]
            driven = v.odometer_m - odometer
            assert 0 <= driven <= (speed + v.speed_ms) / 2 * TICK_S + 1e-6
            limit = max(network.roads[r].limit_ms for r in path)
            assert v.speed_ms <= limit + v.driver.brake * TICK_S
            assert v.speed_ms <= v.driver.fastest_ms + 1e-9
            if did is Doing.DRIVING and v.doing is Doing.DRIVING:
                assert v.speed_ms - speed <= v.driver.accelerate * TICK_S + 1e-9
                if speed > 0 and driven > 0 and v.acceleration >= 0 and v.height_m >= height:
                    assert v.levels.store <= store  # nothing fills up on the way, but downhill
        before = [(v.road, v.odometer_m, v.speed_ms, v.levels.store, v.height_m) for v in traffic.vehicles]
    assert turns > count


@settings(max_examples=5)
@given(st.integers(0, 2**32))
def test_who_asks_and_when_changes_nothing(seed: int) -> None:
    """One run reads all vehicles in step; the other in a random order, some of them late."""

    def run(order: random.Random | None) -> list[list[object]]:
        traffic = Traffic(GRID, seed)
        drives = [Drive(GRID, f"{seed}:{i}", traffic=traffic, habit=BUSY) for i in range(12)]
        readings: list[list[object]] = [[] for _ in drives]
        left = [i for i in range(12) for _ in range(90)]
        if order is not None:
            for start in range(0, len(left), 200):
                some = left[start : start + 200]
                order.shuffle(some)
                left[start : start + 200] = some
        else:
            left = list(range(12)) * 90
        for i in left:
            readings[i].append(drives[i].advance(1.0))
        return readings

    in_step = run(None)
    assert run(None) == in_step
    late = run(random.Random(seed))
    for mine, theirs in zip(in_step, late, strict=True):
        assert mine == theirs


def test_a_queue_forms_behind_who_stands_and_dissolves() -> None:
    """One vehicle is held on its lane; those who follow stand behind it, in order, and go on after it."""
    traffic = crowd(GRID, 3, 60)
    traffic.run_until(60.0)
    held = next(
        v
        for v in traffic.vehicles
        if v.doing is Doing.DRIVING and v.behind is not None and GRID.roads[v.road].length_m - v.offset_m > 20
    )
    follower = held.behind
    assert follower is not None
    held.plan = Plan()
    held.plan.knot(0.0, 0.001, 0.001)
    held.plan.knot(1e6, 0.0, 0.001)
    held.along_m, held.knot = 0.0, 0
    traffic.run_until(traffic.t_s + 40.0)
    assert follower.road == held.road
    assert follower.doing is Doing.DRIVING
    assert follower.speed_ms == 0.0
    assert 1.0 < held.offset_m - held.kind.length_m - follower.offset_m < 4.0  # about the gap of a jam
    place = held.offset_m
    held.plan = Plan()  # and on it goes, to the end of the road
    held.plan.knot(0.0, 10.0, 10.0)
    held.plan.knot(GRID.roads[held.road].length_m - place, 0.0, 10.0)
    held.along_m, held.knot = 0.0, 0
    began = follower.odometer_m
    traffic.run_until(traffic.t_s + 20.0)
    assert follower.odometer_m - began > 5.0


def test_who_cannot_move_pulls_over_in_the_end() -> None:
    """More vehicles than the roads can take: nobody blocks them for ever."""
    traffic = crowd(GRID, 1, 250)
    traffic.run_until(200.0)
    assert max(v.still_s for v in traffic.vehicles if v.doing is Doing.DRIVING) <= 61.0
    odometers = [v.odometer_m for v in traffic.vehicles]
    traffic.run_until(400.0)
    moved = sum(v.odometer_m > odometer for v, odometer in zip(traffic.vehicles, odometers, strict=True))
    assert moved > 60


def test_a_parked_vehicle_is_not_touched_until_it_sets_off() -> None:
    traffic = Traffic(HELSINKI, 1)
    vehicle = Vehicle(HELSINKI, "sleeper", with_habit(CAR, Habit((60, 90), (3600, 7200), 1.0)), "electric")
    traffic.add(vehicle)
    while vehicle.doing is not Doing.PARKED:
        traffic.run_until(traffic.t_s)
    moments, parked_at = len(vehicle.trail), traffic.t_s
    traffic.run_until(parked_at + 3500.0)
    assert len(vehicle.trail) == moments
    assert vehicle.doing is Doing.PARKED
    traffic.run_until(parked_at + 7300.0)
    assert len(vehicle.trail) > moments


def test_red_lights_are_stopped_at() -> None:
    """Nobody who can stop drives over the line of a red light."""
    crossed = red = 0
    for seed in range(6):
        traffic = Traffic(HELSINKI, seed)
        vehicle = Vehicle(HELSINKI, seed, with_habit(CAR, ALWAYS_OUT))
        traffic.add(vehicle)
        lights, over_line = Lights(HELSINKI, seed), 0.0
        for _ in range(1200):
            road, offset, t = HELSINKI.roads[vehicle.road], vehicle.offset_m, traffic.t_s
            line = road.length_m - min(STOP_LINE_M, road.length_m / 2)
            traffic.run_until(t)
            if offset <= line + 1.0:  # at the line
                over_line = t
            elif vehicle.doing is not Doing.DRIVING:
                over_line = math.nan  # it stood at the kerb beyond the line
            if road.control is Control.SIGNAL and vehicle.road != road.index:
                crossed += 1
                red += lights.red(road.index, over_line) and lights.red(road.index, over_line - 5.0)
    assert crossed > 40
    assert red == 0


def test_lights_of_a_junction_do_not_have_green_across_each_other() -> None:
    lights = Lights(GRID, 7)
    for node in {road.end for road in GRID.roads}:
        arms = [road for road in GRID.roads if road.end == node and road.control is Control.SIGNAL]
        for t in range(int(CYCLE_S)):
            green = [arm for arm in arms if not lights.red(arm.index, float(t))]
            axes = {round(arm.headings[-1]) % 180 // 90 for arm in green}
            assert len(axes) <= 1
    assert not lights.red(next(r.index for r in GRID.roads if r.control is None), 3.0)


@given(
    st.floats(0, 40),
    st.floats(1, 40),
    st.floats(0.5, 3),
    st.floats(0.5, 3),
    st.floats(0.8, 2),
    st.floats(0.1, 500),
    st.floats(-20, 20),
)
def test_the_model_of_treiber(
    speed: float, wish: float, accelerate: float, brake: float, headway: float, gap: float, closing: float
) -> None:
    found = idm_acceleration(speed, wish, accelerate, brake, headway, gap, closing)
    assert found <= accelerate
    assert found <= idm_acceleration(speed, wish, accelerate, brake, headway, gap * 2, closing) + 1e-9
    assert found >= idm_acceleration(speed, wish, accelerate, brake, headway, gap, closing + 1) - 1e-9


def test_the_models_fixed_points() -> None:
    assert idm_acceleration(10, 10, 1.5, 2, 1.2, float("inf"), 0) == 0
    assert idm_acceleration(0, 10, 1.5, 2, 1.2, float("inf"), 0) == 1.5
    assert idm_acceleration(0, 10, 1.5, 2, 1.2, 2.0, 0) == 0  # standing, at the gap of a jam
    speed = 8.0
    gap = (2.0 + 1.2 * speed) / (1 - (speed / 10) ** 4) ** 0.5  # the equilibrium gap of the paper
    assert idm_acceleration(speed, 10, 1.5, 2, 1.2, gap, 0) == pytest.approx(0, abs=1e-12)


@given(st.floats(0, 40), st.floats(0, 300), st.floats(0, 20), st.floats(0.5, 7))
def test_who_keeps_the_stopping_speed_can_stop(
    speed: float, distance: float, end: float, brake: float
) -> None:
    new = stopping_speed(speed, distance, end, brake)
    if new > 0:
        left = distance - (speed + new) / 2 * TICK_S
        assert new**2 <= end**2 + 2 * brake * left + 1e-6
    # And who could stop from the beginning does it without braking harder.
    if speed**2 <= end**2 + 2 * brake * distance:
        assert new >= speed - brake * TICK_S - 1e-6


def test_the_day_has_its_hours() -> None:
    assert kind_of("van-0003").name == "van"
    assert kind_of("something") is CAR
    for kind in KINDS.values():
        assert len(kind.habit.busy) == 24
        assert all(0 < busy <= 1 for busy in kind.habit.busy)
    assert CAR.habit.stop_s(60.0, 3.0) == pytest.approx(60 * 20)  # of a night
    assert CAR.habit.stop_s(60.0, 7.5) == CAR.habit.stop_s(60.0, None) == 60.0
    assert ERRANDS.stop_s(60.0, 3.0) == 60.0
    parked = []
    for hour in (3.0, 8.0):
        traffic = Traffic(GRID, 1, start_hour=hour)
        for number in range(30):
            habit = Habit((30, 90), (30, 60), 1.0, busy=CAR.habit.busy)
            traffic.add(Vehicle(GRID, number, with_habit(CAR, habit)))
        traffic.run_until(1200.0)
        parked.append(sum(v.doing is Doing.PARKED for v in traffic.vehicles))
    assert parked[0] > parked[1] + 5


def test_a_stop_that_begins_in_the_night_ends_with_the_morning() -> None:
    assert CAR.habit.stop_s(3600.0, 2.0) == pytest.approx(4 * 3600 + 0.8 * 3600)  # 0.05 an hour, then 1
    assert CAR.habit.stop_s(3600.0, 23.5) == pytest.approx(1800 + 6 * 3600 + 0.45 * 3600)


@given(st.sampled_from([kind.habit for kind in KINDS.values()]), st.floats(0, 24), st.floats(0, 90_000))
def test_a_stop_takes_as_long_as_its_hours_are_busy(habit: Habit, hour: float, busiest_s: float) -> None:
    lasts_s = habit.stop_s(busiest_s, hour)
    assert lasts_s >= busiest_s - 1e-6
    longer_s = habit.stop_s(busiest_s + 60.0, hour)
    assert 60.0 - 1e-6 <= longer_s - lasts_s <= 60.0 / min(habit.busy) + 1e-6
    step_s = 60.0
    times = [hour + second * step_s / 3600 for second in range(int(lasts_s / step_s) + 1)]
    assert sum(habit.busy[int(at) % 24] * step_s for at in times) == pytest.approx(busiest_s, abs=600)


def test_at_night_most_private_cars_are_parked_from_the_beginning_and_in_the_morning_fewer() -> None:
    parked = {}
    for hour in (None, 3.0, 8.0):
        traffic = Traffic(GRID, 1, start_hour=hour)
        for number in range(200):
            traffic.add(Vehicle(GRID, number, CAR))
        parked[hour] = sum(v.doing is Doing.PARKED for v in traffic.vehicles)
    assert parked[None] == 0
    assert parked[3.0] > parked[8.0] > 100
    assert parked[3.0] > 180


def test_kinds_differ_on_the_road() -> None:
    hardest = {}
    for name in ("taxi", "truck"):
        traffic = Traffic(GRID, 1)
        vehicle = Vehicle(GRID, 5, with_habit(KINDS[name], BUSY))
        traffic.add(vehicle)
        found = 0.0
        for _ in range(600):
            traffic.run_until(traffic.t_s)
            found = max(found, vehicle.acceleration)
        hardest[name] = found
    assert hardest["truck"] < 0.91 < 1.3 < hardest["taxi"] < HARDEST_MS2


def test_a_grid_is_a_network() -> None:
    """The grid of these tests has what they are about."""
    assert any(len(following) < 3 for following in GRID.successors)
    assert any(road.reverse is None for road in GRID.roads)
    assert {road.control for road in GRID.roads} >= {None, Control.SIGNAL, Control.STOP, Control.GIVE_WAY}


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 120), st.lists(st.integers(0, 8), min_size=40, max_size=40))
def test_work_done_ahead_changes_nothing(seed: int, count: int, parts: list[int]) -> None:
    """Nor does it go further ahead than one tick beyond what was asked for, but it does get done."""
    traffic, plain = crowd(GRID, seed, count), crowd(GRID, seed, count)
    for step, often in enumerate(parts):
        t = step * 0.7
        for each in (traffic, plain):
            each.run_until(t)
        for _ in range(often):
            traffic.work_ahead()
        assert traffic.t_s <= t + 2 * TICK_S
        for a, b in zip(traffic.vehicles, plain.vehicles, strict=True):
            known = [moment for moment in a.trail if moment.t_s < plain.t_s]
            assert known == b.trail
    for _ in range(2 * count + 10):
        traffic.work_ahead()
    assert not traffic.work_ahead()
    assert traffic.t_s > (len(parts) - 1) * 0.7 + TICK_S
