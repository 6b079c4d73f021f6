"""One boot's readings and events on disk: a journal of them, and of what was settled or evicted since."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal

import structlog

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges
from vehicle_sim.journal import HEAD_SIZE, Journal, Record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = structlog.get_logger()

_COMPACT_AT: Final = 256 * 1024  # bytes; smaller files are not worth a rewrite
_HEADER_BODY: Final = struct.Struct("<4s16sQ")  # magic, boot, last number used
_MAGIC: Final = b"fcs1"
_SEQ: Final = struct.Struct("<Q")
_PAIR: Final = struct.Struct("<QQ")
_OVERHEAD: Final = HEAD_SIZE + _SEQ.size


class Kind(IntEnum):
    """What a record of a boot's file says."""

    HEADER = 1
    READING = 2
    SETTLED = 3
    EVICTED = 4
    EVENT = 5


class BootLog:
    """The readings and events of one boot; they share one sequence of numbers."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self.boot = path.stem.partition("-")[2]
        self.last_seq = 0
        self.evicted: Ranges = EMPTY  # not settled: to be declared
        self.live_bytes = 0
        self._pending: dict[int, tuple[int, int]] = {}  # seq -> offset and length of the data, seq ascending
        self._events: dict[int, None] = {}  # those of the pending that are events; a set is larger when empty
        self._settled: Ranges = EMPTY
        self._journal = Journal(path, sync=sync)

    @property
    def pending(self) -> Iterable[int]:
        """The numbers of the readings that wait for their acknowledgement, ascending."""
        return self._pending.keys()

    @property
    def pending_count(self) -> int:
        """How many readings wait."""
        return len(self._pending)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to send or to declare."""
        return not self._pending and not self.evicted

    def open(self) -> bool:
        """Read the file, or start it; False when it was cut off before a record was whole."""
        is_new = not self._journal.path.exists()
        records, damage = self._journal.open()
        if is_new:
            self._journal.append(Kind.HEADER, self._header())
            return True
        if not records:
            return False
        for record in records:
            self._apply(record)
        if damage.skipped or damage.torn_bytes:
            log.warning("spool repaired", file=self._journal.path.name, skipped=damage.skipped,
                        torn_bytes=damage.torn_bytes)  # fmt: skip
        known = ledger.union(self._settled, ledger.union(self.evicted, ledger.from_numbers(self._pending)))
        if lost := ledger.gaps(known, self.last_seq):  # damaged records: gone, and said to be gone
            self._note_evicted(lost)
        return True

    def append(self, data: bytes, kind: Literal[Kind.READING, Kind.EVENT] = Kind.READING) -> int:
        """Keep one reading or event; gives its sequence number."""
        seq = self.last_seq + 1
        offset = self._journal.append(kind, _SEQ.pack(seq) + data)
        if kind is Kind.EVENT:
            self._events[seq] = None
        self._hold(seq, offset + _SEQ.size, len(data))
        return seq

    def read(self, seq: int) -> bytes:
        """The data of a pending reading.

        Raises:
            KeyError: it is not pending.
        """
        return self._journal.read(*self._pending[seq])

    def size(self, seq: int) -> int:
        """The bytes of a pending reading, 0 when it is not pending."""
        place = self._pending.get(seq)
        return place[1] if place else 0

    def is_event(self, seq: int) -> bool:
        """Whether a pending number is an event's."""
        return seq in self._events

    def settle(self, ranges: Ranges) -> int:
        """Drop what was acknowledged; gives how many readings waited for it."""
        ours = ledger.intersect(ranges, ((1, self.last_seq),)) if self.last_seq else EMPTY
        waiting = len(self._pending)
        if fresh := ledger.subtract(ours, self._settled):
            self._journal.append(Kind.SETTLED, _pack(fresh))
            self._forget(fresh)
            self._compact_if_worth()
        return waiting - len(self._pending)

    def evict_oldest(self, wanted_bytes: int, keep: int) -> int:
        """Drop the oldest readings, at least this many bytes of them, but never number `keep`."""
        freed, victims = 0, []
        for seq, (_, length) in self._pending.items():
            if freed >= wanted_bytes or seq == keep:
                break
            freed += length + _OVERHEAD
            victims.append(seq)
        self.evict(ledger.from_numbers(victims))
        return len(victims)

    def evict(self, ranges: Ranges) -> None:
        """Give up these readings; they are declared until that is acknowledged."""
        if ranges:
            self._note_evicted(ranges)
            self._compact_if_worth()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def delete(self) -> None:
        """Close and remove the file."""
        self._journal.close()
        self._journal.path.unlink(missing_ok=True)

    def _header(self) -> bytes:
        return _HEADER_BODY.pack(_MAGIC, bytes.fromhex(self.boot), self.last_seq)

    def _apply(self, record: Record) -> None:
        match record.kind:
            case Kind.HEADER:
                self.last_seq = max(self.last_seq, _HEADER_BODY.unpack(record.body)[2])
            case Kind.READING | Kind.EVENT:
                (seq,) = _SEQ.unpack_from(record.body)
                if record.kind == Kind.EVENT:
                    self._events[seq] = None
                self._hold(seq, record.offset + _SEQ.size, len(record.body) - _SEQ.size)
            case Kind.SETTLED:
                self._forget(_unpack(record.body))
            case Kind.EVICTED:
                ranges = _unpack(record.body)
                self._forget(ranges)
                self._settled = ledger.subtract(self._settled, ranges)
                self.evicted = ledger.union(self.evicted, ranges)
            case _:
                log.warning("spool record of an unknown kind", kind=record.kind, file=self._journal.path.name)

    def _hold(self, seq: int, offset: int, length: int) -> None:
        self._pending[seq] = (offset, length)
        self.last_seq = max(self.last_seq, seq)
        self.live_bytes += length + _OVERHEAD

    def _forget(self, ranges: Ranges) -> None:
        for seq in ledger.numbers(ledger.subtract(ranges, self._settled)):
            place = self._pending.pop(seq, None)
            self._events.pop(seq, None)
            if place:
                self.live_bytes -= place[1] + _OVERHEAD
        self._settled = ledger.union(self._settled, ranges)
        self.evicted = ledger.subtract(self.evicted, ranges)

    def _note_evicted(self, ranges: Ranges) -> None:
        self._journal.append(Kind.EVICTED, _pack(ranges))
        self._forget(ranges)
        self._settled = ledger.subtract(self._settled, ranges)
        self.evicted = ledger.union(self.evicted, ranges)

    def _compact_if_worth(self) -> None:
        if self._journal.size < _COMPACT_AT or self._journal.size < 2 * self.live_bytes:
            return
        records: list[tuple[int, bytes]] = [(Kind.HEADER, self._header())]
        if self._settled:
            records.append((Kind.SETTLED, _pack(self._settled)))
        if self.evicted:
            records.append((Kind.EVICTED, _pack(self.evicted)))
        first = len(records)
        for seq in self._pending:
            kind = Kind.EVENT if seq in self._events else Kind.READING
            records.append((kind, _SEQ.pack(seq) + self.read(seq)))
        offsets = self._journal.replace(records)[first:]
        for (seq, (_, length)), offset in zip(tuple(self._pending.items()), offsets, strict=True):
            self._pending[seq] = (offset + _SEQ.size, length)


def _pack(ranges: Ranges) -> bytes:
    return b"".join(_PAIR.pack(first, last) for first, last in ranges)


def _unpack(body: bytes) -> Ranges:
    return ledger.normalize(_PAIR.iter_unpack(body))
