"""Who may enter a junction: signs, priority, and one approach at a time."""

from __future__ import annotations

import pytest

from tests.vehicle_sim.roads.grids import grid
from vehicle_sim.mobility.junctions import Junctions
from vehicle_sim.mobility.kinds import CAR
from vehicle_sim.mobility.lanes import Lanes
from vehicle_sim.mobility.lights import Lights
from vehicle_sim.mobility.vehicle import Vehicle
from vehicle_sim.roads.tags import RANK, Control

GRID = grid(4, 120.0)
BEFORE: list[list[int]] = [[] for _ in GRID.roads]
for _road, _following in enumerate(GRID.successors):
    for _after in _following:
        BEFORE[_after].append(_road)


class Crossing:
    """The junctions of the grid, empty but for whom a test puts there."""

    def __init__(self) -> None:
        self.lanes = Lanes([road.length_m for road in GRID.roads], BEFORE)
        self.junctions = Junctions(GRID.roads, BEFORE, self.lanes, Lights(GRID, 1))

    def comes(self, road: int, after: int, to_end_m: float, speed_ms: float) -> Vehicle:
        """A vehicle that is the first on its road and goes on to `after`."""
        vehicle = Vehicle(GRID, road, CAR)
        vehicle.route, vehicle.road, vehicle.speed_ms = (road, after), road, speed_ms
        vehicle.offset_m = GRID.roads[road].length_m - to_end_m
        self.lanes.first[road] = self.lanes.last[road] = vehicle
        return vehicle

    def may(self, vehicle: Vehicle, to_line_m: float = 0.0) -> bool:
        """Whether it may enter; then it holds the entry until its rear is 10 m beyond the end of its road."""
        allowed = self.junctions.may_enter(vehicle, 0, to_line_m)
        if allowed:
            self.junctions.hold(vehicle, 0, 10.0)
        return allowed


def approaches(*controls: Control | None) -> list[tuple[int, ...]]:
    """A road, and as many others with these controls at their ends that lead onto it from elsewhere."""
    found = []
    for after, roads in enumerate(BEFORE):
        by_control = {GRID.roads[road].control: road for road in roads if road != GRID.roads[after].reverse}
        if all(control in by_control for control in controls):
            found.append((after, *(by_control[control] for control in controls)))
    assert found, f"the grid has no junction with {controls}"
    return found


def test_at_a_stop_sign_one_stands_first() -> None:
    after, road = approaches(Control.STOP)[0]
    crossing = Crossing()
    vehicle = crossing.comes(road, after, 5.0, speed_ms=4.0)
    assert not crossing.may(vehicle), "it moves"
    vehicle.speed_ms = 0.0
    assert not crossing.may(vehicle, to_line_m=10.0), "it stands in a queue"
    assert vehicle.served == -1
    assert not crossing.may(vehicle, to_line_m=1.0)
    assert crossing.may(vehicle, to_line_m=1.0), "it has stood"


@pytest.mark.parametrize(("speed_ms", "may"), [(12.0, False), (4.0, True)])
def test_who_gives_way_waits_for_whom_is_near(speed_ms: float, may: bool) -> None:
    """At 30 m: 2.5 s, or 7.5."""
    for after, road, other in approaches(Control.GIVE_WAY, None):
        crossing = Crossing()
        crossing.comes(other, after, 30.0, speed_ms)
        assert crossing.may(crossing.comes(road, after, 5.0, 3.0)) is may


def test_who_has_priority_waits_for_nobody_and_nobody_for_those_who_go_elsewhere() -> None:
    after, road, other, elsewhere = next(
        (after, road, other, elsewhere)
        for after, road, other in approaches(Control.GIVE_WAY, None)
        for elsewhere in GRID.successors[other]
        if elsewhere != after
    )
    crossing = Crossing()
    crossing.comes(road, after, 5.0, 12.0)
    assert crossing.may(crossing.comes(other, after, 5.0, 3.0))
    crossing = Crossing()
    crossing.comes(other, elsewhere, 5.0, 12.0)
    assert crossing.may(crossing.comes(road, after, 5.0, 3.0))


def test_the_less_important_road_waits() -> None:
    pairs = [
        (after, minor, major)
        for after, roads in enumerate(BEFORE)
        for minor in roads
        for major in roads
        if GRID.roads[minor].control is GRID.roads[major].control is None
        and RANK[GRID.roads[minor].kind] > RANK[GRID.roads[major].kind]
    ]
    assert pairs
    for after, minor, major in pairs:
        crossing = Crossing()
        first, second = crossing.comes(major, after, 10.0, 12.0), crossing.comes(minor, after, 5.0, 3.0)
        assert not crossing.may(second)
        assert crossing.may(first)


def test_one_approach_at_a_time_until_its_rear_has_left() -> None:
    after, road, other = approaches(Control.GIVE_WAY, None)[0]
    crossing = Crossing()
    one, behind = crossing.comes(other, after, 5.0, 8.0), crossing.comes(other, after, 30.0, 0.0)
    across = crossing.comes(road, after, 5.0, 3.0)
    crossing.lanes.first[other] = None
    assert crossing.may(one)
    assert crossing.may(behind), "those who come the same way follow"
    assert not crossing.may(across)
    one.along_m = 11.0 + CAR.length_m
    crossing.junctions.passed(one)
    assert not crossing.may(across), "there is the second one"
    crossing.junctions.take_back(behind, 0)
    assert crossing.may(across), "it has to stop after all"
    crossing.junctions.gone(across)
    assert crossing.may(behind)
