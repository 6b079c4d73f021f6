"""Decoding by shape: the same outcome as decoding in general, whatever comes."""

from __future__ import annotations

import random
import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import MAX_SAMPLES, Sample, Telemetry, encode, encode_msgpack
from fleetcell.contract.signals import CATALOGUE, HOT, Datatype
from fleetcell.contract.topics import Channel
from ingest.batch import Batch
from ingest.binary_copy import SIGNATURE, TRAILER
from ingest.decode import Upload, decode_upload
from ingest.latest import Row, Signals, decode
from ingest.settle import LedgerRow, settle
from ingest.shapes import EASY_MS, Shaped, Shapes, shape_of
from ingest.store import prepare
from tests.ingest.units import NOW_US, arrival, new_boot, sample, telemetry, topic

BOOT = "ab" * 16
USUAL: dict[str, Any] = {
    "lat": 60.17, "lon": 24.94, "speed": 51.5, "gear": -1, "ignition": True, "rat": "NR",
}  # fmt: skip
values: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=70)
    | st.just([])
)


def good(key: str) -> st.SearchStrategy[Any]:
    signal = CATALOGUE[key]
    match signal.datatype:
        case Datatype.DOUBLE:
            assert signal.low is not None
            assert signal.high is not None
            whole = st.integers(int(signal.low), int(signal.high))
            return whole | st.floats(signal.low, signal.high) | st.sampled_from([signal.low, signal.high])
        case Datatype.INT:
            assert signal.low is not None
            assert signal.high is not None
            return st.integers(int(signal.low), int(signal.high))
        case Datatype.BOOL:
            return st.booleans()
        case _:
            return st.text(max_size=64)


