"""Clocks of units that a fault has set wrong. Pure: time is passed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vehicle_sim.mobility.device_clock import WEEK_ROLLOVER_MS, Jump

if TYPE_CHECKING:
    from vehicle_sim.faults.schedule import ClockJump, Fault


def wrong(jump: ClockJump, right_ms: int, since_ms: int) -> int:
    """What a clock shows, in ms since 1970.

    Args:
        jump: how it is wrong.
        right_ms: what it would show otherwise.
        since_ms: the time that passed since it jumped.
    """
    match jump.to:
        case Jump.EPOCH:
            return since_ms
        case Jump.WEEK_ROLLOVER:
            return right_ms - WEEK_ROLLOVER_MS
        case _:
            return right_ms + round(jump.by_s * 1000)


class Clocks:
    """Which clocks of a run are wrong, and how. Where one has jumped twice the later jump counts."""

    def __init__(self) -> None:
        self._jumped: dict[str, list[tuple[Fault, ClockJump, int]]] = {}

    def jump(self, vehicle: str, fault: Fault, jump: ClockJump, now_ms: int) -> None:
        """From now on it is wrong; `fault` names this jump to `set_right`."""
        self._jumped.setdefault(vehicle, []).append((fault, jump, now_ms))

    def set_right(self, vehicle: str, fault: Fault) -> None:
        """This jump is over."""
        jumps = self._jumped[vehicle]
        jumps.remove(next(found for found in jumps if found[0] is fault))
        if not jumps:
            del self._jumped[vehicle]

    def dated(self, vehicle: str, right_ms: int, now_ms: int) -> int:
        """How the unit dates something, in ms since 1970; `now_ms` is the true time."""
        jumps = self._jumped.get(vehicle)
        if jumps is None:
            return right_ms
        _, jump, since_ms = jumps[-1]
        return wrong(jump, right_ms, now_ms - since_ms)
