"""What of a DENM is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.hazards import AHEAD_MS, Doubt, Ending, UnbelievableError, kind_of, report_of
from fleetcell.contract.v2x.messages import Denm
from tests.ingest.hazards.denms import HERE, NOW_MS, STATION, denm, topic

OTHER = 0x11112222


def test_a_warning_says_what_happened_where_and_until_when() -> None:
    report = report_of(topic(), denm(), NOW_MS + 500)
    assert (report.station_id, report.sequence) == report.action == (STATION, 7)
    assert (report.lat, report.lon) == pytest.approx(HERE)
    assert (report.detected_ms, report.reference_ms) == (NOW_MS, NOW_MS)
    assert report.expires_ms == NOW_MS + 30_000
    assert (report.cause, report.sub_cause, report.quality) == (94, 2, 3)
    assert report.speed == pytest.approx(50.0, abs=0.01)
    assert report.heading == 91.5
    assert report.ending is None


@pytest.mark.parametrize(
    ("message", "doubt"),
    [
        (denm(by=OTHER), Doubt.SENDER),  # the topic is of STATION
        (denm(station=OTHER, by=STATION), Doubt.SENDER),  # it tells another's event
        (denm(station=OTHER, by=STATION, ends="isCancellation"), Doubt.SENDER),
        (denm(place=None), Doubt.POSITION),
        (denm(place=(60.3, 24.94)), Doubt.POSITION),  # 14 km away
        (denm(at_ms=NOW_MS + AHEAD_MS + 1000), Doubt.TIME),
        (denm(reference_ms=NOW_MS + AHEAD_MS + 1000), Doubt.TIME),
        (denm(at_ms=NOW_MS - 30_000), Doubt.TIME),  # over
        (denm(validity_s=0), Doubt.TIME),
        (denm(cause=None), Doubt.CAUSE),
    ],
)
def test_what_cannot_be_true_is_refused_with_the_reason(message: Denm, doubt: Doubt) -> None:
    with pytest.raises(UnbelievableError) as refused:
        report_of(topic(), message, NOW_MS)
    assert refused.value.doubt is doubt
    assert str(refused.value)


def test_an_end_needs_neither_cause_nor_time_left() -> None:
    over = report_of(topic(), denm(at_ms=NOW_MS - 90_000, cause=None, ends="isCancellation"), NOW_MS)
    assert over.ending is Ending.CANCELLED
    denied = report_of(topic(), denm(station=OTHER, by=STATION, cause=None, ends="isNegation"), NOW_MS)
    assert (denied.ending, denied.station_id) == (Ending.NEGATED, OTHER)


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(0, 300))
def test_who_stands_near_is_believed_anywhere_on_earth(lat: float, lon: float, north: float) -> None:
    place = lat + north / 111_320, lon  # metres
    assert report_of(topic((lat, lon)), denm(place=place), NOW_MS).lat == pytest.approx(place[0], abs=1e-6)


@given(st.integers(0, 255), st.integers(0, 255))
def test_every_cause_has_a_word(cause: int, sub_cause: int) -> None:
    assert kind_of(cause, sub_cause).replace("_", "").isalpha()


def test_causes_have_the_words_that_people_know() -> None:
    assert [kind_of(*code) for code in ((3, 4), (94, 2), (99, 1), (99, 0), (200, 0))] == [
        "road_works",
        "stationary_vehicle",
        "hard_braking",
        "dangerous_situation",
        "other",
    ]
