"""A process that stood still waits as long again before it concludes anything from the time."""

from __future__ import annotations

import asyncio

import pytest

from ingest.pulse import BEAT_S, STILL_S, Pulse


class Clocks:
    """Of one machine: `asleep` passes only on its clock of the day."""

    def __init__(self) -> None:
        self.now = self.asleep = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.asleep


async def running(clocks: Clocks, most_s: float = 60.0) -> tuple[Pulse, asyncio.Task[None]]:
    pulse = Pulse(most_s, clocks.monotonic, clocks.wall)
    task = asyncio.create_task(pulse.run())
    await asyncio.sleep(0)  # its first beat
    return pulse, task


async def test_a_loop_that_is_a_little_late_is_up_to_date() -> None:
    clocks = Clocks()
    pulse, task = await running(clocks)
    for _ in range(20):
        clocks.now += STILL_S
        assert pulse.behind_s() == 0
    task.cancel()


@pytest.mark.parametrize(
    ("stood_s", "waits_s"), [(STILL_S + BEAT_S, STILL_S + BEAT_S), (20.0, 20.0), (900.0, 60.0)]
)
@pytest.mark.parametrize("asleep", [False, True])
async def test_it_waits_as_long_again_and_not_for_ever(stood_s: float, waits_s: float, asleep: bool) -> None:
    clocks = Clocks()
    pulse, task = await running(clocks)
    if asleep:
        clocks.asleep += stood_s
    else:
        clocks.now += stood_s
    woken_at = clocks.now
    while clocks.now < woken_at + waits_s:
        assert pulse.behind_s() == stood_s
        clocks.now += BEAT_S
    assert pulse.behind_s() == 0
    task.cancel()


async def test_who_leaves_office_after_it_stood_still_has_not_caught_up_by_that() -> None:
    clocks = Clocks()
    pulse, task = await running(clocks)
    clocks.now += 10.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert pulse.behind_s() == 10.0
    clocks.now += 1000.0
    assert pulse.behind_s() == 0, "not running: nobody felt the pulse"
