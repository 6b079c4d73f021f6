"""Rollups, trips and stops as of now: what is not derived yet is derived before it is answered."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from dashboard.database import Database

PATIENCE_S: Final = 1.0  # for the worker; then the answer says until when it is complete
_FIRST_S: Final = 0.005  # between two looks, doubled each time
_MOST_S: Final = 0.05


async def derived_until(database: Database, vehicle_id: int) -> datetime:
    """Have the worker derive what is dirty of a vehicle, and wait a moment for it.

    Returns:
        Until when what is derived now has all readings in it that are stored: the time of the call, or where
        the worker is behind or away the beginning of what is not derived yet.
    """
    row = await database.fetch_row("derive_now", vehicle_id)
    assert row is not None
    asked_at: datetime = row["asked_at"]
    if row["request"] is None:
        return asked_at
    pause, ends = _FIRST_S, time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        await asyncio.sleep(pause)
        if await database.fetch_value("derive_done", vehicle_id, row["request"]):
            return asked_at
        pause = min(2 * pause, _MOST_S)
    until: datetime = await database.fetch_value("complete_until", vehicle_id)
    return until
