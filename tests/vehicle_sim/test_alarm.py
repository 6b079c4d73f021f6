"""The alarm rings at the earliest time that was asked for."""

from __future__ import annotations

import asyncio
import time

from vehicle_sim.alarm import Alarm


async def test_it_rings_once_at_the_earliest_time() -> None:
    rung: asyncio.Queue[float] = asyncio.Queue()
    alarm = Alarm(lambda: rung.put_nowait(time.monotonic()))
    begin = time.monotonic()
    alarm.set(float("inf"))
    alarm.set(begin + 3600)
    alarm.set(begin + 0.02)
    alarm.set(begin + 1800)
    assert await asyncio.wait_for(rung.get(), 60) >= begin + 0.019
    alarm.set(begin)  # long past: at once
    await asyncio.wait_for(rung.get(), 60)
    assert rung.empty()


async def test_one_that_was_cancelled_is_silent_until_it_is_set_again() -> None:
    rung = asyncio.Event()
    alarm = Alarm(rung.set)
    alarm.set(0.0)
    alarm.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not rung.is_set()
    alarm.set(0.0)
    await asyncio.wait_for(rung.wait(), 60)
