"""One message of a unit, decoded and checked: an `Upload`.

Everything that is wrong is either one sample (it costs only itself) or the whole payload (PayloadError).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence  # noqa: TC003 - msgspec reads it at run time
from dataclasses import dataclass, field
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
from ingest.shapes import EASY_MS, Reading, Shaped, Shapes

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


class Upload(msgspec.Struct, frozen=True, gc=False):
    """What one message of a unit says.

    `seqs`, `times_us` (by the unit's clock, since 1970), `signals` and `ups_ms` (uptime, None where the unit
    did not say it; empty where it never did) are parallel. `sent_ms` is the uptime at which the unit made the
    message. Numbers are in arrays where they are whole: Python's collector need not look at these.
    """

    topic: VehicleTopic
    boot: str
    epoch: int
    received_us: int
    seqs: Sequence[int]
    times_us: Sequence[int]
    signals: list[Reading] | Shaped
    events: Sequence[StoredEvent] = ()
    bad: Sequence[BadSample] = ()
    evicted: Ranges = EMPTY
    ups_ms: Sequence[int | None] = ()
    sent_ms: int | None = None

    @property
    def rows(self) -> int:
        """How many readings, events and bad samples it carries."""
        return len(self.seqs) + len(self.events) + len(self.bad)

    @property
    def newest_us(self) -> int | None:
        """When the newest of its readings and events was, by the unit's clock; None where it has none."""
        if self.events:  # they come alone
            return max((*self.times_us, *(event.time_us for event in self.events)))
        return max(self.times_us, default=None)


def decode_upload(
    topic: VehicleTopic, payload: bytes, received_us: int, shapes: Shapes | None = None
) -> Upload:
    """Decode a `telemetry`, `telemetry/mp` or `event` message.

    Args:
        topic: where it was published.
        payload: what.
        received_us: when it arrived, µs since 1970.
        shapes: which shape the readings of each vehicle had before; the outcome does not depend on it.

    Raises:
        PayloadError: nothing in it can be used; the reason says why.
    """
    if topic.channel is Channel.EVENT:
        return _event(topic, payload, received_us)
    packed = topic.channel is Channel.TELEMETRY_MP
    if shapes is not None and (shaped := shapes.read(topic.vehicle, payload, packed=packed)) is not None:
        return _easy(topic, *shaped, received_us)
    try:
        whole = decode_msgpack(Telemetry, payload) if packed else decode(Telemetry, payload)
    except PayloadError:
        envelope = decode_msgpack(Envelope, payload) if packed else decode(Envelope, payload)
        return _piecewise(topic, envelope, received_us, packed=packed)
    times = [sample.ts for sample in whole.samples]
    if set(map(type, times)) <= _INTEGERS and (not times or 0 <= min(times) <= max(times) < EASY_MS):  # type: ignore[operator] # integers
        if shapes is not None:
            shapes.learn(topic.vehicle, whole)
        return _easy(topic, whole, [sample.s for sample in whole.samples], received_us)
    pieces = _Pieces()
    for sample in whole.samples:
        pieces.add(sample, None)
    return pieces.upload(topic, whole, received_us)


def _easy(
    topic: VehicleTopic, message: Telemetry, signals: list[Reading] | Shaped, received_us: int
) -> Upload:
    """Of a message whose times are whole milliseconds, with the signals of its samples."""
    samples = message.samples
    ups: Sequence[int | None]
    if len(samples) == 1:
        (sample,) = samples
        ts: Any = sample.ts
        seqs, times = array("q", (sample.seq,)), array("q", (ts * 1000,))
        ups = () if sample.up is None else array("q", (sample.up,))
    else:
        moments: list[Any] = [sample.ts for sample in samples]
        said: list[Any] = [sample.up for sample in samples]
        seqs = array("q", [sample.seq for sample in samples])
        times = array("q", [ts * 1000 for ts in moments])
        ups = said if None in said else array("q", said)
    evicted = ranges_from_wire(message.evicted) if message.evicted else EMPTY
    boot, epoch, sent_ms = message.boot, message.epoch, message.sent
    return Upload(topic, boot, epoch, received_us, seqs, times, signals, (), (), evicted, ups, sent_ms)


@dataclass(slots=True)
class _Pieces:
    """Samples that are taken one by one."""

    seqs: list[int] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    signals: list[Reading] = field(default_factory=list)
    ups_ms: list[int | None] = field(default_factory=list)
    bad: list[BadSample] = field(default_factory=list)

    def add(self, sample: Sample, raw: msgspec.Raw | None) -> None:
        ts = sample.ts
        if type(ts) is int and 0 <= ts < EASY_MS:
            moment = ts * 1000
        else:
            try:
                moment = time_us(ts)
            except PayloadError as error:
                encoded = encode(sample) if raw is None else bytes(raw)
                self.bad.append(BadSample(sample.seq, encoded, str(error)))
                return
        self.seqs.append(sample.seq)
        self.times_us.append(moment)
        self.signals.append(sample.s)
        self.ups_ms.append(sample.up)

    def upload(self, topic: VehicleTopic, message: Telemetry | Envelope, received_us: int) -> Upload:
        return Upload(
            topic,
            message.boot,
            message.epoch,
            received_us,
            self.seqs,
            self.times_us,
            self.signals,
            bad=self.bad,
            evicted=ranges_from_wire(message.evicted),
            ups_ms=self.ups_ms,
            sent_ms=message.sent,
        )


def _piecewise(topic: VehicleTopic, envelope: Envelope, received_us: int, *, packed: bool) -> Upload:
    pieces = _Pieces()
    for raw in envelope.samples:
        try:
            sample = decode_msgpack(Sample, raw) if packed else decode(Sample, raw)
        except PayloadError as error:
            pieces.bad.append(BadSample(_seq_of(raw, packed=packed), bytes(raw), str(error)))
        else:
            pieces.add(sample, raw)
    return pieces.upload(topic, envelope, received_us)


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
