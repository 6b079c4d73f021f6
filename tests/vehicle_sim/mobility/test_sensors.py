"""Satellite receivers, tyres, trouble codes and clocks."""

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from tests.vehicle_sim.helsinki import HELSINKI as NETWORK
from vehicle_sim.mobility import ClockErrors, DeviceClock, Drive, GnssErrors
from vehicle_sim.mobility.condition import TYRES, Condition
from vehicle_sim.mobility.device_clock import WEEK_ROLLOVER_MS, Jump
from vehicle_sim.mobility.gnss import Fix, Gnss
from vehicle_sim.mobility.kinds import CAR, TRUCK

GEOD = Geod(ellps="WGS84")
HERE = (60.17, 24.94)
NOW_MS = 1_790_000_000_000


def fixes(
    errors: GnssErrors, seconds: int, *, limit_kmh: float = 40.0, tunnel: bool = False
) -> list[Fix | None]:
    gnss = Gnss(errors, 7)
    return [gnss.fix(float(t), 1.0, *HERE, limit_kmh, tunnel=tunnel) for t in range(1, seconds + 1)]


def error_m(fix: Fix) -> float:
    return float(GEOD.inv(HERE[1], HERE[0], fix.lon, fix.lat)[2])


def test_errors_are_as_large_as_claimed_and_larger_between_houses() -> None:
    never = GnssErrors(outage_every_s=0)
    street = [fix for fix in fixes(never, 6000, limit_kmh=40.0) if fix]
    open_sky = [fix for fix in fixes(never, 6000, limit_kmh=80.0) if fix]
    assert len(street) == len(open_sky) == 6000
    for found in (street, open_sky):
        rms = math.sqrt(statistics.fmean(error_m(fix) ** 2 for fix in found))
        assert rms == pytest.approx(found[-1].acc_m, rel=0.35)
    assert street[-1].acc_m > 2 * open_sky[-1].acc_m


def test_the_error_drifts_slowly() -> None:
    found = [fix for fix in fixes(GnssErrors(white_m=0.0, outage_every_s=0), 3000) if fix]
    steps = [GEOD.inv(a.lon, a.lat, b.lon, b.lat)[2] for a, b in pairwise(found)]
    assert statistics.fmean(steps) < 0.4 * statistics.fmean(error_m(fix) for fix in found)


def test_in_a_tunnel_it_reckons_worse_and_worse_and_then_has_no_position() -> None:
    found = fixes(GnssErrors(outage_every_s=0), 30, tunnel=True)
    accuracies = [fix.acc_m for fix in found if fix]
    assert len(accuracies) == 8
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > 30
    assert found[8:] == [None] * 22


def test_outages_come_and_end() -> None:
    found = fixes(GnssErrors(outage_every_s=300.0, outage_s=(20.0, 40.0)), 6000)
    missing = sum(fix is None for fix in found)
    assert 60 < missing < 900
    assert found.count(None) == missing < len(found) / 2
    assert fixes(GnssErrors(outage_every_s=300.0), 600) == fixes(GnssErrors(outage_every_s=300.0), 600)


def test_a_drive_with_a_receiver_leaves_out_what_it_does_not_know() -> None:
    errors = GnssErrors(outage_every_s=60.0, outage_s=(20.0, 40.0))
    with_gnss, without = Drive(NETWORK, 4, gnss=errors), Drive(NETWORK, 4)
    missing = 0
    for _ in range(400):
        reading, truth = with_gnss.advance(1.0), without.advance(1.0)
        if "lat" in reading:
            assert isinstance(reading["acc"], float)
        else:
            assert not {"lat", "lon", "alt", "acc", "heading"} & set(reading)
            missing += 1
        place = {"lat", "lon", "alt", "acc", "heading"}
        assert {k: v for k, v in reading.items() if k not in place} == {
            k: v for k, v in truth.items() if k not in place
        }
    assert 20 < missing < 350
    again = Drive(NETWORK, 4, gnss=errors)
    assert again.advance(1.0) == Drive(NETWORK, 4, gnss=errors).advance(1.0)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 3600), max_size=40), st.booleans())
def test_pressures_and_codes_are_plausible(seed: int, steps: list[float], engine: bool) -> None:
    condition, t = Condition(TRUCK, seed, engine=engine), 0.0
    for number, step in enumerate(steps):
        t += step
        condition.pass_to(t, driving=number % 2 == 0)
        tyres = condition.tyres()
        assert tuple(tyres) == TYRES
        assert all(0.79 * TRUCK.tyres_kpa < kpa < 1.15 * TRUCK.tyres_kpa for kpa in tyres.values())
        codes = condition.codes()
        assert codes == sorted(set(codes))
        assert engine or not any(code in codes for code in ("P0300", "P0420", "P0171", "P0442"))


def test_codes_appear_and_clear_whatever_the_steps() -> None:
    coarse, fine = (Condition(CAR, 3, engine=True) for _ in range(2))
    seen: list[list[str]] = []
    for hour in range(1, 24 * 30):
        coarse.pass_to(hour * 3600.0, driving=False)
        for minute in range(1, 61, 10):
            fine.pass_to((hour - 1) * 3600.0 + minute * 60.0, driving=False)
        fine.pass_to(hour * 3600.0, driving=False)
        assert fine.codes() == coarse.codes()
        seen.append(coarse.codes())
    assert any(seen)
    assert any(not codes for codes in seen)
    assert seen.count([]) > len(seen) / 2


