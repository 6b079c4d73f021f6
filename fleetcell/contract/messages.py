"""The messages: what each topic carries, as typed structures that check themselves when decoded.

Times are RFC 3339 on the wire and aware datetimes in UTC here. Field names are those of the contract;
a field that this version does not know is ignored, so that a newer unit can talk to an older gateway.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import msgspec

from fleetcell.contract.errors import LedgerError, PayloadError
from fleetcell.contract.ledger import MAX_SEQ, Ranges, normalize

MAX_PAYLOAD: Final = 256 * 1024  # bytes; the broker refuses more
MAX_SAMPLES: Final = 10_000  # of one telemetry message

Boot = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]  # 128 random bits
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
Epoch = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Uptime = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # ms since the boot began, time asleep included
Seconds = Annotated[float, msgspec.Meta(gt=0, le=31 * 86400)]
KeepAlive = Annotated[float, msgspec.Meta(ge=0, le=31 * 86400)]  # seconds; 0 is none, as in CONNECT
Word = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=512)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]
WirePairs = list[tuple[int, int]]


class ClaimKind(StrEnum):
    """What a unit claims about itself."""

    ATTACH = "attach"
    UPDATE = "update"
    SLEEP = "sleep"
    DETACH = "detach"


class PresenceState(StrEnum):
    """What the register holds of a vehicle."""

    ONLINE = "online"
    SUSPECT = "suspect"
    ASLEEP = "asleep"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Previous(msgspec.Struct, frozen=True, omit_defaults=True):
    """The boot before this one, and the last number it used: what was lost at its end is seen."""

    boot: Boot
    last_seq: Count


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """`presence`: a unit's claim. The will is a `detach` with reason `lost` and no `n`: it counts as last.

    `address` is the one that the unit got from its region's pool; `to` the region that it hands over to.
    """

    kind: ClaimKind
    epoch: Epoch
    at: Time
    n: Count | None = None
    boot: Boot | None = None
    next_seq: Seq | None = None
    previous: Previous | None = None
    reason: Word | None = None
    update_interval: Seconds | None = None
    keep_alive: KeepAlive | None = None
    sleep_s: Seconds | None = None
    cell: Word | None = None
    address: Word | None = None
    to: Word | None = None

    @property
    def is_will(self) -> bool:
        """Whether the broker sent this for a unit whose link was lost."""
        return self.kind is ClaimKind.DETACH and self.n is None


class State(msgspec.Struct, frozen=True):
    """`state`: the registered truth, as of presence cursor `cursor`."""

    vehicle: str
    state: PresenceState
    reason: str
    since: Time
    evidence: dict[str, Any]
    deadline: Time | None
    epoch: int
    n: int | None
    region: str | None
    cell: str | None
    address: str | None
    seen_address: str | None
    cursor: int


class Page(msgspec.Struct, frozen=True):
    """`page`: answer with an `update` claim."""

    nonce: Word


class Sample(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One reading: `s` holds signals by wire key. `ts` is RFC 3339 or milliseconds since 1970.

    `up` is the unit's uptime when it was measured. With it a wrong clock can be corrected.
    """

    seq: Seq
    ts: str | int | float
    s: dict[str, Any]
    up: Uptime | None = None


class Telemetry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`telemetry`: readings of one boot, and the numbers that the unit evicted from its spool.

    `sent` is the unit's uptime when it made this message; only of readings of the boot that is running.
    """

    boot: Boot
    epoch: Epoch
    samples: Annotated[list[Sample], msgspec.Meta(max_length=MAX_SAMPLES)]
    evicted: WirePairs | None = None
    sent: Uptime | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """`telemetry` with the samples not looked at yet: one bad sample costs only itself."""

    boot: Boot
    epoch: Epoch
    samples: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_SAMPLES)]
    evicted: WirePairs | None = None
    sent: Uptime | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """`event`: something that happened; shares the sequence of telemetry. `up`, `sent`: as in telemetry."""

    boot: Boot
    epoch: Epoch
    seq: Seq
    ts: str | int | float
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    data: dict[str, Any] = {}
    up: Uptime | None = None
    sent: Uptime | None = None


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ack`: all numbers up to `seq` are settled, and those in `also`."""

    boot: Boot
    seq: Count
    also: WirePairs | None = None


class Rejected(msgspec.Struct, frozen=True):
    """`ack` for a payload that cannot be decoded: its SHA-256, and why."""

    rejected: str
    reason: str


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """`command`: do `name`, unless it is later than `not_after` or `require` does not hold."""

    id: Word
    name: Word
    epoch: Epoch
    not_after: Time
    args: dict[str, Any] = {}
    require: dict[str, Any] | None = None


