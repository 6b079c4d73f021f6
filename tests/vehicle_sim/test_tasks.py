"""Waiting for tasks, and ending them."""

from __future__ import annotations

import asyncio

import pytest

from vehicle_sim.tasks import StoppedError, end, first_of, in_time, unless


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ValueError("broken")


async def answer() -> int:
    return 42


async def test_the_first_one_ends_the_wait_and_its_failure_is_told() -> None:
    waiting, failing = asyncio.create_task(forever()), asyncio.create_task(fail())
    with pytest.raises(ValueError, match="broken"):
        await first_of(waiting, failing)
    assert not waiting.done()
    await first_of(waiting, timeout_s=0.01)
    await end(waiting, failing)
    assert waiting.cancelled()


async def test_in_time_or_not() -> None:
    assert await in_time(answer(), 1)
    assert not await in_time(forever(), 0.01)


async def test_work_is_done_unless_it_is_stopped() -> None:
    stopped = asyncio.Event()
    assert await unless(stopped, answer()) == 42
    with pytest.raises(ValueError, match="broken"):
        await unless(stopped, fail())
    asyncio.get_running_loop().call_soon(stopped.set)
    with pytest.raises(StoppedError, match="Stopped before anything was sent"):
        await unless(stopped, forever())
