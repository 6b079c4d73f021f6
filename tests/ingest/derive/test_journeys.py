"""The rules of trips and stops, each by a drive that needs it."""

from __future__ import annotations

import math

import pytest

from ingest.derive.segments import Kind, Segment
from ingest.derive.summary import EARTH_M, Summary, summarise
from tests.ingest.derive.drives import NAN, RULES, START_US, Phase, Reading, at_once, drive, journeys, track

PARKED = Phase(600, 0, 0.0, 10)


def found(*phases: Phase) -> list[Segment]:
    return journeys(at_once(drive(*phases)))


def trips(segments: list[Segment]) -> list[Segment]:
    return [one for one in segments if one.kind is Kind.MOVING]


def stops(segments: list[Segment]) -> list[Segment]:
    return [one for one in segments if one.kind is Kind.STILL]


def shown(segments: list[Segment]) -> list[tuple[str, float, float]]:
    return [
        (one.kind.name, (one.start_us - START_US) / 1e6, (one.end_us - START_US) / 1e6) for one in segments
    ]


def summary(*readings: tuple[float, float, float]) -> Summary:
    """One bucket, of seconds, metres north and km/h."""
    made = (
        Reading(
            START_US + round(s * 1e6),
            60 + math.degrees(north / EARTH_M),
            NAN if math.isnan(north) else 25.0,
            speed=kmh,
        )
        for s, north, kmh in readings
    )
    return summarise(None, track(made), RULES)


def test_a_day_is_trips_and_the_stops_between_them() -> None:
    segments = found(PARKED, Phase(900, 60), PARKED, Phase(300, 30), PARKED)
    assert shown(segments) == [
        ("STILL", 10, 600),
        ("MOVING", 600, 1510),  # up to the first reading that stands
        ("STILL", 1510, 2100),
        ("MOVING", 2100, 2410),
        ("STILL", 2410, 3000),
    ]
    first = segments[1]
    assert first.distance_m == pytest.approx(15_000, rel=0.001)
    assert first.speed_max == 60
    assert first.soc_used == pytest.approx(3.0, rel=0.01)
    assert segments[2].start == first.end


@pytest.mark.parametrize(
    ("rest", "count"),
    [
        (Phase(290, 0), 1),  # traffic
        (Phase(310, 0), 2),
        (Phase(50, 0, 0.0), 1),  # the engine stalled
        (Phase(70, 0, 0.0), 2),
        (Phase(310, 4.0), 2),  # pushed about the yard
    ],
)
def test_standing_ends_a_trip_sooner_with_the_ignition_off(rest: Phase, count: int) -> None:
    assert len(trips(found(PARKED, Phase(300, 50), rest, Phase(300, 50), PARKED))) == count


def test_short_movements_belong_to_the_stop_around_them() -> None:
    segments = found(PARKED, Phase(30, 20), PARKED, Phase(300, 50), PARKED)
    assert shown(segments) == [("STILL", 10, 1230), ("MOVING", 1230, 1540), ("STILL", 1540, 2130)]


def test_a_long_way_on_the_spot_is_no_trip() -> None:
    jitter = [
        Reading(START_US + n * 1_000_000, 60 + (n % 2) * 1e-5, 25.0) for n in range(600)
    ]  # a metre a second
    assert not trips(journeys(at_once(jitter)))


def test_a_tunnel_does_not_split_a_trip() -> None:
    segments = trips(found(PARKED, Phase(300, 60), Phase(900, 60, silent=True), Phase(300, 60), PARKED))
    assert len(segments) == 1
    assert segments[0].distance_m == pytest.approx(25_000, rel=0.001)


def test_silence_on_the_spot_is_a_stop_however_long_it_is() -> None:
    asleep = Phase(12 * 3600, 0, silent=True, every_s=60)
    segments = found(Phase(300, 60), Phase(30, 0, 0.0), asleep, Phase(300, 60), PARKED)
    assert [one.kind for one in segments] == [Kind.MOVING, Kind.STILL, Kind.MOVING, Kind.STILL]
    assert segments[1].seconds > 12 * 3600


def test_after_a_long_silence_elsewhere_nobody_knows_what_was_between() -> None:
    lost = Phase(3600, 60, silent=True)
    segments = found(Phase(300, 60), lost, Phase(300, 60), PARKED)
    assert [one.kind for one in segments] == [Kind.MOVING, Kind.MOVING, Kind.STILL]
    assert segments[0].distance_m == pytest.approx(5_000, rel=0.01)
    assert segments[1].start_us - segments[0].end_us >= 3600 * 1_000_000


