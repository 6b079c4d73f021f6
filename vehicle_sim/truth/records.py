"""What the simulator writes down of a run. Times are seconds since 1970 by the clock of its machine.

Numbers are sequence numbers of one boot, as inclusive ranges. Readings and events share them.
"""

from __future__ import annotations

import struct
import zlib
from enum import StrEnum
from typing import Final

import msgspec

from fleetcell.contract.ledger import EMPTY, Ranges

VERSION: Final = 1
BLOCK: Final = 100  # readings that share a checksum
_MEASURED: Final = struct.Struct("<QqQQ")  # number, ms since 1970, latitude and longitude as doubles' bits
_DOUBLE: Final = struct.Struct("<d")
_BITS: Final = struct.Struct("<Q")
_MOD: Final = 2**32


def checksum(seq: int, time_ms: int, lat: float | None, lon: float | None) -> int:
    """Of one reading. Those of a block are added up, modulo 2**32: their order does not matter."""
    return zlib.crc32(_MEASURED.pack(seq, time_ms, _bits(lat), _bits(lon)))


def add(total: int, one: int) -> int:
    """The checksum of a block with one reading more."""
    return (total + one) % _MOD


def block_of(seq: int) -> int:
    """The block that a number belongs to, from 0."""
    return (seq - 1) // BLOCK


def _bits(value: float | None) -> int:
    """A number that tells apart any two values, and none."""
    if value is None:
        return _MOD * _MOD - 1
    bits: int = _BITS.unpack(_DOUBLE.pack(float(value) + 0.0))[0]
    return bits


class Boot(msgspec.Struct):
    """What one boot of a unit made.

    last_seq: of what it made; the numbers from 1 on are all used.
    first_ms, last_ms: earliest and latest date of a reading, by the unit's own clock.
    sums: the checksum of each block of 100 numbers, events left out.
    evicted: given up because the spool was full. rejected: given up because the gateway could not read it.
    torn: lost with the power, before the write was whole. pending: still in the spool at the end.
    undeclared: of what was given up, what the unit has not been able to tell yet.
    """

    vehicle: str
    boot: str
    last_seq: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    sums: list[int] = []
    events: Ranges = EMPTY
    evicted: Ranges = EMPTY
    rejected: Ranges = EMPTY
    torn: Ranges = EMPTY
    pending: Ranges = EMPTY
    undeclared: Ranges = EMPTY


class Reach(StrEnum):
    """Whether a unit can be reached."""

    REACHABLE = "reachable"  # a session over a link that passes packets
    CUT = "cut"  # a session, but no packet passes
    DOWN = "down"  # no session, and it wants one
    ASLEEP = "asleep"  # it has said that it sleeps
    GONE = "gone"  # it has said goodbye


class Change(msgspec.Struct, frozen=True, tag="reach", tag_field="what"):
    """From `at` on a vehicle is `reach`, because of `reason`; `link`: whether it is on a cellular link."""

    vehicle: str
    at: float
    reach: Reach
    reason: str
    epoch: int
    link: bool = False


class Ordered(msgspec.Struct, frozen=True, tag="command", tag_field="what"):
    """A command reached a unit."""

    vehicle: str
    at: float
    id: str
    name: str


class Answered(msgspec.Struct, frozen=True, tag="response", tag_field="what"):
    """A unit answered a command; `final`: nothing follows this answer."""

    vehicle: str
    at: float
    id: str
    state: str
    final: bool


class Fault(msgspec.Struct, frozen=True, tag="fault", tag_field="what"):
    """Somebody broke something on purpose; `who`: a vehicle or a service, `kind`: how."""

    at: float
    who: str
    kind: str


Happened = Change | Ordered | Answered | Fault


class Bytes(msgspec.Struct):
    """What passed in one direction, bytes by layer; `measured`: packets were counted by the link.

    tcp_ip: 40 bytes a packet (IPv4 and TCP without options). Packets that only acknowledge are not counted,
    nor is TLS.
    """

    messages: int = 0  # MQTT PUBLISH packets
    payload: int = 0  # of the application
    mqtt: int = 0  # headers, topics, and every other packet of MQTT
    websocket: int = 0  # frame headers and the handshake
    packets: int = 0
    tcp_ip: int = 0
    measured: bool = False

    @property
    def total(self) -> int:
        """All layers together."""
        return self.payload + self.mqtt + self.websocket + self.tcp_ip


class Errors(msgspec.Struct):
    """How far vehicles were shown from where they were, m, by the age of the shown position.

    counts: by class of age, then by distance (see `truth.distances`). largest: m, by class of age.
    over_time: (seconds since the beginning, median, 95th percentile, samples) of each span.
    """

    counts: dict[str, dict[int, int]] = {}
    largest: dict[str, float] = {}
    over_time: list[tuple[float, float, float, int]] = []
    problem: str | None = None  # why nothing, or not all, could be seen


class Run(msgspec.Struct, kw_only=True):
    """A run as a whole. `ended_at` None: the simulator was killed, and the record is cut off."""

    version: int = VERSION
    kind: str
    link: str
    seed: int | None
    api_url: str
    began_at: float
    ended_at: float | None = None
    vehicles: list[str] = []
    rate_hz: float | None = None
    keep_alive_s: float
    update_interval_s: float
    up: Bytes = msgspec.field(default_factory=Bytes)
    down: Bytes = msgspec.field(default_factory=Bytes)
    errors: Errors = msgspec.field(default_factory=Errors)
