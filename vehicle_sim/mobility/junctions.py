"""Who may go on at the end of a road: lights, stop signs, and one approach at a time onto a road.

Roads that lead onto the same road take turns: who comes near and gets the entry holds it until its rear is
through; others from the same approach may follow it, those from another brake for the line. Who has to give
way gets the entry only when nobody with priority comes. Paths that cross without sharing a road are not kept
apart other than by lights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.tags import RANK, Control

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_sim.mobility.lanes import Lanes
    from vehicle_sim.mobility.lights import Lights
    from vehicle_sim.mobility.vehicle import Vehicle
    from vehicle_sim.roads import Road

STOP_LINE_M: Final = 5.0  # before the node
_AT_LINE_M: Final = 2.0
_STANDING_MS: Final = 0.3
_GIVE_WAY_S: Final = 4.0  # nobody with priority nearer than this
_CLEAR_M: Final = 1.0  # between a rear and the next who enters
_MINOR: Final = frozenset({Control.STOP, Control.GIVE_WAY})


class Junctions:
    """The ends of all roads."""

    def __init__(
        self, roads: Sequence[Road], predecessors: Sequence[Sequence[int]], lanes: Lanes, lights: Lights
    ) -> None:
        self._roads = roads
        self._predecessors = predecessors
        self._lanes = lanes
        self._lights = lights
        self._holders: dict[int, tuple[int, int]] = {}  # road -> the approach that may enter, how many do

    def red(self, road: int, t_s: float) -> bool:
        """Whether a light at the end of `road` says stop."""
        return self._lights.red(road, t_s)

    def line_m(self, road: int) -> float:
        """How far before its end one stops."""
        return min(STOP_LINE_M, self._roads[road].length_m / 2)

    def may_enter(self, vehicle: Vehicle, place: int, to_line_m: float) -> bool:
        """Whether a vehicle may drive over the end of this place of its route; then it holds the entry."""
        road, after = vehicle.route[place], vehicle.route[place + 1]
        if self._roads[road].control is Control.STOP and vehicle.served < place:
            if vehicle.speed_ms > _STANDING_MS or to_line_m > _AT_LINE_M:
                return False
            vehicle.served = place
            return False  # it has stood for this tick
        if len(self._predecessors[after]) < 2:
            return True
        holder = self._holders.get(after)
        if holder is not None and holder[0] != road:
            return False
        if holder is None and self._must_wait(road, after):
            return False
        self._holders[after] = (road, 1 if holder is None else holder[1] + 1)
        return True

    def hold(self, vehicle: Vehicle, place: int, to_end_m: float) -> None:
        """Note until where along its way the vehicle, which may enter, keeps others from entering."""
        after = vehicle.route[place + 1]
        if len(self._predecessors[after]) > 1:
            until_m = vehicle.along_m + to_end_m + vehicle.kind.length_m + _CLEAR_M
            vehicle.held.append((after, until_m, place))

    def take_back(self, vehicle: Vehicle, place: int) -> None:
        """The vehicle has to stop at the end of this place after all."""
        for held in [held for held in vehicle.held if held[2] >= place]:
            vehicle.held.remove(held)
            self._give_free(held[0])

    def passed(self, vehicle: Vehicle) -> None:
        """Give free what the vehicle's rear has left behind."""
        while vehicle.held and vehicle.held[0][1] <= vehicle.along_m:
            self._give_free(vehicle.held.pop(0)[0])

    def gone(self, vehicle: Vehicle) -> None:
        """The vehicle left its lane: everything it held is free."""
        for road, _, _ in vehicle.held:
            self._give_free(road)
        vehicle.held.clear()

    def _give_free(self, road: int) -> None:
        approach, count = self._holders[road]
        if count == 1:
            del self._holders[road]
        else:
            self._holders[road] = (approach, count - 1)

    def _must_wait(self, road: int, after: int) -> bool:
        """Whether somebody with priority is about to enter `after`."""
        for other in self._predecessors[after]:
            if other == road or not self._yields(road, other):
                continue
            first = self._lanes.first[other]
            if first is None or first.place + 1 >= len(first.route) or first.route[first.place + 1] != after:
                continue
            distance = self._roads[other].length_m - first.offset_m
            if distance < first.speed_ms * _GIVE_WAY_S:
                return True
        return False

    def _yields(self, road: int, other: int) -> bool:
        ours, theirs = self._roads[road], self._roads[other]
        if (ours.control in _MINOR) is not (theirs.control in _MINOR):
            return ours.control in _MINOR
        return RANK.get(ours.kind, 0) > RANK.get(theirs.kind, 0)
