"""Watches the live view during a run, and counts how far it shows vehicles from where they are."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from vehicle_sim.truth.distances import age_class, class_of, metres, quantile
from vehicle_sim.truth.records import Errors

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger()

_SPAN_S: Final = 10.0  # of one point over time
_PATIENCE_S: Final = 10.0  # without a connection until it is told


class _Moved(msgspec.Struct):
    vehicle: str
    lat: float
    lon: float
    time: datetime


class _Changes(msgspec.Struct):
    changes: list[_Moved]


class _Placed(msgspec.Struct):
    lat: float
    lon: float
    time: datetime


class _Vehicle(msgspec.Struct):
    id: str
    position: _Placed | None = None


class _Snapshot(msgspec.Struct):
    vehicles: list[_Vehicle]


class _Frame(msgspec.Struct):
    type: str


class LiveView:
    """The positions that a client of the live WebSocket is shown.

    A vehicle counts from the first position that comes for it during the run: what was shown of earlier
    runs says nothing about this one.
    """

    def __init__(self, api_url: str, api_key: str, began_at: float) -> None:
        self.errors = Errors()
        self._url = api_url.replace("http", "ws", 1) + "/api/v1/live"
        self._key = api_key
        self._began_at = began_at
        self._shown: dict[str, tuple[float, float, float]] = {}  # lat, lon, date in s since 1970
        self._connected = False
        self._span: Counter[int] = Counter()
        self._span_ends = began_at + _SPAN_S

    async def watch(self) -> None:
        """Follow the feed until cancelled; a feed that cannot be had is told in `errors`."""
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            async for link in connect(
                self._url, additional_headers=headers, max_size=None, compression=None, proxy=None
            ):
                self._connected = True
                try:
                    async for text in link:
                        self.take(text if isinstance(text, bytes) else text.encode())
                except ConnectionClosed:
                    continue
                finally:
                    self._connected = False
        except InvalidStatus as error:
            self._give_up(f"not seen: the platform answered {error.response.status_code}")
        except (InvalidHandshake, InvalidURI, OSError) as error:
            self._give_up(f"not seen: {error}")

    def take(self, text: bytes) -> None:
        """A frame of the feed."""
        try:
            match msgspec.json.decode(text, type=_Frame).type:
                case "positions":
                    self._show(msgspec.json.decode(text, type=_Changes).changes)
                case "snapshot":
                    self._show_again(msgspec.json.decode(text, type=_Snapshot).vehicles)
                case _:
                    pass
        except msgspec.MsgspecError as error:
            self.errors.problem = f"a frame was not understood: {error}"

    def _show(self, moved: Sequence[_Moved]) -> None:
        for one in moved:
            self._shown[one.vehicle] = (one.lat, one.lon, one.time.timestamp())

    def _show_again(self, vehicles: Sequence[_Vehicle]) -> None:
        """After a lost connection."""
        for one in vehicles:
            if one.id in self._shown and one.position is not None:
                self._shown[one.id] = (one.position.lat, one.position.lon, one.position.time.timestamp())

    def stands(self, vehicle: str, lat: float, lon: float, now: float | None = None) -> None:
        """The vehicle is here now, degrees: compare. `now`: seconds since 1970, None: by the clock."""
        shown = self._shown.get(vehicle)
        if shown is None or not self._connected:
            return
        now = time.time() if now is None else now
        distance = metres(shown[0], shown[1], lat, lon)
        age, number = age_class(now - shown[2]), class_of(distance)
        counts = self.errors.counts.setdefault(age, {})
        counts[number] = counts.get(number, 0) + 1
        self.errors.largest[age] = max(self.errors.largest.get(age, 0.0), distance)
        if now >= self._span_ends:
            self._end_span(now)
        self._span[number] += 1

    def _end_span(self, now: float) -> None:
        p50, p95 = quantile(self._span, 0.5), quantile(self._span, 0.95)
        if p50 is not None and p95 is not None:
            at = round(self._span_ends - self._began_at, 1)
            self.errors.over_time.append((at, round(p50, 2), round(p95, 2), self._span.total()))
        self._span.clear()
        while self._span_ends <= now:
            self._span_ends += _SPAN_S

    def _give_up(self, why: str) -> None:
        self.errors.problem = why
        log.warning("the live view is not scored", reason=why)
