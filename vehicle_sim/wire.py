"""A unit's messages: made from what the spool and the state machine hold, and read from what arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from fleetcell.contract import topics
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.ledger import EMPTY, Ranges, union
from fleetcell.contract.messages import (
    Ack,
    Claim,
    ClaimKind,
    Command,
    Directory,
    Event,
    GatewayStatus,
    Page,
    Previous,
    Rejected,
    Sample,
    State,
    Telemetry,
    decode,
    encode,
    ranges_from_wire,
)
from fleetcell.contract.presence import Reason
from fleetcell.contract.topics import Channel

if TYPE_CHECKING:
    from fleetcell.mqtt import Message
    from vehicle_sim.actions import SendClaim
    from vehicle_sim.boot_log import BootLog
    from vehicle_sim.delivery import Batch
    from vehicle_sim.spool import Spool

Incoming = State | GatewayStatus | Page | Ack | Rejected | Command | Directory


def claim(
    sent: SendClaim,
    epoch: int,
    spool: Spool,
    *,
    update_interval_s: float,
    keep_alive_s: float,
    cell: str | None = None,
    address: str | None = None,
    to: str | None = None,
) -> bytes:
    """A claim of the session `epoch`, with the timers if they are to be told.

    `cell`: where the unit is; `address`: its own, from the region's pool; `to`: where it hands over to.
    """
    log = spool.current
    return encode(
        Claim(
            kind=sent.kind,
            epoch=epoch,
            at=datetime.now(UTC),
            n=sent.n,
            boot=log.boot,
            next_seq=log.last_seq + 1,
            previous=Previous(*spool.previous) if spool.previous else None,
            reason=sent.reason,
            update_interval=update_interval_s if sent.timers else None,
            keep_alive=keep_alive_s if sent.timers else None,
            sleep_s=sent.sleep_s,
            cell=cell,
            address=address,
            to=to,
        )
    )


def will(epoch: int, boot: str) -> bytes:
    """What the broker says when the session `epoch` is lost: the last claim of it, without a number."""
    return encode(Claim(ClaimKind.DETACH, epoch, datetime.now(UTC), boot=boot, reason=Reason.LOST))


def sample(seq: int, time_ms: int, signals: dict[str, object], up_ms: int | None = None) -> bytes:
    """One reading, as the spool keeps it; `up_ms`: the unit's uptime."""
    return encode(Sample(seq, time_ms, signals, up_ms))


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event, as the spool keeps it: without boot and epoch, which it gets when it is sent."""

    seq: int
    ts: int
    kind: str
    data: dict[str, Any]
    up: int | None = None


def happening(seq: int, time_ms: int, kind: str, data: dict[str, Any], up_ms: int | None = None) -> bytes:
    """One event, as the spool keeps it."""
    return encode(Happening(seq, time_ms, kind, data, up_ms))


def event(batch: Batch, epoch: int, log: BootLog, sent_ms: int | None = None) -> bytes:
    """The message of a batch that is one event, from the spool; `sent_ms`: as of `telemetry`."""
    (seq,) = batch.seqs
    kept = decode(Happening, log.read(seq))
    sent = None if kept.up is None else sent_ms
    return encode(Event(batch.boot, epoch, kept.seq, kept.ts, kept.kind, kept.data, kept.up, sent))


def telemetry(batch: Batch, epoch: int, log: BootLog, sent_ms: int | None = None) -> bytes:
    """The readings of a batch, from the spool.

    `sent_ms`: the unit's uptime, of its present boot only; told where the readings tell theirs.
    """
    samples = [decode(Sample, log.read(seq)) for seq in batch.seqs]
    sent = sent_ms if any(sample.up is not None for sample in samples) else None
    return encode(Telemetry(batch.boot, epoch, samples, list(batch.evicted) or None, sent))


def read(message: Message) -> Incoming | None:
    """What arrived; None for a retained message that was cleared.

    Raises:
        TopicError, PayloadError: nothing that a unit listens to, or not what the contract says.
    """
    topic = topics.parse(message.topic)
    match topic:
        case topics.DirectoryTopic():
            return _directory(message.payload) if message.payload else None
        case topics.RegionTopic(_, "gateway"):
            return decode(GatewayStatus, message.payload) if message.payload else None
        case topics.VehicleTopic(_, _, Channel.STATE):
            return decode(State, message.payload) if message.payload else None
        case topics.VehicleTopic(_, _, Channel.PAGE):
            return decode(Page, message.payload)
        case topics.VehicleTopic(_, _, Channel.COMMAND):
            return decode(Command, message.payload)
        case topics.VehicleTopic(_, _, Channel.ACK):
            return _read_ack(message.payload)
        case _:
            raise PayloadError(f"a unit does not listen to {message.topic}")


@lru_cache(maxsize=4)
def _directory(payload: bytes) -> Directory:
    """The directory, which every unit of a process gets: read once."""
    return decode(Directory, payload)


def _read_ack(payload: bytes) -> Ack | Rejected:
    try:
        return decode(Ack, payload)
    except PayloadError as error:
        try:
            return decode(Rejected, payload)
        except PayloadError:
            raise error from None


def settled_by(ack: Ack) -> Ranges:
    """The numbers that an acknowledgement settles.

    Raises:
        PayloadError: `also` holds something that is no range.
    """
    return union(((1, ack.seq),) if ack.seq else EMPTY, ranges_from_wire(ack.also))
