"""CAM and DENM: JSON and UPER, what "unavailable" becomes, times, cells, and input that is wrong."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from fleetcell import uper
from fleetcell.contract.errors import PayloadError, TopicError
from fleetcell.contract.topics import parse_v2x
from fleetcell.contract.v2x import cells, codec, times
from fleetcell.contract.v2x.messages import Cam, Denm
from tests.fleetcell.contract.v2x_messages import CAMS, DENMS

CHECKED = json.loads(Path(__file__).with_name("v2x_checked.json").read_text())["messages"]
"""Messages of ours as UPER, with the values that another ASN.1 implementation read; see docs/v2x.md."""

MESSAGES = CAMS | DENMS
GEOD = Geod(ellps="WGS84")
PLACES = st.tuples(st.floats(-89.9, 89.9), st.floats(-180.0, 180.0))


# -- encodings ---------------------------------------------------------------------------------


@given(MESSAGES)
def test_json_goes_round(message: Cam | Denm) -> None:
    assert codec.decode(type(message), codec.encode(message)) == message


@given(MESSAGES)
def test_uper_goes_round_and_says_the_same_as_json(message: Cam | Denm) -> None:
    packed = uper.encode(message)
    assert uper.decode(type(message), packed) == codec.decode(type(message), codec.encode(message)) == message
    assert len(packed) < len(codec.encode(message)) / 2


@pytest.mark.parametrize("checked", CHECKED, ids=[one["what"] for one in CHECKED])
def test_another_implementation_reads_and_writes_the_same(checked: dict[str, Any]) -> None:
    kind: type[Cam | Denm] = Cam if checked["type"] == "CAM" else Denm
    packed = bytes.fromhex(checked["uper"])
    message = uper.decode(kind, packed)
    assert message == codec.decode(kind, json.dumps(checked["values"]).encode())
    if not checked.get("more"):  # than we read
        assert uper.encode(message) == packed


def test_there_are_checked_messages_of_both_types_and_of_the_other_side() -> None:
    assert {(one["type"], one["written_by"]) for one in CHECKED} == {
        (kind, by) for kind in ("CAM", "DENM") for by in ("fleetcell", "asn1tools")
    }


def test_unavailable_is_none_and_goes_out_as_etsi_has_it() -> None:
    checked = next(one for one in CHECKED if "unavailable" in one["what"] and one["type"] == "CAM")
    cam = uper.decode(Cam, bytes.fromhex(checked["uper"]))
    assert cam.high_frequency is not None
    place, moves = cam.position, cam.high_frequency
    assert (place.latitude, place.longitude, place.degrees) == (None, None, None)
    assert (place.altitude.altitude_value, place.altitude.altitude_confidence) == (None, None)
    assert (moves.speed.speed_value, moves.heading.heading_value) == (None, None)
    assert (moves.drive_direction, moves.vehicle_width) == (None, None)
    told = json.loads(codec.encode(cam))["cam"]["camParameters"]
    there = told["basicContainer"]["referencePosition"]
    goes = told["highFrequencyContainer"]["basicVehicleContainerHighFrequency"]
    assert (there["latitude"], there["longitude"]) == (900000001, 1800000001)
    assert there["altitude"] == {"altitudeValue": 800001, "altitudeConfidence": "unavailable"}
    assert (goes["speed"]["speedValue"], goes["heading"]["headingValue"]) == (16383, 3601)
    assert goes["driveDirection"] == "unavailable"


@given(MESSAGES)
def test_nothing_on_the_wire_is_null(message: Cam | Denm) -> None:
    assert b"null" not in codec.encode(message)


# -- wrong input ---------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for kind in (Cam, Denm):
        for read in (codec.decode, uper.decode):
            with contextlib.suppress(PayloadError):
                read(kind, payload)


@given(MESSAGES, st.data())
def test_a_damaged_message_is_read_or_refused(message: Cam | Denm, data: st.DataObject) -> None:
    for read, payload in (
        (codec.decode, codec.encode(message)),
        (uper.decode, uper.encode(message)),
    ):
        damaged = bytearray(payload)
        for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
            damaged[at] = data.draw(st.integers(0, 255))
        with contextlib.suppress(PayloadError):
            read(type(message), bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"latitude": 900000002}, "latitude"),
        ({"longitude": -1800000001}, "longitude"),
        ({"latitude": "here"}, "latitude"),
        ({"speedValue": 16384}, "speedValue"),
        ({"headingValue": -1}, "headingValue"),
        ({"driveDirection": "sideways"}, "driveDirection"),
        ({"accelerationControl": "FF"}, "accelerationControl"),
        ({"messageID": 1}, "messageID 1"),
        ({"protocolVersion": 1}, "protocolVersion 1"),
        ({"stationID": 2**32}, "stationID"),
    ],
)
def test_a_wrong_value_is_refused_by_name(change: dict[str, object], reason: str) -> None:
    cam = json.loads(json.dumps(next(one for one in CHECKED if one["type"] == "CAM")["values"]))
    codec.decode(Cam, json.dumps(cam).encode())

    def put(value: Any) -> None:
        if isinstance(value, dict):
            for name in value:
                if name in change:
                    value[name] = change[name]
                put(value[name])

    put(cam)
    with pytest.raises(PayloadError, match=reason):
        codec.decode(Cam, json.dumps(cam).encode())


def test_what_is_too_long_or_too_deep_is_refused() -> None:
    with pytest.raises(PayloadError, match="at most"):
        codec.decode(Cam, b" " * (codec.MAX_V2X_PAYLOAD + 1))
    with pytest.raises(PayloadError):
        codec.decode(Cam, b"[" * codec.MAX_V2X_PAYLOAD)
    with pytest.raises(PayloadError):
        codec.decode(Cam, b'{"a":' * 2000 + b"1" + b"}" * 2000)


def test_bytes_after_the_end_of_uper_are_refused() -> None:
    packed = bytes.fromhex(CHECKED[0]["uper"])
    with pytest.raises(PayloadError, match="2 bytes after"):
        uper.decode(Cam, packed + b"xx")


# -- times -----------------------------------------------------------------------------------------


def unix_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("utc", "its"),
    [
        ("2004-01-01 00:00:00", 0),
        ("2005-12-31 23:59:59", 63_158_399_000),
        ("2006-01-01 00:00:00", 63_158_401_000),
        ("2007-01-01 00:00:00", 94_694_401_000),  # the example of TS 102 894-2
        ("2016-12-31 23:59:59", 410_313_603_000),
        ("2017-01-01 00:00:00", 410_313_605_000),
        ("2026-11-20 12:00:00", unix_ms("2026-11-20 12:00:00") - 1_072_915_200_000 + 5000),
    ],
)
def test_timestamp_its_counts_leap_seconds(utc: str, its: int) -> None:
    assert times.its_from_unix(unix_ms(utc)) == its
    assert times.unix_from_its(its) == unix_ms(utc)


@given(st.integers(unix_ms("2004-01-01 00:00:00"), unix_ms("2100-01-01 00:00:00")))
def test_times_go_round(moment: int) -> None:
    assert times.unix_from_its(times.its_from_unix(moment)) == moment


@given(st.integers(0, 10**12), st.integers(-32_768, 32_767))
def test_the_age_of_a_cam_is_known_within_half_a_minute(now: int, age: int) -> None:
    assert times.age_ms(times.delta_time(now - age), now) == age


# -- cells -----------------------------------------------------------------------------------------


@given(PLACES, st.integers(0, 15))
def test_a_path_names_its_cell_and_those_around_it_by_prefix(
    place: tuple[float, float], resolution: int
) -> None:
    cell = h3.latlng_to_cell(*place, resolution)
    path = cells.cell_path(cell)
    assert cells.cell_of_path(path) == cell
    if resolution:
        assert path.rpartition("/")[0] == cells.cell_path(h3.cell_to_parent(cell))


@pytest.mark.parametrize("path", ["122", "08", "8/7", "8/1/12", "8/-1", "a", "", "8//1", "4/0/1", "\u0661"])
def test_what_is_no_cell_is_refused(path: str) -> None:
    with pytest.raises(TopicError, match="not the path of an H3 cell"):
        cells.cell_of_path(path)


@given(PLACES, st.sampled_from(["cam", "denm"]), st.integers(0, 2**32 - 1), st.booleans())
def test_a_unit_hears_itself_and_those_nearby(
    place: tuple[float, float], kind: cells.Kind, station: int, packed: bool
) -> None:
    cell = cells.published_cell(*place)
    topic = cells.publish_topic("north", kind, cell, station, uper=packed)
    filters = cells.heard_filters("north", kind, *place)
    assert len(filters) <= {"cam": 19, "denm": 7}[kind]
    assert sum(topic.startswith(name.removesuffix("#")) for name in filters) == 1
    parsed = parse_v2x(topic)
    assert parsed.uper is packed
    assert cells.check_sender(parsed, station) == cell
    assert cells.near_cell(cell, *place)
    with pytest.raises(TopicError, match="pseudonym"):
        cells.check_sender(parsed, station ^ 1)


@given(PLACES, st.floats(0, 360), st.floats(0, 1))
def test_cams_are_heard_from_300_m_and_denms_from_900_m(
    place: tuple[float, float], towards: float, share: float
) -> None:
    reach: dict[cells.Kind, float] = {"cam": 300.0, "denm": 900.0}
    for kind, metres in reach.items():
        lon, lat, _ = GEOD.fwd(place[1], place[0], towards, metres * share)
        for one, other in ((place, (lat, lon)), ((lat, lon), place)):
            topic = cells.publish_topic("north", kind, cells.published_cell(*other), 1)
            assert any(topic.startswith(name[:-1]) for name in cells.heard_filters("north", kind, *one))
