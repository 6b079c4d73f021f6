"""The speed along a route, from what may be driven where: pure kinematics in closed form.

A vehicle accelerates as hard as its driver likes, holds the limit, and brakes in time for what comes:
between two knots the speed profile is a trapezium. The result is a list of phases of constant
acceleration, so where the vehicle is after any time is exact, however coarse the steps are.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Knot:
    """A place on the way where the speed is bound.

    Attributes:
        at_m: metres from the start of the route, not falling from knot to knot.
        cap_ms: not faster than this, in m/s, when passing it.
        limit_ms: not faster than this from here to the next knot.
        dwell_s: how long to stand here; the cap must be 0.
    """

    at_m: float
    cap_ms: float
    limit_ms: float
    dwell_s: float = 0.0


@dataclass(slots=True)
class Profile:
    """Phases one after the other: seconds, speed at its begin in m/s, acceleration in m/s²."""

    durations_s: array[float] = field(default_factory=lambda: array("d"))
    speeds_ms: array[float] = field(default_factory=lambda: array("d"))
    accelerations: array[float] = field(default_factory=lambda: array("d"))

    def append(self, duration_s: float, speed_ms: float, acceleration: float) -> None:
        """Add a phase; one that goes on like the last makes it longer."""
        if duration_s <= 0:
            return
        if self.durations_s and self.accelerations[-1] == acceleration:
            reached = self.speeds_ms[-1] + acceleration * self.durations_s[-1]
            if abs(reached - speed_ms) < 1e-9:
                self.durations_s[-1] += duration_s
                return
        self.durations_s.append(duration_s)
        self.speeds_ms.append(speed_ms)
        self.accelerations.append(acceleration)

    def __len__(self) -> int:
        return len(self.durations_s)


def speed_profile(knots: Sequence[Knot], accelerate: float, brake: float) -> Profile:
    """The fastest drive over the knots from standing to standing.

    Args:
        knots: at least two; the vehicle stands at the first and the last whatever their caps.
        accelerate: the driver's acceleration in m/s², above 0.
        brake: the driver's deceleration in m/s², above 0.
    """
    speeds = _speeds_at(knots, accelerate, brake)
    profile = Profile()
    for i, knot in enumerate(knots):
        if knot.dwell_s:
            profile.append(knot.dwell_s, 0.0, 0.0)
        if i + 1 < len(knots):
            distance = knots[i + 1].at_m - knot.at_m
            _trapezium(profile, distance, speeds[i], speeds[i + 1], knot.limit_ms, accelerate, brake)
    return profile


def _speeds_at(knots: Sequence[Knot], accelerate: float, brake: float) -> list[float]:
    """The highest speed at each knot that all caps and limits, before and after it, allow."""
    speeds = [0.0]
    for before, knot in pairwise(knots):
        speeds.append(min(knot.cap_ms, knot.limit_ms, before.limit_ms))
    speeds[-1] = 0.0
    for i in range(len(knots) - 2, -1, -1):
        distance = knots[i + 1].at_m - knots[i].at_m
        speeds[i] = min(speeds[i], math.sqrt(speeds[i + 1] ** 2 + 2 * brake * distance))
    for i in range(1, len(knots)):
        distance = knots[i].at_m - knots[i - 1].at_m
        speeds[i] = min(speeds[i], math.sqrt(speeds[i - 1] ** 2 + 2 * accelerate * distance))
    return speeds


def _trapezium(
    profile: Profile,
    distance: float,
    begin: float,
    end: float,
    limit: float,
    accelerate: float,
    brake: float,
) -> None:
    if distance <= 0:
        return
    squared = (2 * accelerate * brake * distance + brake * begin**2 + accelerate * end**2) / (
        accelerate + brake
    )
    peak = max(min(math.sqrt(squared), limit), begin, end)
    rising = (peak**2 - begin**2) / (2 * accelerate)
    falling = (peak**2 - end**2) / (2 * brake)
    level = distance - rising - falling
    profile.append((peak - begin) / accelerate, begin, accelerate)
    if level > 1e-9:  # less is rounding, and peak may be 0 only when the distance is
        profile.append(level / peak, peak, 0.0)
    profile.append((peak - end) / brake, peak, -brake)
