"""Signs of life from the workers that are not the registrar, to the one that is.

Telemetry is evidence that a vehicle is there. With several workers most of it comes to others than the
registrar; they tell it by NOTIFY, each vehicle now and then, many in one notification. One that is lost is
made up by the next.
"""

from __future__ import annotations

import asyncio
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from ingest.database import statement
from ingest.failures import FAILURES, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.pools import Database

log = structlog.get_logger()

CHANNEL: Final = "fleetcell_signs"
EVERY_S: Final = 1.0
AT_A_TIME: Final = 70  # vehicles in a notification: its payload has at most 8000 bytes
SAME_S: Final = 5.0  # least time between two signs of a vehicle


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """A notification: vehicles with their epochs, and, parallel, when their newest readings were (µs)."""

    region: str
    signs: list[tuple[str, int]]
    measured_us: list[int | None] = []


class Signs:
    """Collects what this worker heard, and hands on what others heard.

    Args:
        region: whose vehicles.
        database: for NOTIFY.
        take: the registrar's; called with vehicle, epoch and when its newest reading was measured (µs since
            1970), when another worker heard a vehicle.
    """

    def __init__(self, region: str, database: Database, take: Callable[[str, int, int | None], None]) -> None:
        self._region = region
        self._database = database
        self._take = take
        self._waiting: dict[str, tuple[int, int | None]] = {}
        self._sent: dict[str, float] = {}

    def put(self, vehicle: str, epoch: int, measured_us: int | None = None) -> None:
        """This worker has heard a vehicle, and is not the registrar."""
        now = time.monotonic()
        if now - self._sent.get(vehicle, -SAME_S) >= SAME_S:
            self._sent[vehicle] = now
            self._waiting[vehicle] = epoch, measured_us

    def receive(self, payload: str) -> None:
        """A notification, our own too."""
        try:
            notice = msgspec.json.decode(payload, type=Notice)
        except msgspec.MsgspecError as error:
            log.warning("not a notice of signs of life", reason=str(error))
            return
        if notice.region == self._region:
            times = chain(notice.measured_us, repeat(None))  # a worker of an older release tells none
            for (vehicle, epoch), measured_us in zip(notice.signs, times, strict=False):
                self._take(vehicle, epoch, measured_us)

    async def run(self) -> None:
        """Notify until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            if not self._waiting:
                continue
            signs, self._waiting = list(self._waiting.items()), {}
            try:
                async with self._database.connection() as connection:
                    for start in range(0, len(signs), AT_A_TIME):
                        part = signs[start : start + AT_A_TIME]
                        sessions = [(vehicle, epoch) for vehicle, (epoch, _) in part]
                        notice = Notice(self._region, sessions, [measured for _, (_, measured) in part])
                        payload = msgspec.json.encode(notice).decode()
                        await connection.execute(statement("notify_signs"), payload)
            except FAILURES as error:
                log.debug("signs of life not told", reason=reason(error))
