"""Waiting for the first of several tasks, and ending tasks for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

T = TypeVar("T")


class StoppedError(FleetcellError):
    """Stopped before anything was sent."""


async def first_of(*waiting: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Return when one of them is done, or the time is up; raises what one of them raised."""
    done, _ = await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        if not future.cancelled():
            future.result()


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel them and wait until they have ended; what they raise was theirs to tell before."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def in_time(awaitable: Awaitable[Any], seconds: float) -> bool:
    """Whether it was done within this many seconds; it is cancelled otherwise."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return False
    return True


async def unless(stopped: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work.

    Raises:
        StoppedError: `stopped` was set first; the work is cancelled.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stopped.wait())
    try:
        await first_of(working, stopping)
        if not working.done():
            raise StoppedError
        return working.result()
    finally:
        await end(working, stopping)
