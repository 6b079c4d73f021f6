"""Driving over a hill: what the instruments show of heights, and what they cost."""

import math
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vehicle_sim.roads.grids import grid
from vehicle_sim.mobility import ALWAYS_OUT, Drive, Traffic
from vehicle_sim.mobility.gnss import GnssErrors
from vehicle_sim.mobility.kinds import CAR, Habit, with_habit
from vehicle_sim.mobility.vehicle import Doing, Vehicle
from vehicle_sim.roads import RoadNetwork

FLAT, HILL = grid(4, 120.0), grid(4, 120.0, hill_m=18.0)  # 10 % between the rim and the inner junctions
BUSY = Habit((60.0, 400.0), (10.0, 60.0), 0.0)


def climbs(
    network: RoadNetwork, vehicle: Vehicle, seconds: float
) -> tuple[list[float], list[float], list[float]]:
    """Heights, odometers and levels of one vehicle that is alone, twice a second while it drives."""
    traffic = Traffic(network, 1)
    traffic.add(vehicle)
    heights, odometers, levels = [], [], []
    for _ in range(int(seconds * 2)):
        traffic.run_until(traffic.t_s)
        if vehicle.doing is Doing.DRIVING:
            heights.append(network.roads[vehicle.road].height_at(vehicle.offset_m))
            odometers.append(vehicle.odometer_m)
            levels.append(vehicle.levels.store)
    return heights, odometers, levels


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_heights_change_as_the_slopes_say(seed: int) -> None:
    heights, odometers, _ = climbs(HILL, Vehicle(HILL, seed, with_habit(CAR, BUSY)), 300)
    for (low, high), (begin, end) in zip(pairwise(heights), pairwise(odometers), strict=True):
        assert abs(high - low) <= 0.1001 * (end - begin) + 1e-9


@pytest.mark.parametrize(
    ("moved_by", "idle", "joules_each"),
    [("electric", 350.0, 0.88), ("combustion", 0.45 / 3600, 0.28 * 32.0e6)],
)
def test_a_climb_costs_what_it_weighs(
    moved_by: Literal["electric", "combustion"], idle: float, joules_each: float
) -> None:
    """The same drive on the flat and over the hill: the energies differ by mass x g x height.

    idle: what half a second takes without driving; joules_each: at the wheels, of one unit of what is used.
    """
    kind = with_habit(CAR, BUSY)
    hilly, flat = Vehicle(HILL, 7, kind, moved_by), Vehicle(FLAT, 7, kind, moved_by)
    heights, odometers, on_hill = climbs(HILL, hilly, 200)
    _, same, on_flat = climbs(FLAT, flat, 200)
    assert odometers == same  # slopes change nothing about how somebody drives
    weight = (kind.mass_kg + hilly.powertrain.load_kg + (300.0 if moved_by == "electric" else 0.0)) * 9.81
    uphill = 0
    for at in range(len(heights) - 1):
        rise = heights[at + 1] - heights[at]
        on_the_flat, over_the_hill = on_flat[at] - on_flat[at + 1], on_hill[at] - on_hill[at + 1]
        if rise > 0.05 and on_the_flat > idle * 1.001:  # with power in both
            assert (over_the_hill - on_the_flat) * joules_each == pytest.approx(weight * rise, rel=0.05)
            uphill += 1
        elif rise < -0.05:
            assert over_the_hill <= on_the_flat
    assert uphill > 20


def test_the_instruments_show_the_height() -> None:
    drive = Drive(HILL, 3, habit=ALWAYS_OUT)
    shown = [drive.advance(1.0) for _ in range(300)]
    heights = [float(each["alt"]) for each in shown if isinstance(each["alt"], float)]
    assert len(heights) == 300
    assert all(100 <= height <= 112 for height in heights)
    assert max(heights) - min(heights) > 5
    assert "alt" not in Drive(FLAT, 3).advance(1.0)


def test_a_receiver_is_wrong_about_the_height_too() -> None:
    true, shown = Drive(HILL, 3, habit=ALWAYS_OUT), Drive(HILL, 3, habit=ALWAYS_OUT, gnss=GnssErrors())
    errors = []
    for _ in range(300):
        a, b = true.advance(1.0).get("alt"), shown.advance(1.0).get("alt")
        if isinstance(a, float) and isinstance(b, float):
            errors.append(b - a)
    assert 2 < math.sqrt(sum(error * error for error in errors) / len(errors)) < 25
