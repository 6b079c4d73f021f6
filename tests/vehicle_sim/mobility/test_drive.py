"""Drives on the streets of Helsinki: what holds for every vehicle at every step."""

import math
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Geod

from fleetcell.contract.signals import check_signals
from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from vehicle_sim.mobility import ERRANDS, Combustion, Drive, Electric, Traffic
from vehicle_sim.mobility.drive import Shown
from vehicle_sim.mobility.following import TICK_S

GEOD = Geod(ellps="WGS84")
SEEDS = st.integers(0, 2**32)
A_CODE_APPEARS = 71  # the seed of a vehicle with a trouble code in the 99th second
HARDEST = 2.7  # m/s², the briskest driver's brakes, and rounding


def number(signals: Shown, key: str) -> float:
    value = signals[key]
    assert isinstance(value, int | float)
    return float(value)


def steps(drive: Drive, count: int, dt_s: float) -> Iterator[tuple[Shown, Shown, float]]:
    """Pairs of successive readings, with the metres driven between them."""
    before, odometer = drive.advance(0.0), drive.odometer_m
    for _ in range(count):
        after = drive.advance(dt_s)
        yield before, after, drive.odometer_m - odometer
        before, odometer = after, drive.odometer_m


def metres_apart(a: Shown, b: Shown) -> float:
    return float(GEOD.inv(number(a, "lon"), number(a, "lat"), number(b, "lon"), number(b, "lat"))[2])


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([0.1, 1.0, 3.0]))
@example(10585, 1.0)  # arrived while it still rolled
def test_speed_distance_and_acceleration_agree(seed: int, dt: float) -> None:
    drive = Drive(NETWORK, seed)
    for before, after, driven in steps(drive, 400, dt):
        slow, fast = sorted((number(before, "speed") / 3.6, number(after, "speed") / 3.6))
        assert fast - slow <= HARDEST * dt + 0.01
        assert driven >= 0
        # Within the step the speed stays within what the acceleration allows from both ends.
        assert driven <= (fast + HARDEST * dt) * dt + 0.01
        if dt <= 0.1:
            assert driven == pytest.approx((slow + fast) / 2 * dt, abs=HARDEST * dt * dt + 0.01)
        assert metres_apart(before, after) <= driven + 0.03  # no teleporting, corners cut at most
        assert number(after, "odo") - number(before, "odo") == pytest.approx(driven / 1000, abs=2e-4)
        assert number(after, "odo") >= number(before, "odo")


@settings(max_examples=15)
@given(SEEDS)
def test_positions_lie_on_a_road_and_limits_are_kept(seed: int) -> None:
    drive, over = Drive(NETWORK, seed), 0
    for _, after, _ in steps(drive, 400, 1.0):
        road = drive.road
        assert 0 <= drive.offset_m <= road.length_m + 1e-6
        assert drive.speed_ms <= road.limit_ms + HARDEST * TICK_S  # braking for a limit ends within a tick
        over += drive.speed_ms > road.limit_ms + 0.05
        lon, lat = number(after, "lon"), number(after, "lat")
        nearest = min(distance_to_segment(lon, lat, a, b) for a, b in pairwise(road.points))
        assert nearest < 0.05
    assert over <= 12


@settings(max_examples=5)
@given(SEEDS)
def test_a_vehicle_begins_where_it_may_and_anywhere_when_it_may_nowhere(seed: int) -> None:
    west = sum(NETWORK.bounds[::2]) / 2
    drive = Drive(NETWORK, seed, may_begin=lambda lon, _: lon < west)
    assert drive.road.at(drive.offset_m)[0] < west
    asked: list[tuple[float, float]] = []

    def nowhere(lon: float, lat: float) -> bool:
        asked.append((lon, lat))
        return False

    lost = Drive(NETWORK, seed, may_begin=nowhere)
    assert lost.road.at(lost.offset_m)[:2] == asked[-1]


def distance_to_segment(lon: float, lat: float, a: tuple[float, float], b: tuple[float, float]) -> float:
    """Metres, on a plane that is good for the size of a street."""
    kx, ky = 111320 * math.cos(math.radians(lat)), 111320
    px, py = (lon - a[0]) * kx, (lat - a[1]) * ky
    dx, dy = (b[0] - a[0]) * kx, (b[1] - a[1]) * ky
    share = min(max((px * dx + py * dy) / (dx * dx + dy * dy), 0), 1)
    return math.hypot(px - share * dx, py - share * dy)


