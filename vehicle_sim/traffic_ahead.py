"""Moves the traffic of a run a little ahead of the drives that look at it, in small parts.

Otherwise the first drive that asks for the next moment would move all vehicles at once, and everything else
of the process would wait: a tenth of a second with 5,000 of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vehicle_sim.mobility import Traffic

_LOOK_S: Final = 0.02


async def move_ahead(traffic: Traffic) -> None:
    """Do so until cancelled."""
    while True:  # noqa: ASYNC110 - it works; there is nothing to wait for
        await asyncio.sleep(0 if traffic.work_ahead() else _LOOK_S)
