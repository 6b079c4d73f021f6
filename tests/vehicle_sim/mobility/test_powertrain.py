"""Energy in and out."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.signals import check_signals
from vehicle_sim.mobility.powertrain import Combustion, Electric, Powertrain, wheel_force

STEPS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.floats(-3, 3),
        st.floats(0.01, 5),
        st.sampled_from(["use", "rest", "refill"]),
    ),
    max_size=30,
)


def read(powertrain: Powertrain, speed_ms: float = 0.0, **state: bool) -> dict[str, Any]:
    return powertrain.signals(speed_ms, **{"ignition": True, "driving": True, "refilling": False, **state})


def drive_100_km(powertrain: Powertrain, speed_ms: float) -> None:
    for _ in range(1000):
        powertrain.use(speed_ms, 0.0, 100.0, 100.0 / speed_ms)


def test_wheel_force() -> None:
    assert wheel_force(1800, 0, 0) == pytest.approx(194.2, abs=0.1)  # rolling alone
    assert wheel_force(1800, 0, -2) < 0
    assert wheel_force(1800, 30, 0) > wheel_force(1800, 20, 0)


@pytest.mark.parametrize("kind", [Electric, Combustion])
@given(seed=st.integers(0, 2**32), steps=STEPS)
def test_signals_stay_in_the_catalogues_ranges(
    kind: type[Electric | Combustion], seed: int, steps: list[tuple[float, float, float, str]]
) -> None:
    powertrain = kind(random.Random(seed))
    for speed, acceleration, dt, what in steps:
        match what:
            case "use":
                powertrain.use(speed, acceleration, speed * dt, dt)
            case "rest":
                powertrain.rest(dt)
            case _:
                powertrain.refill(dt)
        signals = read(powertrain, speed)
        assert check_signals(dict(signals)) == (signals, [])


@pytest.mark.parametrize("seed", range(5))
def test_consumption_is_a_cars(seed: int) -> None:
    electric, petrol = Electric(random.Random(seed)), Combustion(random.Random(seed))
    electric._energy_j = electric._capacity_j
    petrol._fuel_l = petrol._tank_l
    drive_100_km(electric, 25.0)
    drive_100_km(petrol, 25.0)
    assert 12 < (electric._capacity_j - electric._energy_j) / 3.6e6 < 22  # kWh / 100 km at 90 km/h
    assert 4 < petrol._tank_l - petrol._fuel_l < 8  # l / 100 km


def test_driving_empties_and_an_empty_one_stays_at_nothing() -> None:
    electric, petrol = Electric(random.Random(1)), Combustion(random.Random(1))
    for powertrain, key in ((electric, "soc"), (petrol, "fuel")):
        before = read(powertrain)[key]
        drive_100_km(powertrain, 14.0)
        assert read(powertrain)[key] < before
        for _ in range(20):
            drive_100_km(powertrain, 30.0)
        assert read(powertrain)[key] == 0.0
        assert powertrain.low
        assert read(powertrain)["range"] == 0.0


@pytest.mark.parametrize("kind", [Electric, Combustion])
def test_the_range_follows_how_it_is_driven(kind: type[Electric | Combustion]) -> None:
    calm, hasty = kind(random.Random(2)), kind(random.Random(2))
    for _ in range(200):
        calm.use(14.0, 0.0, 50.0, 50 / 14.0)
        hasty.use(35.0, 0.0, 50.0, 50 / 35.0)
    level = "soc" if kind is Electric else "fuel"
    km_a_percent = [read(p)["range"] / read(p)[level] for p in (calm, hasty)]
    assert km_a_percent[0] > 1.4 * km_a_percent[1]


def test_braking_gives_back_less_than_speeding_up_took() -> None:
    electric = Electric(random.Random(1))
    start = electric._energy_j
    electric.use(7.0, 1.4, 70.0, 10.0)  # 0 to 14 m/s
    top = electric._energy_j
    electric.use(7.0, -1.4, 70.0, 10.0)
    assert top < electric._energy_j < start
    petrol = Combustion(random.Random(1))
    petrol.use(7.0, -1.4, 70.0, 10.0)
    assert petrol._fuel_l < Combustion(random.Random(1))._fuel_l


def test_charging_ends_at_80_percent() -> None:
    electric = Electric(random.Random(3))
    electric._energy_j = 0.1 * electric._capacity_j
    expected = electric.refill_s
    electric.refill(expected / 2)
    assert 10 < read(electric)["soc"] < 80
    electric.refill(expected)
    assert read(electric)["soc"] == 80.0
    assert electric.refill_s == 0.0
    electric._energy_j = 0.9 * electric._capacity_j
    electric.refill(60)
    assert read(electric)["soc"] == 90.0  # charging takes nothing away
    assert electric.refill_s == 0.0


def test_filling_up_ends_at_the_brim() -> None:
    petrol = Combustion(random.Random(3))
    petrol._fuel_l = 0.0
    petrol.refill(petrol.refill_s + 10)
    assert read(petrol)["fuel"] == 100.0


def test_the_instruments() -> None:
    electric, petrol = Electric(random.Random(1)), Combustion(random.Random(1))
    assert read(electric)["gear"] == 1
    assert read(electric, driving=False)["gear"] == 0
    assert read(electric)["lvbat"] - read(electric, ignition=False)["lvbat"] == pytest.approx(1.5)
    assert read(electric, ignition=False, refilling=True)["lvbat"] == read(electric)["lvbat"]
    gears = [read(petrol, speed)["gear"] for speed in (0, 3, 7, 12, 17, 22, 30)]
    assert gears == [0, 1, 2, 3, 4, 5, 6]
    assert read(petrol, 0.0)["rpm"] == 820.0
    assert all(820 <= read(petrol, speed)["rpm"] < 3500 for speed in range(45))
    assert read(petrol, ignition=False, driving=False)["rpm"] == 0.0


def test_the_engine_warms_and_cools() -> None:
    petrol = Combustion(random.Random(1))
    petrol.rest(86400)
    assert read(petrol)["coolant"] == pytest.approx(10, abs=0.1)
    petrol.use(0, 0, 0, 3600)
    assert read(petrol)["coolant"] == pytest.approx(90, abs=0.1)
