"""A timer that rings at the earliest time that anybody asked for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER: Final = float("inf")


class Alarm:
    """Calls once at the earliest time it is set to.

    Setting it later does not move it: one ring too many does no harm, and its listener sets it again. Times
    are seconds of time.monotonic().
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._due = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        """Ring at `due`, or at once where that has passed; infinity: not because of this."""
        if due >= self._due:
            return
        self.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self._rings)

    def cancel(self) -> None:
        """Do not ring."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, _NEVER

    def _rings(self) -> None:
        self._timer, self._due = None, _NEVER
        self._ring()
