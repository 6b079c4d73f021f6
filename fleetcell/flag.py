"""An event for tasks of one loop, as asyncio.Event, that costs nothing while nobody waits for it.

asyncio's own keeps a queue for waiters all the time, 800 bytes of it; a process with thousands of connections
has tens of thousands of events that hardly anybody ever waits for.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Flag:
    """Set or not; who waits for it goes on when it is set."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    def set(self) -> None:
        """Let all go on that wait, and those that come later."""
        self._is_set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Let those wait that come from now on."""
        self._is_set = False

    def show(self, *, is_so: bool) -> None:
        """Set it or clear it."""
        if is_so and not self._is_set:
            self.set()
        elif not is_so:
            self._is_set = False

    async def wait(self) -> None:
        """Return when it was set; at once where it is."""
        if self._is_set:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._forget(waiter)

    def _forget(self, waiter: asyncio.Future[None]) -> None:
        if self._waiters is not None and waiter in self._waiters:  # else it was set
            self._waiters.remove(waiter)


async def set_within(event: asyncio.Event | Flag, seconds: float) -> bool:
    """Wait until it is set, but not for longer than so many seconds; whether it was."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def over(future: asyncio.Future[Any]) -> None:
    """Return when the future is done, however it ended; cancelling this does not cancel it.

    As `asyncio.wait((future,))`, with one future and one callback instead of three sets and a coroutine more.
    """
    if future.done():
        return
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ring(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(ring)
    try:
        await waiter
    finally:
        future.remove_done_callback(ring)
