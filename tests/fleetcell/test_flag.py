"""The flag that tasks wait for: as asyncio.Event, and waiting for a future without ending it."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.flag import Flag, over, set_within


@given(st.lists(st.sampled_from(["set", "clear", "wait", "cancel", "turn"]), max_size=30))
def test_it_does_what_an_event_does(acts: list[str]) -> None:
    async def play(event: Flag | asyncio.Event) -> list[object]:
        waiting: list[asyncio.Task[object]] = []
        seen: list[object] = []
        for act in acts:
            match act:
                case "set":
                    event.set()
                case "clear":
                    event.clear()
                case "wait":
                    waiting.append(asyncio.create_task(event.wait()))
                case "cancel" if waiting:
                    waiting[-1].cancel()
            if act == "turn":
                for _ in range(3):
                    await asyncio.sleep(0)
            seen.append((event.is_set(), [task.done() for task in waiting]))
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
        return [*seen, [task.cancelled() for task in waiting]]

    async def both() -> None:
        assert await play(Flag()) == await play(asyncio.Event())

    asyncio.run(both())


async def test_a_flag_that_nobody_waits_for_is_small() -> None:
    flag = Flag()
    waiting = asyncio.create_task(flag.wait())
    await asyncio.sleep(0)
    flag.set()
    await waiting
    assert sys.getsizeof(flag) <= 64
    assert flag._waiters is None


async def test_over_returns_however_the_future_ends() -> None:
    loop = asyncio.get_running_loop()
    done, failed, cancelled = loop.create_future(), loop.create_future(), loop.create_future()
    waiting = [asyncio.create_task(over(future)) for future in (done, failed, cancelled)]
    await asyncio.sleep(0)
    done.set_result(1)
    failed.set_exception(ValueError("why"))
    cancelled.cancel()
    await asyncio.gather(*waiting)
    await over(done)
    with pytest.raises(ValueError, match="why"):
        failed.result()


async def test_who_no_longer_waits_does_not_end_the_future() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(over(future))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert not future.done()


@pytest.mark.parametrize("event", [asyncio.Event, Flag])
async def test_whether_it_is_set_in_time(event: type[asyncio.Event | Flag]) -> None:
    late, soon, before = event(), event(), event()
    before.set()
    asyncio.get_running_loop().call_soon(soon.set)
    assert not await set_within(late, 0)
    assert await set_within(soon, 30)
    assert await set_within(before, 30)
    waiting = asyncio.create_task(set_within(late, 30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):  # not taken for the end of the time
        await waiting