class ResponseState(StrEnum):
    """How far a unit got with a command."""

    ACCEPTED = "accepted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """`response`: what became of a command.

    `code` says why it was refused, for programs (`fleetcell.contract.commands.Refusal`); `epoch` is the
    session that answers: with it the response is a sign of life of that session.
    """

    id: Word
    state: ResponseState
    result: Any = None
    error: Text | None = None
    code: Word | None = None
    epoch: Epoch | None = None


class GatewayStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """`gateway`: whether the region stores; while it does not, units hold their telemetry."""

    storing: bool
    at: Time
    address_pool: str | None = None
    lag_s: float | None = None


class RegionEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One region of the directory: its broker's address and the H3 cells that it serves.

    address_pool: the addresses that it hands out, as CIDR. storing: whether it stores, as far as is known.
    """

    url: str
    cells: list[str]
    address_pool: str | None = None
    storing: bool | None = None


class Directory(msgspec.Struct, frozen=True):
    """`directory`: which gateway serves which H3 cells."""

    regions: dict[str, RegionEntry]
    at: Time


class Position(msgspec.Struct, frozen=True, array_like=True):
    """`[vehicle, time in ms since 1970, latitude °, longitude °, heading ° or null, speed km/h or null]`."""

    vehicle: str
    time_ms: int
    lat: float
    lon: float
    heading: float | None = None
    speed: float | None = None


class Positions(msgspec.Struct, frozen=True):
    """`live/positions`: the newest position of each vehicle that moved since the last frame."""

    at: Time
    positions: list[Position]


T = TypeVar("T")

_json_encoder: Final = msgspec.json.Encoder()
_msgpack_encoder: Final = msgspec.msgpack.Encoder()
_json_decoders: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
_msgpack_decoders: Final[dict[Any, msgspec.msgpack.Decoder[Any]]] = {}


def encode(message: Any) -> bytes:
    """The message as JSON."""
    return _json_encoder.encode(message)


def encode_msgpack(message: Any) -> bytes:
    """The message as MessagePack."""
    return _msgpack_encoder.encode(message)


def decode(kind: type[T], payload: bytes | msgspec.Raw) -> T:
    """Read JSON.

    Raises:
        PayloadError: not JSON, or not this message; the reason says where.
    """
    decoder = _json_decoders.get(kind)
    if decoder is None:
        decoder = _json_decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"not a valid {kind.__name__}: {error}") from error


def decode_msgpack(kind: type[T], payload: bytes | msgspec.Raw) -> T:
    """Read MessagePack.

    Raises:
        PayloadError: not MessagePack, or not this message; the reason says where.
    """
    decoder = _msgpack_decoders.get(kind)
    if decoder is None:
        decoder = _msgpack_decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(payload)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadError(f"not a valid {kind.__name__}: {error}") from error


def ranges_from_wire(pairs: WirePairs | None) -> Ranges:
    """Check `[[first, last], ...]`.

    Raises:
        PayloadError: a pair is not a range.
    """
    try:
        return normalize(pairs or ())
    except LedgerError as error:
        raise PayloadError(str(error)) from error


_EARLIEST_US: Final = -62_135_596_800_000_000  # 0001-01-01, the earliest datetime
_LATEST_US: Final = 253_402_300_799_999_999  # 9999-12-31


def time_us(ts: str | float) -> int:
    """A sample's time as microseconds since 1970 (UTC).

    A leap second (23:59:60Z at the end of a month) is the second after it, as POSIX counts.

    Args:
        ts: RFC 3339 text with an offset, or a number of milliseconds since 1970.

    Raises:
        PayloadError: not a time, without an offset, or outside the years 1 to 9999.
    """
    if isinstance(ts, bool) or not isinstance(ts, str | int | float):
        raise PayloadError(f"ts is neither RFC 3339 nor milliseconds: {ts!r}")
    if isinstance(ts, str):
        leap = _LEAP_SECOND.fullmatch(ts)
        try:
            moment = datetime.fromisoformat(f"{leap[1]}59{leap[2]}" if leap else ts)
        except ValueError:
            raise PayloadError(f"ts is not RFC 3339: {ts[:40]!r}") from None
        if moment.tzinfo is None:
            raise PayloadError(f"ts has no offset (write Z or +hh:mm): {ts[:40]!r}")
        whole = _whole_us(moment) + (_SECOND_US if leap else 0)
        if leap and not _begins_month(whole):
            raise PayloadError(f"ts is no leap second, they end a month in UTC: {ts[:40]!r}")
        return whole
    if not _EARLIEST_US / 1000 <= ts <= _LATEST_US / 1000:  # also refuses NaN and infinities
        raise PayloadError(f"ts is outside the years 1 to 9999: {ts}")
    return round(ts * 1000)


_SECOND_US: Final = 1_000_000
_LEAP_SECOND: Final = re.compile(r"(.{10}[Tt ]\d\d:\d\d:)60(.*)", re.DOTALL)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _whole_us(moment: datetime) -> int:
    delta = moment - _UNIX_EPOCH
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def _begins_month(us: int) -> bool:
    """Whether this is in the first second of a month."""
    if not _EARLIEST_US <= us <= _LATEST_US:
        return False
    moment = _UNIX_EPOCH + timedelta(microseconds=us)
    return (moment.day, moment.hour, moment.minute, moment.second) == (1, 0, 0, 0)
