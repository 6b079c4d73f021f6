"""Dead letters: what could not be used, kept as it came, and how it becomes a message again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from fleetcell.contract.errors import PayloadError, TopicError
from fleetcell.contract.messages import decode, encode, encode_msgpack
from fleetcell.contract.topics import Channel, VehicleTopic, parse, vehicle_topic
from ingest.inbox import Arrival

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ingest.batch import Batch
    from ingest.decode import StoredEvent, Upload


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A whole message, or (with `boot` and `epoch`) one sample or event of a message.

    `sha256` tells letters of a topic apart: of the payload, and for a sample of its boot before it, because a
    broken unit may send the same bytes after every start.
    """

    topic: str
    sha256: bytes
    payload: bytes
    reason: str
    boot: str | None = None
    epoch: int | None = None


def dead_letters(batch: Batch) -> list[DeadLetter]:
    """What becomes a dead letter; the same may be in it twice."""
    whole = [DeadLetter(_name(r.topic), r.sha256, r.payload, r.reason) for r in batch.rejections]
    return whole + [single(upload, bad.raw, bad.reason) for upload in batch.uploads for bad in upload.bad]


def distinct(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Each once."""
    return list({(letter.topic, letter.sha256): letter for letter in letters}.values())


def single(upload: Upload, raw: bytes, reason: str) -> DeadLetter:
    """One sample or event of an upload, as `raw`."""
    digest = hashlib.sha256(bytes.fromhex(upload.boot) + raw).digest()
    return DeadLetter(_name(upload.topic), digest, raw, reason, upload.boot, upload.epoch)


def sample_json(upload: Upload, position: int) -> bytes:
    """One sample of an upload, as JSON; without its signals where they have no JSON."""
    document: dict[str, Any] = {"seq": upload.seqs[position], "ts": upload.times_us[position] / 1000}
    if upload.ups_ms and upload.ups_ms[position] is not None:
        document["up"] = upload.ups_ms[position]
    try:
        return encode(document | {"s": upload.signals[position]})
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError):
        return encode(document | {"s": {}})


def event_json(event: StoredEvent) -> bytes:
    """One event, as JSON; its data as the text that it came as."""
    document: dict[str, Any] = {
        "seq": event.seq,
        "ts": event.time_us / 1000,
        "kind": event.kind,
        "data": event.data.decode(),
    }
    return encode(document if event.up_ms is None else document | {"up": event.up_ms})


def revive(letter: DeadLetter, received_us: int) -> Arrival:
    """The message to take in once more; a single sample or event in a message of its own.

    Raises:
        PayloadError: it cannot be one.
    """
    try:
        topic = parse(letter.topic)
    except TopicError as error:
        raise PayloadError(str(error)) from None
    if not isinstance(topic, VehicleTopic):
        raise PayloadError(f"{letter.topic}: not a topic of a vehicle")
    if letter.boot is None:
        return Arrival(topic, letter.payload, received_us)
    envelope: dict[str, Any] = {"boot": letter.boot, "epoch": letter.epoch}
    if topic.channel is Channel.EVENT:
        event = decode(dict, letter.payload)
        data = event.get("data")
        event["data"] = decode(dict, data.encode()) if isinstance(data, str) else data
        return Arrival(topic, encode(event | envelope), received_us)
    envelope["samples"] = [msgspec.Raw(letter.payload)]
    # What the database refused was written as JSON, whatever it came as; no MessagePack map begins with `{`.
    if topic.channel is Channel.TELEMETRY_MP and not letter.payload.startswith(b"{"):
        return Arrival(topic, encode_msgpack(envelope), received_us)
    return Arrival(
        VehicleTopic(topic.region, topic.vehicle, Channel.TELEMETRY), encode(envelope), received_us
    )


def _name(topic: VehicleTopic) -> str:
    return vehicle_topic(topic.region, topic.vehicle, topic.channel)
