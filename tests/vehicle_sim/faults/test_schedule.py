"""When faults happen, and whom they hit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vehicle_sim.faults.schedule import (
    AT_ONCE,
    DATABASE,
    OF_BROKERS,
    OF_THE_DATABASE,
    Fault,
    Occurrence,
    Schedule,
    What,
    When,
    Who,
    hits,
    occurrences,
)

VEHICLES = [f"{kind}-{number:04d}" for number, kind in enumerate(["taxi", "car", "van", "truck"] * 5, 1)]
UNITS: dict[str, str | None] = {
    vehicle: ("helsinki", "espoo")[number % 3 == 0] for number, vehicle in enumerate(VEHICLES)
}
BROKERS = {"helsinki": "broker", "espoo": "broker-espoo"}

seconds = st.floats(0, 1000).map(lambda value: round(value, 3))
whens = st.one_of(
    st.builds(When, at_s=st.lists(seconds, min_size=1, max_size=4).map(tuple), jitter_s=seconds),
    st.builds(
        When,
        every_s=st.floats(1, 300),
        after_s=seconds,
        until_s=st.none() | st.floats(1001, 3000),
        jitter_s=seconds,
    ),
)
whos = st.builds(
    Who,
    vehicles=st.sampled_from([("*",), ("car-*",), ("taxi-*", "*-0002"), ("nobody",)]),
    share=st.floats(0.01, 1),
    kind=st.sampled_from([None, "car", "truck"]),
    region=st.sampled_from([None, "helsinki", "espoo", "nowhere"]),
)
faults = st.builds(Fault, what=st.sampled_from(What), when=whens, who=whos)
schedules = st.lists(faults, max_size=5).map(lambda found: Schedule(tuple(found)))


def first(schedule: Schedule, seed: int, count: int = 40) -> list[Occurrence]:
    return list(itertools.islice(occurrences(schedule, seed), count))


@given(schedules, st.integers(0, 2**32))
def test_they_happen_in_the_order_of_time_and_when_they_were_planned(schedule: Schedule, seed: int) -> None:
    found = first(schedule, seed)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    for one in found:
        when = one.fault.when
        if when.every_s is None:
            assert one.at_s in when.at_s
        else:
            assert one.at_s == pytest.approx(when.after_s + one.number * when.every_s)
            assert when.until_s is None or one.at_s < when.until_s
    if len(found) < 40:  # all there are
        for fault in schedule.faults:
            if fault.when.every_s is None:
                assert len([one for one in found if one.fault is fault]) >= len(fault.when.at_s)
            else:
                assert fault.when.until_s is not None


@given(schedules, st.integers(0, 2**32))
def test_the_same_seed_hits_the_same_units_at_the_same_moments(schedule: Schedule, seed: int) -> None:
    def all_hits() -> list[object]:
        return [hits(one, UNITS, BROKERS) for one in first(schedule, seed)]

    assert all_hits() == all_hits()


@given(faults, st.integers(0, 2**32))
@example(Fault(What.KILL, When((1.0,)), Who(("nobody",))), 0)
def test_who_is_hit_fits_and_is_the_share(fault: Fault, seed: int) -> None:
    for one in first(Schedule((fault,)), seed, 5):
        found = hits(one, UNITS, BROKERS)
        names = [hit.subject for hit in found]
        assert len(set(names)) == len(names)
        for hit in found:
            assert one.at_s <= hit.at_s <= one.at_s + fault.when.jitter_s
        if fault.what in OF_THE_DATABASE:
            assert names == [DATABASE]
        elif fault.what in OF_BROKERS:
            assert set(names) == {
                name for region, name in BROKERS.items() if fault.who.region in (None, region)
            }
        else:
            who = fault.who
            fitting = {
                vehicle
                for vehicle, region in UNITS.items()
                if who.kind in (None, vehicle.split("-")[0])
                and who.region in (None, region)
                and ("nobody" not in who.vehicles)
                and (
                    who.vehicles == ("*",)
                    or (vehicle.startswith("car-") and "car-*" in who.vehicles)
                    or ("taxi-*" in who.vehicles and (vehicle.startswith("taxi-") or vehicle == "car-0002"))
                )
            }
            assert set(names) <= fitting
            assert len(names) == (max(1, round(who.share * len(fitting))) if fitting else 0)


@given(schedules, faults, st.integers(0, 2**32))
def test_what_one_fault_decides_does_not_depend_on_the_others(
    schedule: Schedule, fault: Fault, seed: int
) -> None:
    if fault in schedule.faults:
        return
    alone = [hits(one, UNITS, BROKERS) for one in first(Schedule((fault,)), seed, 5)]
    among = Schedule((*schedule.faults, fault))
    of_it = (one for one in occurrences(among, seed) if one.fault is fault)
    assert [hits(one, UNITS, BROKERS) for one in itertools.islice(of_it, len(alone))] == alone


def test_two_alike_in_one_file_decide_apart_and_each_time_anew() -> None:
    fault = Fault(What.KILL, When(every_s=10.0), Who(share=0.2), lasts_s=1.0)
    found = [
        tuple(hit.subject for hit in hits(one, UNITS, BROKERS))
        for one in first(Schedule((fault, fault)), 7, 20)
    ]
    assert len(set(found)) > 15


def test_the_seed_of_the_file_counts_before_that_of_the_run() -> None:
    fault = Fault(What.KILL, When((10.0,)), Who(share=0.2), lasts_s=1.0)
    of_the_file = Schedule((fault,), seed=3)

    def who(schedule: Schedule, seed: int) -> list[str]:
        return [hit.subject for hit in hits(first(schedule, seed)[0], UNITS, BROKERS)]

    assert who(of_the_file, 1) == who(of_the_file, 2) == who(Schedule((fault,)), 3)
    assert who(replace(of_the_file, seed=None), 1) != who(replace(of_the_file, seed=None), 2)


def test_where_the_region_is_not_known_all_that_could_be_there_are_hit() -> None:
    fault = Fault(What.KILL, When((1.0,)), Who(region="espoo"), lasts_s=1.0)
    (one,) = first(Schedule((fault,)), 1)
    assert len(hits(one, dict.fromkeys(VEHICLES), BROKERS)) == len(VEHICLES)


def test_links_are_needed_for_what_happens_on_links() -> None:
    needed = {what for what in What if Schedule((Fault(what, When((1.0,))),)).needs_links}
    assert needed == {What.POWER_LOSS, What.BLACK_HOLE, What.RESET, What.SIM_SUSPENDED}
    assert What.RESET in AT_ONCE
