"""Decoding: what is wrong costs itself and nothing else, and nothing brings the decoder down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import encode, encode_msgpack
from fleetcell.contract.topics import Channel
from ingest.decode import decode_upload
from ingest.readings import gather
from ingest.settle import LedgerRow, settle
from tests.ingest.units import NOW_US, new_boot, sample, telemetry, topic

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
odd_samples = st.fixed_dictionaries(
    {},
    optional={
        "seq": st.integers(-1, 5) | json_values,
        "ts": st.just(NOW_US // 1000) | st.just("2026-01-01T00:00:00Z") | json_values,
        "s": st.dictionaries(st.sampled_from(["lat", "lon", "speed", "x"]), json_values) | json_values,
    },
)
odd_messages = st.fixed_dictionaries(
    {
        "boot": st.just("ab" * 16),
        "epoch": st.just(1),
        "samples": st.lists(odd_samples | json_values, max_size=5),
    },
    optional={"evicted": json_values},
)


def decoded(payload: bytes, channel: Channel = Channel.TELEMETRY) -> Any:
    return decode_upload(topic("car", channel), payload, NOW_US)


@given(odd_messages, st.booleans())
def test_odd_samples_are_sorted_out_and_the_rest_can_be_stored(message: dict[str, Any], packed: bool) -> None:
    try:
        payload = encode_msgpack(message) if packed else encode(message)
    except (OverflowError, UnicodeEncodeError):
        return  # no MessagePack for an integer of this size
    try:
        upload = decoded(payload, Channel.TELEMETRY_MP if packed else Channel.TELEMETRY)
    except PayloadError:
        return
    assert len(upload.seqs) + len(upload.bad) == len(message["samples"])
    outcome = settle(LedgerRow(), [upload])
    gather((1, fresh) for fresh in outcome.fresh).copy_bytes()


@given(st.binary(max_size=200), st.sampled_from([Channel.TELEMETRY, Channel.TELEMETRY_MP, Channel.EVENT]))
def test_noise_is_refused(noise: bytes, channel: Channel) -> None:
    with pytest.raises(PayloadError):
        decoded(noise, channel)


@given(st.data())
def test_a_damaged_message_is_refused_or_read(data: st.DataObject) -> None:
    whole = bytearray(telemetry("ab" * 16, [sample(1, lat=60.0, lon=24.0), sample(2, dtc=["P0301"])]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        upload = decoded(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except PayloadError:
        return
    gather((1, fresh) for fresh in settle(LedgerRow(), [upload]).fresh).copy_bytes()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'{"boot":"short","epoch":1,"samples":[]}',
        b"[" * 100_000,
        b'{"a":' + b"1" * 5000 + b"}",
    ],
    ids=["empty", "null", "list", "boot", "deep", "long number"],
)
def test_payloads_that_are_no_message(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        decoded(payload)


def test_times_may_be_text_or_milliseconds() -> None:
    samples = [
        {"seq": 1, "ts": 1_700_000_000_000, "s": {}},
        {"seq": 2, "ts": 1_700_000_000_000.5, "s": {}},
        {"seq": 3, "ts": "2023-11-14T22:13:20.000001Z", "s": {}},
        {"seq": 4, "ts": "2023-11-14T22:13:20", "s": {}},
        {"seq": 5, "ts": None, "s": {}},
    ]
    upload = decoded(encode({"boot": new_boot(), "epoch": 1, "samples": samples}))
    assert upload.times_us == [1_700_000_000_000_000, 1_700_000_000_000_500, 1_700_000_000_000_001]
    assert [(bad.seq, "offset" in bad.reason) for bad in upload.bad] == [(4, True), (5, False)]


def test_an_event_with_nul_is_refused() -> None:
    event = {"boot": new_boot(), "epoch": 1, "seq": 1, "ts": 0, "kind": "crash", "data": {"a": "\0"}}
    with pytest.raises(PayloadError, match="NUL"):
        decoded(encode(event), Channel.EVENT)
