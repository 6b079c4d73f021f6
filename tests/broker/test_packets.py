"""Bytes to packets and back, without a network."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import PacketTooLargeError, ProtocolError, UnsupportedVersionError
from broker.packets import (
    DUP,
    PUBACK,
    PUBREL,
    RETAIN,
    Acknowledge,
    Connect,
    Decoder,
    Disconnect,
    Ping,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    acknowledgement,
    connack,
    publish_head,
    suback,
    unsuback,
)
from tests.broker import raw_client as raw

LIMIT = 100_000
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
ids = st.integers(1, 65_535)


def decode(data: bytes, limit: int = LIMIT) -> list[object]:
    return list(Decoder(limit).feed(data))


@st.composite
def publishes(draw: st.DrawFn) -> tuple[bytes, object]:
    topic, payload = draw(texts), draw(st.binary(max_size=300))
    qos, retain = draw(st.integers(0, 2)), draw(st.booleans())
    packet_id = draw(ids) if qos else 0
    data = raw.publish_packet(topic, payload, qos, retain=retain, packet_id=packet_id)
    return data, Publish(topic.encode(), payload, qos, retain, packet_id)


@st.composite
def connects(draw: st.DrawFn) -> tuple[bytes, object]:
    will = draw(
        st.none() | st.builds(raw.Will, texts, st.binary(max_size=50), st.integers(0, 2), st.booleans())
    )
    username = draw(st.none() | texts)
    password = draw(texts) if username is not None and draw(st.booleans()) else None
    client_id, clean, keep_alive = draw(texts), draw(st.booleans()), draw(st.integers(0, 65_535))
    data = raw.connect_packet(client_id, username, password, clean=clean, keep_alive=keep_alive, will=will)
    wanted = Will(will.topic, will.payload, will.qos, will.retain) if will else None
    return data, Connect(client_id, clean, keep_alive, wanted, username, password)


filters = st.lists(texts, min_size=1, max_size=5)
packets = st.one_of(
    publishes(),
    publishes(),
    connects(),
    st.tuples(st.just(raw.PINGREQ_PACKET), st.just(Ping())),
    st.tuples(st.just(raw.DISCONNECT_PACKET), st.just(Disconnect())),
    st.builds(lambda k, i: (raw.acknowledgement_packet(k, i), Acknowledge(k, i)), st.integers(4, 7), ids),
    st.builds(
        lambda f, q, i: (raw.subscribe_packet([(n, q) for n in f], i), Subscribe(i, [(n, q) for n in f])),
        filters, st.integers(0, 2), ids,
    ),
    st.builds(lambda f, i: (raw.unsubscribe_packet(f, i), Unsubscribe(i, f)), filters, ids),
)  # fmt: skip


@given(st.lists(packets, max_size=6), st.lists(st.integers(0, 2_000), max_size=12))
def test_packets_are_the_same_however_the_bytes_are_cut(
    sent: list[tuple[bytes, object]], cuts: list[int]
) -> None:
    data = b"".join(encoded for encoded, _ in sent)
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    decoder = Decoder(LIMIT)
    found: list[object] = []
    for start, end in itertools.pairwise(places):
        found += decoder.feed(data[start:end])
    assert found == [packet for _, packet in sent]


@given(st.lists(packets, max_size=3), st.binary(max_size=60), st.integers(0, 500))
def test_any_bytes_are_decoded_or_refused(sent: list[tuple[bytes, object]], noise: bytes, at: int) -> None:
    data = b"".join(encoded for encoded, _ in sent)
    at = min(at, len(data))
    with contextlib.suppress(ProtocolError):
        decode(data[:at] + noise + data[at:], limit=1_000)


def test_packets_before_a_wrong_one_are_given_out() -> None:
    stream = Decoder(LIMIT).feed(raw.PINGREQ_PACKET + b"\xf0\x00")
    assert next(stream) == Ping()
    with pytest.raises(ProtocolError):
        next(stream)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 90_000])
def test_lengths(size: int) -> None:
    encoded = publish_head(b"\x00\x01a", size, 0) + bytes(size)
    assert encoded == raw.publish_packet("a", bytes(size))
    assert decode(encoded) == [Publish(b"a", bytes(size), 0, False, 0)]


def test_what_the_broker_sends() -> None:
    assert connack(0, session_present=True) == b"\x20\x02\x01\x00"
    assert connack(5) == b"\x20\x02\x00\x05"
    assert suback(258, [0, 1, 2, 0x80]) == b"\x90\x06\x01\x02\x00\x01\x02\x80"
    assert unsuback(3) == b"\xb0\x02\x00\x03"
    assert acknowledgement(PUBACK, 258) == b"\x40\x02\x01\x02"
    assert acknowledgement(PUBREL, 1) == b"\x62\x02\x00\x01"
    assert publish_head(b"\x00\x01a", 2, 1, DUP | RETAIN) == b"\x3b\x07\x00\x01a"


def test_a_declared_length_over_the_limit_is_refused_before_the_body_came() -> None:
    decoder = Decoder(1_000)
    with pytest.raises(PacketTooLargeError, match="limit is 1000"):
        list(decoder.feed(b"\x30\xe9\x07"))


def test_a_packet_byte_by_byte_costs_its_length_not_its_square() -> None:
    data = raw.publish_packet("a", bytes(80_000))
    decoder = Decoder(LIMIT * 10)
    start = time.process_time()
    found = [packet for index in range(len(data)) for packet in decoder.feed(data[index : index + 1])]
    assert len(found) == 1
    assert time.process_time() - start < 1  # joining at each byte would copy 3 GB


@pytest.mark.parametrize("level", [3, 5])
def test_other_versions(level: int) -> None:
    with pytest.raises(UnsupportedVersionError):
        decode(raw.connect_packet("a", None, None, level=level))


@pytest.mark.parametrize(
    "flags_and_rest",
    [
        pytest.param(b"\x08" + b"\x00\x00", id="will QoS without a will"),
        pytest.param(b"\x20" + b"\x00\x00", id="will retain without a will"),
        pytest.param(b"\x1c" + b"\x00\x00", id="will QoS 3"),
        pytest.param(b"\x40" + b"\x00\x00", id="password without a user name"),
        pytest.param(b"\x80" + b"\x00\x00", id="user name missing"),
        pytest.param(b"\x04" + b"\x00\x00", id="will missing"),
    ],
)
def test_connect_flags_that_do_not_fit(flags_and_rest: bytes) -> None:
    body = raw.string("MQTT") + b"\x04" + flags_and_rest + raw.string("a")
    with pytest.raises(ProtocolError):
        decode(raw.packet(0x10, body))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            raw.packet(0x10, raw.string("MQTT") + b"\x04\x02\x00"), id="CONNECT without a keep-alive"
        ),
        pytest.param(raw.packet(0x10, raw.connect_packet("a", None, None)[2:] + b"x"), id="a byte too many"),
        pytest.param(raw.packet(0x10, raw.connect_packet("a", None, None)[2:-1]), id="client id cut"),
        pytest.param(
            raw.packet(0x10, raw.string("MQTT") + b"\x04\x02\x00\x00" + raw.string(b"\xc3")), id="not UTF-8"
        ),
        pytest.param(
            raw.packet(0x10, raw.string("MQTT") + b"\x04\x02\x00\x00" + raw.string(b"\xed\xa0\x80")),
            id="a surrogate",
        ),
        pytest.param(raw.packet(0x82, b"\x00\x01"), id="SUBSCRIBE without a filter"),
        pytest.param(raw.packet(0x82, b"\x00\x01" + raw.string("a")), id="SUBSCRIBE without a QoS"),
        pytest.param(raw.packet(0x82, b"\x00\x01" + raw.string("a") + b"\x03"), id="SUBSCRIBE with QoS 3"),
        pytest.param(raw.packet(0x82, b"\x00\x01\x00"), id="half a length"),
        pytest.param(raw.packet(0x82, b"\x00\x00" + raw.string("a") + b"\x01"), id="packet id 0"),
        pytest.param(raw.packet(0xA2, b"\x00\x01"), id="UNSUBSCRIBE without a filter"),
        pytest.param(raw.packet(0xA2, b"\x00\x01\x00\x05a"), id="filter cut"),
    ],
)
def test_packets_that_are_not_well_formed(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)
