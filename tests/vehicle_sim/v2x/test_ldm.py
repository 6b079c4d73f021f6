"""What a station believes of what it hears: newest, near, fresh and plausible; bounded whatever comes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcell.contract.topics import V2xTopic
from fleetcell.contract.v2x.cells import cell_path, pseudonym, published_cell
from fleetcell.contract.v2x.messages import ActionId, Cam, Denm
from fleetcell.contract.v2x.times import unix_from_its
from tests.fleetcell.contract.v2x_messages import CAMS, DENMS
from vehicle_sim.mobility.motion import Motion
from vehicle_sim.v2x import making
from vehicle_sim.v2x.body import Body
from vehicle_sim.v2x.hazards import STATIONARY, Hazard
from vehicle_sim.v2x.ldm import MOST_EVENTS, MOST_EVENTS_OF_ONE, MOST_NEIGHBOURS, Ldm, Refusal
from vehicle_sim.v2x.radio import Radio, V2xTally
from vehicle_sim.v2x.station import Station, StationPolicy

HERE = Motion(60.17, 24.94, 90.0, 10.0)
PLACE = (HERE.lat, HERE.lon)
ITS = 700_000_000_000
UNIX = unix_from_its(ITS)


def topic_of(message: Cam | Denm, motion: Motion = HERE) -> V2xTopic:
    path = cell_path(published_cell(motion.lat, motion.lon))
    return V2xTopic(
        "north", "cam" if isinstance(message, Cam) else "denm", path, pseudonym(message.station_id)
    )


def cam(station: int, motion: Motion = HERE, at: int = 0) -> Cam:
    return making.cam(station, ITS + at, motion, Body(), None)


def denm(station: int, number: int, at: int = 0, motion: Motion = HERE) -> Denm:
    return making.denm(hazard(station, number, at, motion), ITS + at)


def hazard(station: int, number: int, at: int = 0, motion: Motion = HERE) -> Hazard:
    action = ActionId(station, number)
    return Hazard(STATIONARY, action, 0, Body(), motion, (), ITS + at, ITS + at, 0.0)


def hear(ldm: Ldm, message: Cam | Denm, at: int = 0, motion: Motion = HERE) -> Refusal | None:
    topic = topic_of(message, motion)
    if isinstance(message, Cam):
        return ldm.hear_cam(topic, message, at, ITS + at)
    return ldm.hear_denm(topic, message, ITS + at)


# -- neighbours ----------------------------------------------------------------------------------


def test_a_neighbour_is_its_newest_cam_until_it_is_silent_for_3_s() -> None:
    ldm = Ldm()
    assert hear(ldm, cam(1)) is None
    later = cam(1, replace(HERE, speed_ms=12.0), 1000)
    assert hear(ldm, later, 1000) is None
    assert hear(ldm, cam(2), 900) is None
    assert {one.cam.station_id for one in ldm.neighbours(1000)} == {1, 2}
    assert next(one.cam for one in ldm.neighbours(1000) if one.cam.station_id == 1) == later
    assert {one.cam.station_id for one in ldm.neighbours(3950)} == {1}
    assert ldm.neighbours(4001) == []


def test_a_crowd_is_bounded_and_the_longest_silent_is_forgotten() -> None:
    ldm = Ldm()
    for station in range(MOST_NEIGHBOURS):
        hear(ldm, cam(station))
    hear(ldm, cam(0, at=100), 100)
    hear(ldm, cam(10_000, at=100), 100)
    known = {one.cam.station_id for one in ldm.neighbours(100)}
    assert len(known) == MOST_NEIGHBOURS
    assert {0, 10_000} <= known
    assert 1 not in known


@pytest.mark.parametrize("age", [-2500, 2500, 20_000])
def test_a_cam_of_another_time_is_refused(age: int) -> None:
    assert hear(Ldm(), cam(1, at=10_000_000 - age), 10_000_000) is Refusal.WRONG_TIME


def test_a_station_does_not_jump() -> None:
    ldm = Ldm()
    hear(ldm, cam(1))
    far = replace(HERE, lat=HERE.lat + 0.002)  # 220 m in 0.1 s
    assert hear(ldm, cam(1, far, 100), 100, far) is Refusal.JUMPED
    assert hear(ldm, cam(1, far, 2000), 2000, far) is None


def far_away(message: Cam | Denm) -> V2xTopic:
    return topic_of(message, replace(HERE, lat=HERE.lat + 0.1))


def coarse(message: Cam | Denm) -> V2xTopic:
    topic = topic_of(message)
    return replace(topic, cell=topic.cell.rpartition("/")[0])


def no_cell(message: Cam | Denm) -> V2xTopic:
    return replace(topic_of(message), cell="ffff")


def another(message: Cam | Denm) -> V2xTopic:
    return replace(topic_of(message), pseudonym=pseudonym(999))


@pytest.mark.parametrize("message", [cam(1), denm(1, 1)], ids=["cam", "denm"])
@pytest.mark.parametrize(
    ("topic", "refusal"),
    [
        (far_away, Refusal.ELSEWHERE),
        (coarse, Refusal.TOPIC),
        (no_cell, Refusal.TOPIC),
        (another, Refusal.TOPIC),
    ],
)
def test_what_is_not_published_where_and_by_whom_it_says_is_refused(
    message: Cam | Denm, topic: Callable[[Cam | Denm], V2xTopic], refusal: Refusal
) -> None:
    ldm = Ldm()
    if isinstance(message, Cam):
        assert ldm.hear_cam(topic(message), message, 0, ITS) is refusal
    else:
        assert ldm.hear_denm(topic(message), message, ITS) is refusal
    assert not ldm.neighbours(0)
    assert not ldm.warnings(ITS, PLACE)


# -- events --------------------------------------------------------------------------------------


def actions(ldm: Ldm, at: int = 0) -> set[tuple[int, int]]:
    return {
        (one.denm.action_id.originating_station_id, one.denm.action_id.sequence_number)
        for one in ldm.warnings(ITS + at, PLACE)
    }


def test_an_event_holds_until_it_expires_and_an_update_prolongs_it() -> None:
    ldm = Ldm()
    assert hear(ldm, denm(1, 1)) is None
    assert actions(ldm, 29_999) == {(1, 1)}
    assert hear(ldm, denm(1, 1, 20_000), 20_000) is None
    assert actions(ldm, 49_999) == {(1, 1)}
    assert actions(ldm, 50_000) == set()


@pytest.mark.parametrize("how", ["isCancellation", "isNegation"])
def test_an_event_that_is_over_does_not_come_back(how: str) -> None:
    ldm = Ldm()
    event = denm(1, 1)
    hear(ldm, event)
    if how == "isCancellation":
        end = making.denm(hazard(1, 1), ITS + 1000, terminated="isCancellation")
    else:
        end = making.negation(2, event, ITS + 1000)
    assert hear(ldm, end, 1000) is None
    assert actions(ldm, 1000) == set()
    assert hear(ldm, event, 1100) is None  # a repetition that came late
    assert actions(ldm, 1100) == set()


def test_an_end_is_known_as_long_as_anybody_may_repeat_what_it_ended() -> None:
    """The end tells of the first detection, which is valid for a shorter time than the last one."""
    ldm = Ldm()
    hear(ldm, denm(1, 1, 20_000), 20_000)
    end = making.denm(hazard(1, 1), ITS + 21_000, terminated="isCancellation")
    assert hear(ldm, end, 21_000) is None
    assert actions(ldm, 34_000) == set()
    assert hear(ldm, denm(1, 1, 20_000), 35_000) is None
    assert actions(ldm, 35_000) == set()


def test_the_end_may_come_first() -> None:
    ldm = Ldm()
    hear(ldm, making.denm(hazard(1, 1), ITS + 1000, terminated="isCancellation"), 1000)
    hear(ldm, denm(1, 1), 1000)
    assert actions(ldm, 1000) == set()


def test_an_older_message_of_an_event_changes_nothing() -> None:
    ldm = Ldm()
    hear(ldm, denm(1, 1, 5000), 5000)
    hear(ldm, denm(1, 1, 0), 5100)
    assert actions(ldm, 31_000) == {(1, 1)}


def test_only_who_told_an_event_may_change_it() -> None:
    event = denm(1, 1)
    forged = msgspec.structs.replace(event, header=msgspec.structs.replace(event.header, station_id=2))
    assert hear(Ldm(), forged) is Refusal.NOT_ITS_OWN
    end = making.denm(hazard(1, 1), ITS, terminated="isCancellation")
    forged = msgspec.structs.replace(end, header=msgspec.structs.replace(end.header, station_id=2))
    assert hear(Ldm(), forged) is Refusal.NOT_ITS_OWN


@pytest.mark.parametrize(("made", "heard"), [(0, 30_000), (5000, 0)])
def test_an_event_of_another_time_is_refused(made: int, heard: int) -> None:
    assert hear(Ldm(), denm(1, 1, made), heard) is Refusal.WRONG_TIME


def test_events_are_bounded_for_each_station_and_in_all() -> None:
    ldm = Ldm()
    heard = [hear(ldm, denm(1, number)) for number in range(MOST_EVENTS_OF_ONE + 3)]
    assert heard == [None] * MOST_EVENTS_OF_ONE + [Refusal.TOO_MANY] * 3
    for station in range(2, MOST_EVENTS + 50):
        assert hear(ldm, denm(station, 1, station), station) is None
    assert len(ldm.warnings(ITS + 1000, PLACE)) == MOST_EVENTS


def test_news_are_told_once_and_only_those_nearby() -> None:
    ldm = Ldm()
    far = replace(HERE, lat=HERE.lat + 0.01)
    hear(ldm, denm(1, 1))
    hear(ldm, denm(1, 1, 1000), 1000)
    hear(ldm, denm(2, 1, motion=far), motion=far)
    hear(ldm, making.denm(hazard(3, 1), ITS, terminated="isCancellation"))
    assert [one.denm.station_id for one in ldm.take_news(PLACE)] == [1]
    hear(ldm, denm(1, 1, 2000), 2000)
    assert ldm.take_news(PLACE) == []


def test_a_warning_is_for_those_within_a_kilometre() -> None:
    ldm = Ldm()
    hear(ldm, denm(1, 1))
    assert len(ldm.warnings(ITS, (HERE.lat + 0.0089, HERE.lon))) == 1
    assert ldm.warnings(ITS, (HERE.lat + 0.0091, HERE.lon)) == []


def test_who_floods_the_air_does_not_flood_the_platform() -> None:
    radio = Radio(Station(Body(), StationPolicy(), random.Random(1)), (), "json", V2xTally())
    radio.look(0, UNIX, HERE, "north", Deaf())
    for at in (0, 100, 59_900, 60_000):
        for station in range(50):
            event = denm(at * 100 + station, 1, at)
            assert radio.station.hear(topic_of(event), event, at, ITS + at) is None
        assert len(radio.take_reports(at)) == (10 if at in (0, 60_000) else 0)


class Deaf:
    """A connection that is full."""

    def publish_nowait(self, *_: object, **__: object) -> bool:
        return False

    subscribe_nowait = unsubscribe_nowait = publish_nowait


# -- whatever comes ------------------------------------------------------------------------------


@settings(max_examples=80)
@given(st.lists(CAMS | DENMS, max_size=3))
def test_any_message_is_taken_or_refused(messages: list[Cam | Denm]) -> None:
    station = Station(Body(), StationPolicy(), random.Random(1))
    for message in messages:
        place = message.position.degrees or PLACE
        motion = replace(HERE, lat=place[0], lon=place[1])
        told = message.denm.management.reference_time if isinstance(message, Denm) else ITS
        refusal = station.hear(topic_of(message, motion), message, 0, told)
        assert refusal is None or isinstance(refusal, Refusal)
        if message.position.degrees is None:
            assert refusal is Refusal.NO_POSITION
    assert len(station.ldm.neighbours(0)) <= MOST_NEIGHBOURS


def test_what_a_station_said_itself_it_knows() -> None:
    station = Station(Body(), StationPolicy(), random.Random(1))
    (own,) = station.look(0, ITS, HERE)
    assert station.is_own(own)
    assert not station.is_own(cam(station.station_id ^ 1))


def test_nothing_is_said_without_a_position_or_with_the_ignition_off() -> None:
    station = Station(Body(), StationPolicy(), random.Random(1))
    assert station.look(0, ITS, None) == []
    parked = replace(HERE, speed_ms=0.0, standing=True, ignition=False)
    assert [one for at in range(0, 60_000, 100) for one in station.look(at, ITS + at, parked)] == []


def test_only_the_kinds_that_are_wanted_are_said() -> None:
    standing = replace(HERE, speed_ms=0.0, standing=True)
    for kind, other in (("cam", Denm), ("denm", Cam)):
        station = Station(Body(), StationPolicy(frozenset({kind})), random.Random(1))  # type: ignore[arg-type] # of a loop
        said = [one for at in range(0, 30_000, 100) for one in station.look(at, ITS + at, standing)]
        assert said
        assert not any(isinstance(one, other) for one in said)
