"""When a CAM is due: the generation rules of EN 302 637-2, 6.1.3. Pure.

To be asked at least every 100 ms (T_CheckCamGen). A CAM is due
1. when heading, position or speed have changed by more than 4 degrees, 4 m or 0.5 m/s since the last one, and
   T_GenCam_Dcc has passed since then;
2. when T_GenCam has passed. T_GenCam is the interval of the last CAM by rule 1; after three in a row by
   rule 2 it is 1 s again.
T_GenCam_Dcc is from 100 to 1000 ms: in the standard the radio's congestion control says it, here an option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vehicle_sim.roads.geodesy import segment, turn_deg

if TYPE_CHECKING:
    from vehicle_sim.mobility.motion import Motion

T_GEN_CAM_MIN_MS: Final = 100
T_GEN_CAM_MAX_MS: Final = 1000
LOW_FREQUENCY_MS: Final = 500
_N_GEN_CAM: Final = 3

_TURN_DEG: Final = 4.0
_MOVE_M: Final = 4.0
_SPEED_MS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Due:
    """A CAM is due; `low_frequency`: with the containers that come at most every 500 ms."""

    low_frequency: bool


class CamRules:
    """The rules for one station.

    Args:
        t_gen_cam_dcc_ms: the shortest interval between two CAMs, 100 to 1000 ms.
    """

    def __init__(self, t_gen_cam_dcc_ms: int = T_GEN_CAM_MIN_MS) -> None:
        if not T_GEN_CAM_MIN_MS <= t_gen_cam_dcc_ms <= T_GEN_CAM_MAX_MS:
            raise ValueError(f"T_GenCam_Dcc is from 100 to 1000 ms: {t_gen_cam_dcc_ms}")
        self._dcc_ms = t_gen_cam_dcc_ms
        self._interval_ms = T_GEN_CAM_MAX_MS  # T_GenCam
        self._by_time = 0  # CAMs in a row by rule 2
        self._last: Motion | None = None
        self._last_ms = 0
        self._low_frequency_ms: int | None = None

    def begin(self) -> None:
        """Nobody knows this station: its next CAM is due at once, with everything."""
        self._last = self._low_frequency_ms = None
        self._interval_ms, self._by_time = T_GEN_CAM_MAX_MS, 0

    def look(self, now_ms: int, motion: Motion) -> Due | None:
        """Whether a CAM is due now; it counts as sent. `now_ms`: of a clock that only goes forward."""
        if self._last is not None:
            elapsed_ms = now_ms - self._last_ms
            if elapsed_ms < self._dcc_ms:
                return None
            if _changed(self._last, motion):
                self._interval_ms, self._by_time = min(elapsed_ms, T_GEN_CAM_MAX_MS), 0
            elif elapsed_ms >= self._interval_ms:
                self._by_time += 1
                if self._by_time >= _N_GEN_CAM:
                    self._interval_ms = T_GEN_CAM_MAX_MS
            else:
                return None
        self._last, self._last_ms = motion, now_ms
        low_frequency = self._low_frequency_ms is None or now_ms - self._low_frequency_ms >= LOW_FREQUENCY_MS
        if low_frequency:
            self._low_frequency_ms = now_ms
        return Due(low_frequency)


def _changed(last: Motion, now: Motion) -> bool:
    return (
        abs(turn_deg(last.heading, now.heading)) > _TURN_DEG
        or abs(now.speed_ms - last.speed_ms) > _SPEED_MS
        or segment(last.lon, last.lat, now.lon, now.lat)[0] > _MOVE_M
    )