@st.composite
def readings(draw: st.DrawFn) -> dict[str, Any]:
    """The usual signals with good values; in half of them one thing is odd."""
    reading = draw(st.fixed_dictionaries({key: good(key) for key in USUAL}))
    if draw(st.booleans()):
        key = draw(st.sampled_from([*USUAL, "x"]))
        if draw(st.integers(0, 9)):
            beyond = st.sampled_from([-91, 91, -181, 180.00001, 501, 25, -5, 1.0])
            reading[key] = draw(values | beyond)
        else:
            reading.pop(key, None)
    return reading


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Telemetry of such readings; in some of them one thing is odd."""
    samples: list[dict[str, Any]] = [
        {"seq": number, "ts": draw(st.integers(0, 4_000_000_000_001)), "s": draw(readings())}
        for number in draw(st.lists(st.integers(1, 9), max_size=3))
    ]
    message: dict[str, Any] = {"boot": BOOT, "epoch": 1, "samples": samples}
    odd = {
        "seq": st.sampled_from([0, 2.0, None, 2**62]),
        "ts": st.sampled_from([1e3, 0.5, -1, 10**16, "2026-01-01T00:00:00Z", None]),
        "up": st.integers(0, 9) | values,
        "later": values,
    }
    if draw(st.booleans()) and samples:
        key = draw(st.sampled_from(sorted(odd)))
        samples[-1][key] = draw(odd[key])
    whole = {
        "boot": st.sampled_from(["x", "cd" * 16, "AB" * 16]),
        "epoch": st.sampled_from([0, "1", 1.0]),
        "evicted": st.sampled_from([None, [], [[1, 2]], [[2, 1]]]),
        "sent": st.integers(-1, 9),
    }
    if draw(st.booleans()):
        key = draw(st.sampled_from(sorted(whole)))
        message[key] = draw(whole[key])
    return message


def taught(*keys: str) -> Shapes:
    """The last readings of the car had these signals."""
    shapes = Shapes()
    shapes.learn("car", Telemetry(BOOT, 1, [Sample(1, 1, dict.fromkeys(keys or USUAL))]))
    return shapes


def outcome(payload: bytes, channel: Channel, shapes: Shapes | None) -> tuple[str, Any]:
    try:
        upload = decode_upload(topic("car", channel), payload, NOW_US, shapes)
    except PayloadError as error:
        return "refused", str(error)
    return "taken", asdict(upload) | {"signals": [dict(sorted(one.items())) for one in upload.signals]}


def written(message: Any, channel: Channel) -> bytes:
    return encode_msgpack(message) if channel is Channel.TELEMETRY_MP else encode(message)


@given(messages(), st.sampled_from([Channel.TELEMETRY, Channel.TELEMETRY_MP]))
def test_the_outcome_is_that_of_decoding_in_general(message: dict[str, Any], channel: Channel) -> None:
    try:
        payload = written(message, channel)
    except UnicodeEncodeError:
        return
    by_shape, general = outcome(payload, channel, taught()), outcome(payload, channel, None)
    assert by_shape == general or "nan" in repr(general)  # a NaN is not equal to itself


@given(st.lists(readings(), min_size=1, max_size=4), st.sampled_from([1, 5]))
def test_whole_columns_are_those_of_each_reading(signals: list[dict[str, Any]], at_a_time: int) -> None:
    samples = [Sample(n, NOW_US // 1000 - 10 + n, one) for n, one in enumerate(signals, 1)]
    by_shape, general, shapes = Batch(), Batch(), taught()
    try:
        for start in range(0, len(samples), at_a_time):
            message = arrival("car", encode(Telemetry(BOOT, 1, samples[start : start + at_a_time])))
            by_shape.add(message, shapes)
            general.add(message)
    except UnicodeEncodeError:
        return
    assert_same(by_shape, general, {"car": 1})


def test_batches_of_many_shapes() -> None:
    """Some shared by many vehicles, some by few, some vehicles with two of them and with odd readings."""
    rng = random.Random(7)
    kinds = [
        USUAL,
        {"lat": 60.0, "lon": 25.0},
        {"speed": 1, "odo": 5.5},
        {"rat": "LTE"},
        {"speed": 3.0, "my.key": [1]},
        {"lat": 91.0, "lon": 0.0},
        {"lat": 5.0},
        {"speed": 2.0, "cell": "a\x07b"},
        {"speed": None},
        {},
    ]
    names = [f"car-{n}" for n in range(120)]
    boots = {name: new_boot() for name in names}
    seqs: Counter[str] = Counter()
    by_shape, general, shapes = Batch(), Batch(), Shapes()
    for turn in range(4):
        for number, name in enumerate(names):
            kind = kinds[number % 2] if number < 80 else rng.choice(kinds)
            samples = []
            for _ in range(rng.choice((1, 3))):
                seqs[name] += 1
                samples.append(sample(seqs[name], NOW_US - 60_000_000 + seqs[name] * 1000, **kind))
            message = arrival(name, telemetry(boots[name], samples))
            by_shape.add(message, shapes)
            if turn:
                general.add(message)
        if not turn:
            by_shape = Batch()  # now the shapes are known
    assert sum(isinstance(upload.signals, Shaped) for upload in by_shape.uploads) > 240
    assert_same(by_shape, general, {name: number for number, name in enumerate(names, 1)})


def test_an_upload_is_taken_in_parts() -> None:
    """What the database refuses is halved until it stands alone, and repeats are told from what is new."""
    batch = Batch()
    batch.add(arrival("car", telemetry(BOOT, [sample(n, **USUAL) for n in range(1, 5)])), taught())
    halves = batch.halves()
    assert halves is not None
    assert [one.uploads[0].signals for one in halves] == [[USUAL, USUAL], [USUAL, USUAL]]
    signals = batch.uploads[0].signals
    assert isinstance(signals, Shaped)
    assert signals[1] == signals[-1] == USUAL
    assert type(signals[1]["gear"]) is int
    held = settle(LedgerRow(), batch.uploads).row
    more = Batch()
    more.add(arrival("car", telemetry(BOOT, [sample(n, **USUAL) for n in (3, 4, 5)])), taught())
    found = settle(held, more.uploads)
    assert (found.duplicates, len(found.fresh), found.fresh[0].positions) == (2, 1, [2])


def test_a_shape_is_learned_and_forgotten() -> None:
    shapes = Shapes()

    def signals(*samples: Sample) -> Any:
        return decode_upload(topic("car"), telemetry(BOOT, samples), NOW_US, shapes).signals

    assert not isinstance(signals(sample(1, **USUAL)), Shaped)
    assert isinstance(signals(sample(2, **USUAL), sample(3, **USUAL)), Shaped)
    assert not isinstance(signals(sample(4, speed=1.0)), Shaped)
    assert isinstance(signals(sample(5, speed=2.0)), Shaped)
    assert not isinstance(signals(sample(6, speed=1.0), sample(7, soc=1.0)), Shaped)
    assert not isinstance(signals(sample(8, speed=1.0)), Shaped), "of two shapes none was learned"
    assert isinstance(signals(sample(9, speed=1.0)), Shaped)
    rebooted = decode_upload(topic("car"), telemetry(new_boot(), [sample(1, speed=1.0)]), NOW_US, shapes)
    assert not isinstance(rebooted.signals, Shaped), "only the boot of before is known to be one"
    other = decode_upload(topic("van"), telemetry(BOOT, [sample(1, speed=1.0)]), NOW_US, shapes)
    assert not isinstance(other.signals, Shaped), "each vehicle has its own"


@pytest.mark.parametrize("keys", [(), ("dtc",), ("lat",), ("ignition", "rat"), ("speed", "throttle"), ("x",)])
def test_what_a_decoder_cannot_check_is_no_shape(keys: tuple[str, ...]) -> None:
    assert shape_of(keys) is None


def test_each_signal_with_a_column_may_be_of_a_shape() -> None:
    shape = shape_of(tuple(sorted(signal.key for signal in HOT)))
    assert shape is not None
    assert sorted((*shape.numbers, *shape.words)) == sorted(signal.key for signal in HOT)


def test_the_decoder_knows_the_bounds() -> None:
    """What is beyond them is for the general decoder, which says so."""
    for signal in HOT:
        if signal.low is None or signal.high is None:
            continue
        usual = {"lat": 1.0, "lon": 1.0} | {signal.key: 0}
        for value, inside in (
            (signal.low, True),
            (signal.high, True),
            (signal.low - 1, False),
            (signal.high + 1, False),
        ):
            one = int(value) if signal.datatype is Datatype.INT else value
            payload = telemetry(BOOT, [sample(1, **usual | {signal.key: one})])
            upload = decode_upload(topic("car"), payload, NOW_US, taught(*usual))
            assert isinstance(upload.signals, Shaped) is inside, (signal.key, value)


@pytest.mark.parametrize(("ts", "easy"), [(0, True), (EASY_MS - 1, True), (EASY_MS, False), (-1, False)])
def test_the_decoder_knows_easy_times(ts: int, easy: bool) -> None:
    payload = encode(Telemetry(BOOT, 1, [Sample(1, ts, USUAL)]))
    assert (taught().read("car", payload, packed=False) is not None) is easy


def test_a_message_may_not_hold_more_samples_than_others() -> None:
    payload = telemetry(BOOT, [sample(n, **USUAL) for n in range(1, MAX_SAMPLES + 2)])
    with pytest.raises(PayloadError, match=str(MAX_SAMPLES)):
        decode_upload(topic("car"), payload, NOW_US, taught())


def assert_same(by_shape: Batch, general: Batch, ids: dict[str, int]) -> None:
    """As far as the database can tell."""
    left, right = prepare(by_shape, ids), prepare(general, ids)
    assert (left.runs, left.rows.dirty) == (right.runs, right.rows.dirty)
    assert told(left.rows.newest) == told(right.rows.newest)
    assert rows(left.rows.copy) == rows(right.rows.copy)
    assert left.rows.readings == right.rows.readings == sum(rows(left.rows.copy).values())
    assert left.rows.refused_values == right.rows.refused_values
    for key, uploads in left.groups.items():
        assert settled(uploads) == settled(right.groups[key])


def told(newest: dict[int, Row]) -> dict[int, tuple[Row, Signals]]:
    """The rows of the latest values; in what order a document names its signals does not matter."""
    return {vehicle: (replace(row, document=""), decode(row.document)) for vehicle, row in newest.items()}


def settled(uploads: list[Upload]) -> tuple[LedgerRow, int]:
    found = settle(LedgerRow(), uploads)
    return found.row, found.duplicates


def rows(copy: bytes) -> Counter[tuple[bytes | None, ...]]:
    """The fields of each row of a COPY stream."""
    found: Counter[tuple[bytes | None, ...]] = Counter()
    place, end = len(SIGNATURE), len(copy) - len(TRAILER)
    while place < end:
        (count,) = struct.unpack_from(">h", copy, place)
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", copy, place)
            place += 4
            row.append(None if length < 0 else copy[place : place + length])
            place += max(0, length)
        found[tuple(row)] += 1
    return found
