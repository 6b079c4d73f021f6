"""Clocks that a fault has set wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.faults.clocks import Clocks, wrong
from vehicle_sim.faults.schedule import ClockJump, Fault, What, When
from vehicle_sim.mobility.device_clock import WEEK_ROLLOVER_MS

NOW_MS = 1_780_000_000_000
BACK = ClockJump(by_s=-7200.0)
TO_1970 = ClockJump(to="1970")


def fault(jump: ClockJump) -> Fault:
    return Fault(What.CLOCK_JUMP, When((1.0,)), lasts_s=5.0, clock=jump)


@given(st.integers(0, 10**9), st.floats(-1e6, 1e6))
def test_what_a_wrong_clock_shows(since_ms: int, by_s: float) -> None:
    assert wrong(TO_1970, NOW_MS, since_ms) == since_ms
    assert wrong(ClockJump(to="rollover"), NOW_MS, since_ms) == NOW_MS - WEEK_ROLLOVER_MS
    assert wrong(ClockJump(by_s), NOW_MS, since_ms) == NOW_MS + round(by_s * 1000)


def test_a_clock_is_wrong_from_its_jump_until_it_is_set_right() -> None:
    clocks = Clocks()
    first, second = fault(TO_1970), fault(BACK)
    assert clocks.dated("car", NOW_MS + 3, NOW_MS) == NOW_MS + 3  # its own drift
    clocks.jump("car", first, TO_1970, NOW_MS)
    assert clocks.dated("car", NOW_MS + 1000, NOW_MS + 1000) == 1000
    assert clocks.dated("van", NOW_MS, NOW_MS) == NOW_MS
    clocks.jump("car", second, BACK, NOW_MS + 2000)  # the later one counts
    assert clocks.dated("car", NOW_MS + 3000, NOW_MS + 3000) == NOW_MS + 3000 - 7_200_000
    clocks.set_right("car", first)
    assert clocks.dated("car", NOW_MS, NOW_MS) == NOW_MS - 7_200_000
    clocks.set_right("car", second)
    assert clocks.dated("car", NOW_MS, NOW_MS) == NOW_MS
