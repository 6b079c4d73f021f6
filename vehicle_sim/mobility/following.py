"""How fast a vehicle goes on, with another ahead and with what it has to brake for: pure arithmetic.

The Intelligent Driver Model: M. Treiber, A. Hennecke, D. Helbing, "Congested traffic states in empirical
observations and microscopic simulations", Phys. Rev. E 62, 1805 (2000), with delta = 4 and a gap of 2 m in a
jam. Headways of 1 to 1.6 s reach from the value for towns to that for highways in Treiber and Kesting,
"Traffic Flow Dynamics" (Springer 2013), chapter 11.

Time goes in ticks. Within a tick the acceleration is constant ("ballistic" integration), so positions and
speeds agree exactly. The model alone does not exclude collisions in steps of half a second; `stopping_speed`
does: P. G. Gipps, "A behavioural car-following model for computer simulation", Transp. Res. B 15, 105 (1981).
"""

from __future__ import annotations

import math
from typing import Final

TICK_S: Final = 0.5
JAM_GAP_M: Final = 2.0
HARDEST_MS2: Final = 7.0  # what tyres on a dry road give: only for what nobody foresaw


def idm_acceleration(
    speed: float, wish: float, accelerate: float, brake: float, headway_s: float, gap: float, closing: float
) -> float:
    """The acceleration in m/s² that the model gives.

    Args:
        speed: own, in m/s.
        wish: the speed wanted on an empty road, above 0.
        accelerate: the driver's acceleration in m/s².
        brake: the driver's comfortable deceleration in m/s².
        headway_s: the time to the vehicle ahead that the driver keeps.
        gap: metres to its rear, above 0; infinite where there is none.
        closing: own speed less that of the vehicle ahead.
    """
    share = speed / wish
    free = 1.0 - share * share * share * share
    if gap == math.inf:
        return accelerate * free
    desired = JAM_GAP_M + max(speed * headway_s + speed * closing / (2 * math.sqrt(accelerate * brake)), 0.0)
    return accelerate * (free - (desired / gap) ** 2)


def stopping_speed(speed: float, distance: float, end_speed: float, brake: float) -> float:
    """The highest speed at the end of a tick from which braking at `brake` still does.

    That is: after the tick, begun at `speed`, `end_speed` can be reached within what is then left of
    `distance` (metres from where the vehicle is now). At least 0.
    """
    half = brake * TICK_S / 2
    square = half * half + end_speed * end_speed + brake * (2 * distance - TICK_S * speed)
    return math.sqrt(square) - half if square > half * half else 0.0
