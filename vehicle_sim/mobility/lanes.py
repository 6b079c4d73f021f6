"""Who is on which road, in order: one lane a direction. Keeps the lists; decides nothing about speed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vehicle_sim.mobility.following import JAM_GAP_M

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vehicle_sim.mobility.vehicle import Vehicle

_BEHIND_M: Final = 80.0  # how far back somebody who sets off looks


class Lanes:
    """The vehicles on each road.

    Args:
        lengths_m: of the roads.
        predecessors: the roads that lead onto each.
    """

    def __init__(self, lengths_m: Sequence[float], predecessors: Sequence[Sequence[int]]) -> None:
        self._lengths = lengths_m
        self._predecessors = predecessors
        self.first: list[Vehicle | None] = [None] * len(lengths_m)  # nearest to the road's end
        self.last: list[Vehicle | None] = [None] * len(lengths_m)
        self._left: dict[int, tuple[Vehicle, float]] = {}  # road -> who left it last, and at which odometer

    def join(self, vehicle: Vehicle) -> bool:
        """Let a vehicle from the kerb onto its road if there is room; whether there was."""
        road, offset = vehicle.road, vehicle.offset_m
        behind, ahead = None, self.last[road]
        while ahead is not None and ahead.offset_m < offset:
            behind, ahead = ahead, ahead.ahead
        gap = (
            self.gap_beyond(vehicle, _BEHIND_M)[0]
            if ahead is None
            else ahead.offset_m - ahead.kind.length_m - offset
        )
        if gap < JAM_GAP_M or not self._is_clear_behind(behind, road, offset - vehicle.kind.length_m):
            return False
        vehicle.ahead, vehicle.behind, vehicle.on_lane = ahead, behind, True
        self._link(vehicle)
        return True

    def leave(self, vehicle: Vehicle) -> None:
        """Take a vehicle off its road, to the kerb."""
        self._unlink(vehicle)
        vehicle.on_lane = False

    def pass_on(self, vehicle: Vehicle, road: int, offset_m: float) -> None:
        """Move the first vehicle of its road to the begin of another, `offset_m` beyond it."""
        self._unlink(vehicle)
        self._left[vehicle.road] = (vehicle, vehicle.odometer_m - offset_m)
        vehicle.road, vehicle.offset_m = road, offset_m
        vehicle.ahead, vehicle.behind = self.last[road], None
        self._link(vehicle)

    def gap_beyond(self, vehicle: Vehicle, horizon_m: float) -> tuple[float, Vehicle | None]:
        """Metres from the first vehicle of its road to the one it follows on its route, and that one.

        Not farther than about `horizon_m`; infinite when nobody is there. A rear that still hangs over the
        end of a road counts, wherever its vehicle goes.
        """
        distance = self._lengths[vehicle.road] - vehicle.offset_m
        gap, found = self._hanging(vehicle, vehicle.road, distance)
        route = vehicle.route
        for place in range(vehicle.place + 1, len(route)):
            road = route[place]
            other = self.last[road]
            if other is not None:
                if other is not vehicle:
                    beyond = distance + other.offset_m - other.kind.length_m
                    return (beyond, other) if beyond < gap else (gap, found)
                break
            distance += self._lengths[road]
            if distance > horizon_m:
                break
            if road in self._left:
                beyond, other = self._hanging(vehicle, road, distance)
                if beyond < gap:
                    gap, found = beyond, other
        return gap, found

    def _hanging(self, vehicle: Vehicle, road: int, distance: float) -> tuple[float, Vehicle | None]:
        """The gap to a rear that hangs over the end of `road`, which is `distance` metres away."""
        entry = self._left.get(road)
        if entry is None:
            return math.inf, None
        other, mark = entry
        hanging = other.kind.length_m - (other.odometer_m - mark)
        if hanging <= 0 or not other.on_lane or other is vehicle:
            if other is not vehicle:
                del self._left[road]
            return math.inf, None
        return distance - hanging, other

    def _is_clear_behind(self, behind: Vehicle | None, road: int, rear_m: float) -> bool:
        """Whether nobody has to brake hard for a rear that appears here."""
        if behind is not None:
            return rear_m - behind.offset_m > _needed_m(behind)
        seen = {road}
        roads = [(before, rear_m) for before in self._predecessors[road]]
        while roads:
            before, distance = roads.pop()
            if before in seen or distance > _BEHIND_M:
                continue
            seen.add(before)
            other = self.first[before]
            if other is not None:
                if distance + self._lengths[before] - other.offset_m < _needed_m(other):
                    return False
                continue
            roads += [(further, distance + self._lengths[before]) for further in self._predecessors[before]]
        return True

    def _link(self, vehicle: Vehicle) -> None:
        if vehicle.ahead is None:
            self.first[vehicle.road] = vehicle
        else:
            vehicle.ahead.behind = vehicle
        if vehicle.behind is None:
            self.last[vehicle.road] = vehicle
        else:
            vehicle.behind.ahead = vehicle

    def _unlink(self, vehicle: Vehicle) -> None:
        if vehicle.ahead is None:
            self.first[vehicle.road] = vehicle.behind
        else:
            vehicle.ahead.behind = vehicle.behind
        if vehicle.behind is None:
            self.last[vehicle.road] = vehicle.ahead
        else:
            vehicle.behind.ahead = vehicle.ahead
        vehicle.ahead = vehicle.behind = None


def _needed_m(vehicle: Vehicle) -> float:
    """How far ahead of this vehicle somebody may set off."""
    return JAM_GAP_M + vehicle.speed_ms + vehicle.speed_ms**2 / (2 * vehicle.driver.brake)
