"""Messages: what is encoded is decoded again, and a wrong payload is refused with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract import messages
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import (
    Ack,
    Claim,
    Command,
    Envelope,
    Event,
    GatewayStatus,
    Page,
    Position,
    Positions,
    Rejected,
    Response,
    State,
    Telemetry,
    decode,
    decode_msgpack,
    encode,
    encode_msgpack,
    ranges_from_wire,
    time_us,
)

words = st.text(max_size=20)
wholes = st.integers(0, 2**53)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
boots = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
seqs = st.integers(1, 2**53)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    words,
)
ranges = st.lists(st.tuples(seqs, st.integers(0, 9)).map(lambda p: (p[0], p[0] + p[1])), max_size=3)
samples = st.builds(messages.Sample, seq=seqs, ts=wholes, s=st.dictionaries(words, values, max_size=3))

anything: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        Claim,
        kind=st.sampled_from(list(messages.ClaimKind)),
        epoch=st.integers(1, 2**53),
        at=times,
        n=st.none() | wholes,
        boot=st.none() | boots,
        next_seq=st.none() | seqs,
        previous=st.none() | st.builds(messages.Previous, boot=boots, last_seq=wholes),
        sleep_s=st.none() | st.floats(1, 1000),
    ),
    st.builds(
        Telemetry,
        boot=boots,
        epoch=st.integers(1, 2**53),
        samples=st.lists(samples, max_size=3),
        evicted=st.none() | ranges,
    ),
    st.builds(
        Event, boot=boots, epoch=seqs, seq=seqs, ts=wholes, kind=st.just("dtc"), data=st.just({"code": "P0"})
    ),
    st.builds(Ack, boot=boots, seq=wholes, also=st.none() | ranges),
    st.builds(Rejected, rejected=words, reason=words),
    st.builds(Page, nonce=words),
    st.builds(Command, id=words, name=words, epoch=seqs, not_after=times),
    st.builds(Response, id=words, state=st.sampled_from(list(messages.ResponseState)), result=values),
    st.builds(GatewayStatus, storing=st.booleans(), at=times),
    st.builds(
        Positions,
        at=times,
        positions=st.lists(
            st.builds(Position, vehicle=words, time_ms=wholes, lat=st.just(60.2), lon=st.just(24.9))
        ),
    ),
    st.builds(
        State,
        vehicle=words,
        state=st.sampled_from(list(messages.PresenceState)),
        reason=words,
        since=times,
        evidence=st.dictionaries(words, values, max_size=2),
        deadline=st.none() | times,
        epoch=wholes,
        n=st.none() | wholes,
        region=st.none() | words,
        cell=st.none() | words,
        address=st.none() | words,
        seen_address=st.none() | words,
        cursor=wholes,
    ),
)


@given(anything)
def test_what_is_encoded_is_decoded_again(message: Any) -> None:
    assert decode(type(message), encode(message)) == message
    assert decode_msgpack(type(message), encode_msgpack(message)) == message


@given(st.binary(max_size=200), st.sampled_from([Claim, Telemetry, Event, Envelope, Command]))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes, kind: type) -> None:
    for read in (decode, decode_msgpack):
        with pytest.raises(PayloadError):
            read(kind, noise)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch": 0}, "epoch"),
        ({"kind": "hello"}, "kind"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-05-01T12:00:00"}, "at"),
        ({"boot": "xyz"}, "boot"),
        ({"next_seq": 0}, "next_seq"),
        ({"update_interval": -1}, "update_interval"),
        ({"update_interval": 0}, "update_interval"),
        ({"keep_alive": -1}, "keep_alive"),
        ({"n": "1"}, "n"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], reason: str) -> None:
    good = {"kind": "attach", "epoch": 1, "n": 0, "at": "2026-05-01T12:00:00Z"}
    assert decode(Claim, json.dumps(good).encode()).epoch == 1
    with pytest.raises(PayloadError, match=reason):
        decode(Claim, json.dumps(good | change).encode())


def test_a_keep_alive_may_be_none_as_in_connect() -> None:
    claim = b'{"kind":"attach","epoch":1,"n":0,"at":"2026-05-01T12:00:00Z","keep_alive":0}'
    assert decode(Claim, claim).keep_alive == 0


def test_an_unknown_field_is_ignored() -> None:
    assert decode(Page, b'{"nonce":"x","later":1}') == Page("x")


def test_the_will_is_a_detach_without_n() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert Claim(kind=messages.ClaimKind.DETACH, epoch=1, at=at, reason="lost").is_will
    assert not Claim(kind=messages.ClaimKind.DETACH, epoch=1, at=at, n=3).is_will


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 - bounds are naive
def test_times_keep_their_microseconds_and_mind_the_offset(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert time_us(moment.isoformat()) == expected


def test_milliseconds_are_a_time_too() -> None:
    assert time_us(1_777_636_800_123) == 1_777_636_800_123_000
    assert time_us(1_777_636_800_123.5) == 1_777_636_800_123_500
    assert time_us("2026-05-01T12:00:00Z") == 1_777_636_800_000_000


@pytest.mark.parametrize(
    "wrong", ["", "noon", "2026-05-01T12:00:00", float("nan"), float("inf"), 1e18, True, None]
)
def test_what_is_not_a_time_is_refused(wrong: Any) -> None:
    with pytest.raises(PayloadError):
        time_us(wrong)


def test_ranges_on_the_wire_are_checked() -> None:
    assert ranges_from_wire([(4, 6), (1, 3)]) == ((1, 6),)
    with pytest.raises(PayloadError):
        ranges_from_wire([(3, 1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T15:59:60.25-08:00", "2017-01-01T00:00:00.25Z"),
        ("2015-07-01T05:29:60+05:30", "2015-07-01T00:00:00Z"),
    ],
)
def test_a_leap_second_is_the_second_after_it(text: str, expected: str) -> None:
    assert time_us(text) == time_us(expected)


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T22:59:60Z",
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-31T23:59:60",
        "9999-12-31T23:59:60Z",
        "0001-01-01T00:59:60+14:00",
        "2016-12-31T23:59:61Z",
    ],
)
def test_what_cannot_be_a_leap_second_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        time_us(text)