@settings(max_examples=15)
@given(SEEDS)
def test_the_heading_is_where_it_goes(seed: int) -> None:
    drive = Drive(NETWORK, seed)
    compared = 0
    for before, after, driven in steps(drive, 600, 0.5):
        if driven > 1 and before["heading"] == after["heading"]:
            course = GEOD.inv(
                number(before, "lon"), number(before, "lat"), number(after, "lon"), number(after, "lat")
            )[0]
            if abs(metres_apart(before, after) - driven) < 0.01:  # on one straight piece
                assert abs((course - number(after, "heading") + 180) % 360 - 180) < 2.0
                compared += 1
    assert compared > 20


@settings(max_examples=15)
@given(SEEDS)
@example(A_CODE_APPEARS)
def test_every_reading_follows_the_catalogue(seed: int) -> None:
    drive = Drive(NETWORK, seed)
    always = {
        "lat",
        "lon",
        "alt",
        "acc",
        "heading",
        "speed",
        "odo",
        "range",
        "lvbat",
        "ignition",
        "gear",
        "brake",
    }
    own = {"soc"} if isinstance(drive.powertrain, Electric) else {"fuel", "rpm", "coolant"}
    tyres, codes = {"tyre_fl", "tyre_fr", "tyre_rl", "tyre_rr"}, None
    for second in range(200):
        signals = drive.advance(1.0)
        assert check_signals(dict(signals)) == (signals, [])
        assert set(signals) - tyres - {"dtc", "harsh"} == always | own
        assert set(signals) & tyres == (tyres if second % 60 == 0 else set())
        assert "dtc" in signals or second % 60
        if second % 60 and "dtc" in signals:
            assert signals["dtc"] != codes  # between the minutes only a change is told
        codes = signals.get("dtc", codes)


def test_a_trouble_code_is_told_at_once() -> None:
    drive = Drive(NETWORK, A_CODE_APPEARS)
    told = [second for second in range(200) if drive.advance(1.0).get("dtc")]
    assert any(second % 60 for second in told)


@settings(max_examples=10)
@given(SEEDS, st.integers(1, 50))
def test_the_same_seed_drives_the_same_way_in_steps_of_any_size(seed: int, parts: int) -> None:
    whole, again = Drive(NETWORK, seed), Drive(NETWORK, seed)
    for _ in range(5):
        end = whole.advance(60.0)
        for _ in range(parts):
            again.advance(60.0 / parts)
        assert again.odometer_m == pytest.approx(whole.odometer_m, abs=1e-4)
        assert metres_apart(end, again.advance(0.0)) < 0.05
    assert [Drive(NETWORK, seed).advance(t) for t in (1, 100)] == [
        Drive(NETWORK, seed).advance(t) for t in (1, 100)
    ]


@settings(max_examples=10)
@given(SEEDS)
def test_a_vehicle_that_runs_errands_parks_with_the_ignition_off_after_each_trip(seed: int) -> None:
    drive, stood, stops, trips = Drive(NETWORK, seed, habit=ERRANDS, powertrain="electric"), 0, [], 0
    for _ in range(3000):
        was_parked = drive.parked
        signals = drive.advance(1.0)
        assert signals["ignition"] is not drive.parked
        if drive.parked:
            assert signals["speed"] == 0
            stood += 1
        if drive.parked and not was_parked:
            trips += 1
        if was_parked and not drive.parked:
            stops.append(stood)
            stood = 0
    assert trips >= 2
    assert stops
    assert min(stops) >= ERRANDS.parked_s[0] - 2


def test_vehicles_differ() -> None:
    traffic = Traffic(NETWORK, 1)
    drives = [Drive(NETWORK, f"fleet:{i}", traffic=traffic) for i in range(200)]
    starts = {(d.road.index, d.offset_m) for d in drives}
    assert len(starts) == 200
    assert len({d.road.index for d in drives}) > 100
    electric = sum(isinstance(d.powertrain, Electric) for d in drives)
    assert 110 < electric < 170  # 7 of 10
    assert isinstance(Drive(NETWORK, 1, powertrain="electric").powertrain, Electric)
    assert isinstance(Drive(NETWORK, 1, powertrain="combustion").powertrain, Combustion)