def test_warm_tyres_have_more_pressure() -> None:
    condition = Condition(CAR, 1, engine=False)
    cold = condition.tyres()
    condition.pass_to(1800.0, driving=True)
    assert all(condition.tyres()[key] > 1.05 * kpa for key, kpa in cold.items())
    condition.pass_to(1800.0 + 7200.0, driving=False)
    assert all(abs(condition.tyres()[key] - kpa) < 3 for key, kpa in cold.items())


def test_a_punctured_tyre_is_pumped_up_once_and_is_mended_then() -> None:
    mended = 0
    for seed in range(60):
        condition = Condition(CAR, seed, engine=False)
        hourly = [condition.tyres()]
        for hour in range(1, 49):  # parked: what is punctured is flat within four hours
            condition.pass_to(hour * 3600.0, driving=False)
            hourly.append(condition.tyres())
        for tyre in TYRES:
            pressures = [reading[tyre] for reading in hourly]
            lost = [before - after for before, after in pairwise(pressures)]
            pumped = [hour for hour, kpa in enumerate(lost, 1) if kpa < 0]
            if not pumped:
                assert sum(lost) < 1, "a good one loses next to nothing in two days"
                continue
            (hour,) = pumped
            assert all(kpa == pytest.approx(15.0, abs=0.2) for kpa in lost[: hour - 1])
            assert pressures[hour - 1] < 0.8 * CAR.tyres_kpa + 15
            assert pressures[hour] == CAR.tyres_kpa
            assert sum(lost[hour:]) < 1, "it has no puncture any more"
            mended += 1
    assert 1 <= mended <= 20, "of 240 tyres one in fifty"


@given(st.integers(0, 2**32), st.lists(st.floats(0, 5000), max_size=50))
def test_a_clock_drifts_no_more_than_it_may(seed: int, steps: list[float]) -> None:
    clock, t = DeviceClock(ClockErrors(), seed), 0.0
    for step in steps:
        t += step
        true_ms = NOW_MS + round(t * 1000)
        assert abs(clock.read(t, true_ms) - true_ms) <= 40e-6 * 3600 * 1000 + 1


def test_a_clock_that_is_never_set_runs_away_evenly() -> None:
    clock = DeviceClock(ClockErrors(drift_ppm=(30.0, 30.0), set_every_s=0), 1)
    assert clock.read(0.0, NOW_MS) == NOW_MS
    assert clock.read(86400.0, NOW_MS + 86_400_000) == NOW_MS + 86_400_000 + 2592


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(Jump))
def test_a_jump_is_known_by_its_date_and_ends(seed: int, jump: Jump) -> None:
    errors = ClockErrors(jump_every_s=600.0, jump_s=(30.0, 60.0), jumps=(jump,), set_every_s=0)
    clock, again = DeviceClock(errors, seed), DeviceClock(errors, seed)
    wrong = right = longest = now_wrong = 0
    for second in range(7200):
        true_ms = NOW_MS + second * 1000
        shown = clock.read(float(second), true_ms)
        assert again.read(float(second), true_ms) == shown
        if abs(shown - true_ms) < 2000:
            right += 1
            now_wrong = 0
            continue
        wrong, now_wrong = wrong + 1, now_wrong + 1
        longest = max(longest, now_wrong)
        if jump is Jump.EPOCH:
            assert 0 <= shown < 61_000
        else:
            assert abs(shown + WEEK_ROLLOVER_MS - true_ms) < 2000
    assert right > wrong
    assert longest <= 200  # jumps may follow each other


def test_after_a_jump_the_clock_is_set() -> None:
    errors = ClockErrors(
        drift_ppm=(1000.0, 1000.0),
        set_every_s=0,
        jump_every_s=900.0,
        jump_s=(30.0, 60.0),
        jumps=(Jump.EPOCH,),
    )
    clock, wrong_before, ends, before = DeviceClock(errors, 1), False, 0, 0.0
    for second in range(7200):
        off = clock.read(float(second), NOW_MS + second * 1000) - (NOW_MS + second * 1000)
        wrong = off < -2000 * 1000
        if wrong_before and not wrong:
            ends += 1
            assert 0 <= off <= 2, f"{before} ms before it"
        wrong_before, before = wrong, before if wrong else off
    assert ends > 3


def test_a_drive_dates_its_readings_by_its_own_clock() -> None:
    right = Drive(NETWORK, 1)
    wrong = Drive(NETWORK, 1, clock=ClockErrors(jump_every_s=1.0, jump_s=(1e6, 1e6), jumps=(Jump.EPOCH,)))
    for drive in (right, wrong):
        drive.advance(60.0)
    assert right.dated(NOW_MS) == NOW_MS
    assert 0 < wrong.dated(NOW_MS) < 60_000


def test_without_jumps_there_are_none() -> None:
    clock = DeviceClock(ClockErrors(jump_every_s=1.0, jumps=()), 1)
    assert abs(clock.read(1e6, NOW_MS) - NOW_MS) < 200
