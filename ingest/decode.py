"""One message of a unit, decoded and checked: an `Upload`.

Everything that is wrong is either one sample (it costs only itself) or the whole payload (PayloadError).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.ledger import EMPTY, MAX_SEQ, Ranges
from fleetcell.contract.messages import (
    Envelope,
    Event,
    Sample,
    Telemetry,
    decode,
    decode_msgpack,
    encode,
    ranges_from_wire,
    time_us,
)
from fleetcell.contract.topics import Channel, VehicleTopic

# Milliseconds that any plausible or implausible device clock stays in; others take the slow and exact check.
_EASY_MS: Final = 4_000_000_000_000
_INTEGERS: Final = frozenset({int})


@dataclass(frozen=True, slots=True)
class BadSample:
    """A sample that cannot be stored; `seq` is None when not even that could be read."""

    seq: int | None
    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event: its time in µs since 1970, its data as JSON, the unit's uptime in ms if it said it."""

    seq: int
    time_us: int
    kind: str
    data: bytes
    up_ms: int | None = None


class Upload(msgspec.Struct, frozen=True):
    """What one message of a unit says.

    `seqs`, `times_us` (by the unit's clock, since 1970), `signals` and `ups_ms` (uptime, None where the unit
    did not say it) are parallel. `sent_ms` is the uptime at which the unit made the message.
    """

    topic: VehicleTopic
    boot: str
    epoch: int
    received_us: int
    seqs: list[int]
    times_us: list[int]
    signals: list[dict[str, Any]]
    events: list[StoredEvent] = []
    bad: list[BadSample] = []
    evicted: Ranges = EMPTY
    ups_ms: list[int | None] = []
    sent_ms: int | None = None

    @property
    def rows(self) -> int:
        """How many readings, events and bad samples it carries."""
        return len(self.seqs) + len(self.events) + len(self.bad)

    @property
    def newest_us(self) -> int | None:
        """When the newest of its readings and events was, by the unit's clock; None where it has none."""
        return max((*self.times_us, *(event.time_us for event in self.events)), default=None)


def decode_upload(topic: VehicleTopic, payload: bytes, received_us: int) -> Upload:
    """Decode a `telemetry`, `telemetry/mp` or `event` message.

    Raises:
        PayloadError: nothing in it can be used; the reason says why.
    """
    if topic.channel is Channel.EVENT:
        return _event(topic, payload, received_us)
    packed = topic.channel is Channel.TELEMETRY_MP
    try:
        whole = decode_msgpack(Telemetry, payload) if packed else decode(Telemetry, payload)
    except PayloadError:
        envelope = decode_msgpack(Envelope, payload) if packed else decode(Envelope, payload)
        return _piecewise(topic, envelope, received_us, packed=packed)
    samples = whole.samples
    if len(samples) == 1 and type(ts := samples[0].ts) is int and 0 <= ts < _EASY_MS:
        (sample,) = samples
        evicted = ranges_from_wire(whole.evicted) if whole.evicted else EMPTY
        return Upload(
            topic,
            whole.boot,
            whole.epoch,
            received_us,
            [sample.seq],
            [ts * 1000],
            [sample.s],
            [],
            [],
            evicted,
            [sample.up],
            whole.sent,
        )
    times = [sample.ts for sample in samples]
    if set(map(type, times)) <= _INTEGERS and (not times or 0 <= min(times) <= max(times) < _EASY_MS):  # type: ignore[operator] # integers
        return Upload(
            topic,
            whole.boot,
            whole.epoch,
            received_us,
            [sample.seq for sample in samples],
            [ts * 1000 for ts in times],  # type: ignore[misc] # integers
            [sample.s for sample in samples],
            evicted=ranges_from_wire(whole.evicted) if whole.evicted else EMPTY,
            ups_ms=[sample.up for sample in samples],
            sent_ms=whole.sent,
        )
    upload = _empty(topic, whole, received_us)
    for sample in samples:
        _add(upload, sample, None)
    return upload


def _empty(topic: VehicleTopic, message: Telemetry | Envelope, received_us: int) -> Upload:
    evicted = ranges_from_wire(message.evicted)
    return Upload(
        topic, message.boot, message.epoch, received_us, [], [], [], evicted=evicted, sent_ms=message.sent
    )


def _piecewise(topic: VehicleTopic, envelope: Envelope, received_us: int, *, packed: bool) -> Upload:
    upload = _empty(topic, envelope, received_us)
    for raw in envelope.samples:
        try:
            sample = decode_msgpack(Sample, raw) if packed else decode(Sample, raw)
        except PayloadError as error:
            upload.bad.append(BadSample(_seq_of(raw, packed=packed), bytes(raw), str(error)))
        else:
            _add(upload, sample, raw)
    return upload


def _add(upload: Upload, sample: Sample, raw: msgspec.Raw | None) -> None:
    ts = sample.ts
    if type(ts) is int and 0 <= ts < _EASY_MS:
        moment = ts * 1000
    else:
        try:
            moment = time_us(ts)
        except PayloadError as error:
            upload.bad.append(
                BadSample(sample.seq, encode(sample) if raw is None else bytes(raw), str(error))
            )
            return
    upload.seqs.append(sample.seq)
    upload.times_us.append(moment)
    upload.signals.append(sample.s)
    upload.ups_ms.append(sample.up)


def _seq_of(raw: msgspec.Raw, *, packed: bool) -> int | None:
    """The sequence number of a sample that is otherwise not readable."""
    try:
        value = decode_msgpack(dict, raw) if packed else decode(dict, raw)
    except PayloadError:
        return None
    seq = value.get("seq")
    return seq if type(seq) is int and 1 <= seq <= MAX_SEQ else None


def _event(topic: VehicleTopic, payload: bytes, received_us: int) -> Upload:
    event = decode(Event, payload)
    moment = time_us(event.ts)
    data = encode(event.data)
    if b"\\u0000" in data or "\0" in event.kind:
        raise PayloadError("not a valid Event: a text holds NUL, which the database cannot keep")
    stored = StoredEvent(event.seq, moment, event.kind, data, event.up)
    return Upload(
        topic, event.boot, event.epoch, received_us, [], [], [], events=[stored], sent_ms=event.sent
    )