def test_most_of_a_fleet_is_moving_and_the_rest_stands_at_signals_or_parks() -> None:
    traffic = Traffic(NETWORK, 1)
    drives = [Drive(NETWORK, i, traffic=traffic) for i in range(60)]
    moving = stopped = parked = 0
    for _ in range(10):
        for drive in drives:
            drive.advance(61.0)
            moving += drive.speed_ms > 0
            parked += drive.parked
            stopped += drive.speed_ms == 0 and not drive.parked
    assert moving > 250
    assert stopped > 30
    assert parked > 12


def test_driving_takes_charge_and_an_hour_is_a_towns_hour() -> None:
    for seed in range(5):
        drive = Drive(NETWORK, seed, powertrain="electric")
        begin, odometer = drive.advance(0.0), drive.odometer_m
        end = drive.advance(3600.0)
        assert number(end, "soc") < number(begin, "soc") or number(end, "range") > number(begin, "range")
        assert 5 < (drive.odometer_m - odometer) / 1000 < 40


def test_a_low_battery_is_charged_with_the_ignition_off() -> None:
    drive = Drive(NETWORK, 5, powertrain="electric")
    assert isinstance(drive.powertrain, Electric)
    drive._vehicle.levels = drive._vehicle.levels._replace(store=0.08 * drive.powertrain.capacity_j)
    readings = [drive.advance(10.0) for _ in range(1000)]
    charging = [
        (a, b) for a, b in pairwise(readings) if not a["ignition"] and number(b, "soc") > number(a, "soc")
    ]
    assert charging
    assert all(number(a, "speed") == 0 for a, _ in charging)
    assert max(number(b, "soc") for _, b in charging) > 79.9
    last = readings.index(charging[-1][1])
    assert any(number(r, "speed") > 0 for r in readings[last:])  # and it drives on


def test_brakes_show_when_it_slows_and_when_it_is_held() -> None:
    drive = Drive(NETWORK, 11)
    seen = {"slowing": 0, "held": 0, "free": 0}
    for _ in range(2000):
        signals = drive.advance(0.5)
        brake = number(signals, "brake")
        if drive.acceleration < -1.0 and drive.speed_ms > 0:
            assert brake > 0
            seen["slowing"] += 1
        elif drive.speed_ms > 0 and drive.acceleration >= 0:
            assert brake == 0
            seen["free"] += 1
        elif drive.speed_ms == 0 and signals["gear"] and not drive.parked:
            seen["held"] += brake == 20.0
    assert all(seen.values())


def test_time_does_not_run_back() -> None:
    drive = Drive(NETWORK, 1)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="time cannot pass"):
            drive.advance(bad)


def test_no_time_changes_nothing() -> None:
    drive = Drive(NETWORK, random.Random(4).random().hex())
    assert drive.advance(0.0) == drive.advance(0.0)


@settings(max_examples=8)
@given(SEEDS)
def test_fuel_only_falls_but_at_a_pump(seed: int) -> None:
    drive = Drive(NETWORK, seed, powertrain="combustion", habit=ERRANDS)
    before = drive.advance(0.0)
    for _ in range(600):
        after = drive.advance(2.0)
        if number(after, "fuel") > number(before, "fuel"):
            assert not before["ignition"] or not after["ignition"]
            assert number(before, "fuel") < 16  # the driver saw to it
        if number(after, "odo") > number(before, "odo"):
            assert number(after, "fuel") <= number(before, "fuel")
        before = after


def test_harsh_braking_is_told_in_the_next_reading_and_no_more() -> None:
    drive = Drive(NETWORK, 3)
    while drive.speed_ms < 6:
        assert "harsh" not in drive.advance(1.0)
    trail = drive._vehicle.trail
    trail[-1] = trail[-1]._replace(acceleration=-4.0)
    assert drive.advance(1.0)["harsh"] == "braking"
    assert "harsh" not in drive.advance(2.0)


@settings(max_examples=8)
@given(SEEDS)
def test_a_moment_between_readings_is_what_a_reading_there_would_say(seed: int) -> None:
    often, seldom, alone = (Drive(NETWORK, seed) for _ in range(3))
    for _ in range(40):
        seldom_said = seldom.advance(1.0)
        assert seldom_said == alone.advance(1.0)  # moments change no reading
        for tenth in range(10):
            said = often.advance(1.0 if tenth == 0 and often.t_s == 0.0 else 0.1)
            seen = seldom.moment(often.t_s)
            assert seen is not None
            assert metres_apart(said, {"lat": seen.lat, "lon": seen.lon}) < 0.05
            assert seen.speed_ms * 3.6 == pytest.approx(number(said, "speed"), abs=0.01)
            assert seen.ignition is said["ignition"]