def test_a_receiver_that_wakes_up_slowly_has_not_moved() -> None:
    night = [*drive(Phase(300, 60), Phase(120, 0, 0.0))]
    last = night[-1]
    blind = Reading(last.us + 9 * 3600 * 1_000_000, ignition=1.0)  # no position yet
    awake = last._replace(us=blind.us + 20_000_000)
    segments = journeys(at_once([*night, blind, awake]))
    assert [one.kind for one in segments] == [Kind.MOVING, Kind.STILL]


def test_a_ferry_is_no_trip() -> None:
    ferry = [one._replace(ignition=0.0) for one in drive(Phase(1200, 30, every_s=10))]
    assert [one.kind for one in journeys(at_once(ferry))] == [Kind.STILL]


def test_positions_alone_are_enough() -> None:
    positions = [
        one._replace(speed=NAN, ignition=NAN) for one in drive(PARKED, Phase(600, 50), Phase(600, 0), PARKED)
    ]
    assert shown(journeys(at_once(positions)))[1] == ("MOVING", 600, 1200)


def test_jumps_and_poor_positions_count_nothing() -> None:
    calm = drive(PARKED, Phase(600, 60), PARKED)
    wild = list(calm)
    wild[300] = wild[300]._replace(lat=10.0)  # thousands of kilometres within a second
    wild[400] = wild[400]._replace(lat=wild[400].lat + 0.1, acc=3000.0)
    (trip,) = trips(journeys(at_once(wild)))
    (wanted,) = trips(journeys(at_once(calm)))
    assert (trip.start_us, trip.end_us) == (wanted.start_us, wanted.end_us)
    assert trip.distance_m == pytest.approx(wanted.distance_m, rel=0.01)


def test_a_trip_under_way_is_open_and_grows() -> None:
    changes = at_once(drive(PARKED, Phase(300, 50)))
    assert changes.open is not None
    assert changes.open.kind is Kind.MOVING
    assert [one.kind for ended in changes.ended.values() for one in ended] == [Kind.STILL]
    assert len(stops(journeys(changes))) == 1


def test_charging_is_seen_at_the_stop() -> None:
    filling = [
        Reading(START_US + n * 10_000_000, 60.0, 25.0, 5.0, 0.0, 0.0, 20.0 + n / 10, 50.0) for n in range(200)
    ]
    (stop,) = journeys(at_once(filling))
    assert stop.soc_charged == pytest.approx(19.9)
    assert stop.soc_used == 0


def test_a_stop_before_an_unknown_time_is_kept() -> None:
    segments = found(PARKED, Phase(3600, 60, silent=True), PARKED)
    assert shown(segments) == [("STILL", 10, 600), ("STILL", 4210, 4800)]


def test_a_speed_says_something_for_half_a_minute() -> None:
    blind = summary((0, NAN, 50), (20, NAN, NAN), (40, NAN, NAN), (60, NAN, NAN))
    assert blind.rollup.moving_s == 40


def test_a_way_was_driven_in_the_time_between_its_positions() -> None:
    assert summary((0, 0, NAN), (10, NAN, NAN), (20, 20, NAN)).rollup.moving_s == 0  # 20 m in 20 s
    assert summary((0, 0, NAN), (10, NAN, NAN), (20, 40, NAN)).rollup.moving_s == 20


@pytest.mark.parametrize(("metres", "moving_s"), [(150, 0), (250, 580)])
def test_a_long_step_moves_when_it_ends_elsewhere(metres: float, moving_s: float) -> None:
    assert summary((0, 0, NAN), (580, metres, NAN)).rollup.moving_s == moving_s


def test_what_says_nothing_before_an_unknown_time_stood() -> None:
    steps = summary((0, 0, NAN), (10, NAN, NAN), (10 + RULES.gap_s + 1, 10_000, NAN)).segments
    assert [one.kind for one in steps] == [Kind.STILL, Kind.UNKNOWN]


def test_the_highest_speed_is_one_that_was_measured_on_the_way() -> None:
    (moving,) = summary((0, 0, 4), (40, 1000, NAN)).segments
    assert (moving.kind, moving.speed_max) == (Kind.MOVING, None)
