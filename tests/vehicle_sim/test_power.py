"""When a parked unit sleeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.power import Power, PowerPolicy, Wish

POLICY = PowerPolicy(active_s=10.0, sleep_s=100.0)


def wishes(power: Power, steps: list[tuple[float, bool, bool]]) -> list[tuple[float, Wish]]:
    """Of (time, parked, asleep), what is wished when."""
    found = [(now, power.look(parked=parked, asleep=asleep, now=now)) for now, parked, asleep in steps]
    return [(now, wish) for now, wish in found if wish is not None]


def test_a_parked_unit_sleeps_after_its_active_time_and_wakes_with_the_ignition() -> None:
    parked = [(float(t), True, t > 31) for t in range(20, 60)]
    assert wishes(
        Power(POLICY), [(0.0, False, False), *parked, (60.0, False, True), (61.0, False, False)]
    ) == [
        (30.0, Wish.SLEEP),
        (60.0, Wish.WAKE),
    ]


def test_a_unit_that_looked_for_commands_sleeps_again() -> None:
    steps = [(float(t), True, 12 < t < 112) for t in range(130)]
    assert wishes(Power(POLICY), steps) == [(10.0, Wish.SLEEP), (121.0, Wish.SLEEP)]


def test_nobody_sleeps_before_the_time_that_was_set() -> None:
    assert wishes(Power(POLICY, 50.0), [(float(t), True, False) for t in range(55)]) == [(50.0, Wish.SLEEP)]


def test_a_sleep_that_did_not_come_about_is_wished_for_again() -> None:
    steps = [(float(t), True, False) for t in range(35)]
    assert wishes(Power(POLICY), steps) == [(10.0, Wish.SLEEP), (20.0, Wish.SLEEP), (30.0, Wish.SLEEP)]


@given(st.lists(st.tuples(st.floats(0.1, 30), st.booleans(), st.booleans()), max_size=50))
def test_a_unit_without_a_policy_is_only_ever_woken_and_only_by_the_ignition(
    changes: list[tuple[float, bool, bool]],
) -> None:
    power, now, was_parked = Power(None), 0.0, False
    for step_s, parked, asleep in changes:
        now += step_s
        wish = power.look(parked=parked, asleep=asleep, now=now)
        assert wish is (Wish.WAKE if was_parked and not parked else None)
        was_parked = parked
