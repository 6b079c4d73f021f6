"""Where a station was: the path history of its CAMs, the trace of its DENMs. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from fleetcell.contract.v2x.messages import DeltaReferencePosition, PathPoint
from vehicle_sim.roads.geodesy import segment

if TYPE_CHECKING:
    from vehicle_sim.mobility.motion import Motion

_STEP_M: Final = 20.0
_POINTS: Final = 10  # 200 m
_MOST: Final = 131_071  # of a difference: 0.0131 degrees, more than any step
_MOST_10MS: Final = 65_535


class Path:
    """The last 200 m of one station, a point every 20 m."""

    def __init__(self) -> None:
        self._points: deque[tuple[int, float, float]] = deque(maxlen=_POINTS)  # ms, degrees; newest last

    def begin(self) -> None:
        """Forget: the path would join two pseudonyms."""
        self._points.clear()

    def went(self, now_ms: int, motion: Motion) -> None:
        """The station is here now."""
        if self._points:
            _, lat, lon = self._points[-1]
            if segment(lon, lat, motion.lon, motion.lat)[0] < _STEP_M:
                return
        self._points.append((now_ms, motion.lat, motion.lon))

    def history(self, now_ms: int, motion: Motion) -> tuple[PathPoint, ...]:
        """The points, newest first, each as the difference to the one that follows it in time."""
        found: list[PathPoint] = []
        after_ms, after_lat, after_lon = now_ms, motion.lat, motion.lon
        for at_ms, lat, lon in reversed(self._points):
            delta_lat, delta_lon = round((lat - after_lat) * 1e7), round((lon - after_lon) * 1e7)
            if abs(delta_lat) > _MOST or abs(delta_lon) > _MOST:
                break  # it jumped: what is before is no path
            before_10ms = (after_ms - at_ms) // 10
            if before_10ms >= 1:
                delta = DeltaReferencePosition(delta_lat, delta_lon, None)
                found.append(PathPoint(delta, min(before_10ms, _MOST_10MS)))
                after_ms, after_lat, after_lon = at_ms, lat, lon
        return tuple(found)
