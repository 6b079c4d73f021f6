"""Random numbers that belong to a place."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.links.noise import exponential, normal, seed_of, uniform

places = st.lists(st.integers(-(2**40), 2**40), max_size=4)


@given(st.integers(0, 2**64 - 1), places)
def test_a_place_has_one_number_in_the_unit_interval(seed: int, place: list[int]) -> None:
    number = uniform(seed, *place)
    assert number == uniform(seed, *place)
    assert 0 <= number < 1


def test_neighbouring_places_and_seeds_have_unrelated_numbers() -> None:
    by_place = [uniform(7, i) for i in range(4000)]
    by_seed = [uniform(seed_of("run", i), 5) for i in range(4000)]
    two_dimensional = [uniform(7, i % 63, i // 63) for i in range(3969)]
    for numbers in (by_place, by_seed, two_dimensional):
        assert abs(statistics.mean(numbers) - 0.5) < 0.02
        assert abs(statistics.pstdev(numbers) - 12**-0.5) < 0.01
        assert abs(statistics.correlation(numbers[:-1], numbers[1:])) < 0.05


def test_the_distributions_have_their_mean_and_deviation() -> None:
    waits = [exponential(0.25, 3, i) for i in range(8000)]
    assert abs(statistics.mean(waits) - 0.25) < 0.01
    assert abs(statistics.median(waits) - 0.25 * 0.6931) < 0.01
    heights = [normal(3, i) for i in range(8000)]
    assert abs(statistics.mean(heights)) < 0.04
    assert abs(statistics.pstdev(heights) - 1) < 0.03


def test_seeds_of_names_do_not_run_together() -> None:
    assert seed_of("a", "bc") != seed_of("ab", "c")
    assert seed_of(1, "x") == seed_of("1", "x")
