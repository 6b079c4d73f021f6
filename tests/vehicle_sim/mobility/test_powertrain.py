"""Energy in and out."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.signals import check_signals
from vehicle_sim.mobility.kinds import CAR, KINDS, TRUCK
from vehicle_sim.mobility.powertrain import Combustion, Electric, Levels, wheel_force

STEPS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.floats(-3, 3),
        st.floats(0.01, 5),
        st.sampled_from(["use", "rest", "refill"]),
    ),
    max_size=30,
)
Drivetrain = Electric | Combustion


class Tank:
    """A powertrain with what it holds."""

    def __init__(self, made: type[Drivetrain], seed: int, kind: str = "car", load_kg: float = 100.0) -> None:
        rng = random.Random(seed)
        self.it: Drivetrain = made(rng, KINDS[kind])
        self.it.load_kg = load_kg
        self.levels = self.it.begin(rng)

    def fill(self, share: float) -> None:
        size = self.it.capacity_j if isinstance(self.it, Electric) else self.it.tank_l
        self.levels = self.levels._replace(store=share * size)

    def drive(
        self, speed_ms: float, acceleration: float, metres: float, seconds: float, slope: float = 0
    ) -> None:
        self.levels = self.it.use(self.levels, speed_ms, acceleration, metres, seconds, slope)

    def drive_100_km(self, speed_ms: float) -> None:
        for _ in range(1000):
            self.drive(speed_ms, 0.0, 100.0, 100.0 / speed_ms)

    def read(self, speed_ms: float = 0.0, **state: bool) -> dict[str, Any]:
        shown = {"ignition": True, "driving": True, "refilling": False, **state}
        return self.it.signals(self.levels, speed_ms, **shown)


def used(tank: Tank, before: Levels) -> float:
    return before.store - tank.levels.store


def test_wheel_force() -> None:
    assert wheel_force(1800, 0.65, 0, 0) == pytest.approx(194.2, abs=0.1)  # rolling alone
    assert wheel_force(1800, 0.65, 0, -2) < 0
    assert wheel_force(1800, 0.65, 30, 0) > wheel_force(1800, 0.65, 20, 0)
    # A slope of 10 % takes a tenth of the weight, but for its cosine.
    climb = wheel_force(1800, 0.65, 0, 0, 0.1) - wheel_force(1800, 0.65, 0, 0)
    assert climb == pytest.approx(1800 * 9.81 * 0.1, rel=0.01)
    steep = wheel_force(1800, 0.65, 0, 0, 0.75) * 1.25 - wheel_force(1800, 0.65, 0, 0)  # 3, 4 and 5
    assert steep == pytest.approx(1800 * 9.81 * 0.75)
    assert wheel_force(1800, 0.65, 0, 0, -0.1) < 0


@pytest.mark.parametrize("made", [Electric, Combustion])
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(sorted(KINDS)), steps=STEPS)
def test_signals_stay_in_the_catalogues_ranges(
    made: type[Drivetrain], seed: int, kind: str, steps: list[tuple[float, float, float, str]]
) -> None:
    tank = Tank(made, seed, kind)
    for speed, acceleration, dt, what in steps:
        match what:
            case "use":
                tank.drive(speed, acceleration, speed * dt, dt)
            case "rest":
                tank.levels = tank.it.rest(tank.levels, dt)
            case _:
                tank.levels = tank.it.refill(tank.levels, dt)
        signals = tank.read(speed)
        assert check_signals(dict(signals)) == (signals, [])


@pytest.mark.parametrize("seed", range(5))
def test_consumption_is_a_cars_and_a_trucks(seed: int) -> None:
    electric, petrol = Tank(Electric, seed), Tank(Combustion, seed)
    truck = Tank(Combustion, seed, "truck", TRUCK.load_kg[1])
    for tank in (electric, petrol, truck):
        tank.fill(1.0)
    before = electric.levels, petrol.levels, truck.levels
    electric.drive_100_km(25.0)
    petrol.drive_100_km(25.0)
    truck.drive_100_km(22.0)
    assert 12 < used(electric, before[0]) / 3.6e6 < 22  # kWh / 100 km at 90 km/h
    assert 4 < used(petrol, before[1]) < 8  # l / 100 km
    assert 20 < used(truck, before[2]) < 45  # l / 100 km at 80 km/h


@pytest.mark.parametrize("made", [Electric, Combustion])
def test_load_and_slope_take_energy(made: type[Drivetrain]) -> None:
    empty, full, uphill = Tank(made, 1, "van", 0.0), Tank(made, 1, "van", 1200.0), Tank(made, 1, "van", 0.0)
    for tank in (empty, full, uphill):
        tank.fill(0.9)
    before = empty.levels
    for _ in range(50):
        empty.drive(10.0, 0.5, 100.0, 10.0)
        full.drive(10.0, 0.5, 100.0, 10.0)
        uphill.drive(10.0, 0.5, 100.0, 10.0, 0.05)
    assert used(full, before) > 1.2 * used(empty, before)
    assert used(uphill, before) > 1.2 * used(empty, before)


@pytest.mark.parametrize("made", [Electric, Combustion])
def test_driving_empties_and_an_empty_one_stays_at_nothing(made: type[Drivetrain]) -> None:
    tank, key = Tank(made, 1), "soc" if made is Electric else "fuel"
    before = tank.read()[key]
    tank.drive_100_km(14.0)
    assert tank.read()[key] < before
    for _ in range(20):
        tank.drive_100_km(30.0)
    assert tank.read()[key] == 0.0
    assert tank.it.low(tank.levels)
    assert tank.read()["range"] == 0.0


@pytest.mark.parametrize("made", [Electric, Combustion])
def test_the_range_follows_how_it_is_driven(made: type[Drivetrain]) -> None:
    calm, hasty = Tank(made, 2), Tank(made, 2)
    for _ in range(200):
        calm.drive(14.0, 0.0, 50.0, 50 / 14.0)
        hasty.drive(35.0, 0.0, 50.0, 50 / 35.0)
    level = "soc" if made is Electric else "fuel"
    km_a_percent = [tank.read()["range"] / tank.read()[level] for tank in (calm, hasty)]
    assert km_a_percent[0] > 1.2 * km_a_percent[1]


def test_braking_gives_back_less_than_speeding_up_took() -> None:
    electric = Tank(Electric, 1)
    start = electric.levels.store
    electric.drive(7.0, 1.4, 70.0, 10.0)  # 0 to 14 m/s
    top = electric.levels.store
    electric.drive(7.0, -1.4, 70.0, 10.0)
    assert top < electric.levels.store < start
    petrol = Tank(Combustion, 1)
    start = petrol.levels.store
    petrol.drive(7.0, -1.4, 70.0, 10.0)
    assert petrol.levels.store < start


def test_hard_braking_gives_back_no_more_than_the_motor_takes() -> None:
    electric = Tank(Electric, 1)
    start = electric.levels.store
    electric.drive(28.0, -6.0, 14.0, 0.5)
    assert 0 < electric.levels.store - start <= 60_000 * 0.5


def test_charging_ends_at_80_percent() -> None:
    tank = Tank(Electric, 3)
    tank.fill(0.1)
    expected = tank.it.refill_s(tank.levels)
    tank.levels = tank.it.refill(tank.levels, expected / 2)
    assert 10 < tank.read()["soc"] < 80
    tank.levels = tank.it.refill(tank.levels, expected)
    assert tank.read()["soc"] == 80.0
    assert tank.it.refill_s(tank.levels) == 0.0
    tank.fill(0.9)
    tank.levels = tank.it.refill(tank.levels, 60)
    assert tank.read()["soc"] == 90.0  # charging takes nothing away
    assert tank.it.refill_s(tank.levels) == 0.0


def test_filling_up_ends_at_the_brim() -> None:
    tank = Tank(Combustion, 3)
    tank.fill(0.0)
    tank.levels = tank.it.refill(tank.levels, tank.it.refill_s(tank.levels) + 10)
    assert tank.read()["fuel"] == 100.0


def test_the_instruments() -> None:
    electric, petrol = Tank(Electric, 1), Tank(Combustion, 1)
    assert electric.read()["gear"] == 1
    assert electric.read(driving=False)["gear"] == 0
    assert electric.read()["lvbat"] - electric.read(ignition=False)["lvbat"] == pytest.approx(1.5)
    assert electric.read(ignition=False, refilling=True)["lvbat"] == electric.read()["lvbat"]
    gears = [petrol.read(speed)["gear"] for speed in (0, 3, 7, 12, 17, 22, 30)]
    assert gears == [0, 1, 2, 3, 4, 5, 6]
    assert petrol.read(0.0)["rpm"] == 820.0
    assert all(820 <= petrol.read(speed)["rpm"] < 3500 for speed in range(45))
    assert petrol.read(ignition=False, driving=False)["rpm"] == 0.0


def test_the_engine_warms_and_cools() -> None:
    tank = Tank(Combustion, 1)
    tank.levels = tank.it.rest(tank.levels, 86400)
    assert tank.read()["coolant"] == pytest.approx(10, abs=0.1)
    tank.drive(0, 0, 0, 3600)
    assert tank.read()["coolant"] == pytest.approx(90, abs=0.1)


def test_a_kinds_sizes_are_its_own() -> None:
    car, truck = Electric(random.Random(1), CAR), Electric(random.Random(1), TRUCK)
    assert truck.capacity_j > 3 * car.capacity_j
