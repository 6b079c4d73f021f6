"""Checksummed records in an append-only file: what was written whole is read back, a torn tail is not.

A record is `length (u32) | CRC-32 of kind and body (u32) | kind (u8) | body`, little-endian. Writes go to
the operating system at once, so they survive the death of the process; `sync=True` has them survive a
power cut too.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vehicle_sim.open_files import OpenFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEAD: Final = struct.Struct("<IIB")
FILES: Final = OpenFiles()  # of all journals of the process
HEAD_SIZE: Final = _HEAD.size
MAX_BODY: Final = 1 << 20  # bytes; a longer length field is damage, not a record


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, its body, and where the body starts in the file."""

    kind: int
    body: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What a scan could not read: records skipped by their checksum, bytes cut off at the end."""

    skipped: int
    torn_bytes: int


def encode(kind: int, body: bytes) -> bytes:
    """The bytes of one record."""
    if len(body) > MAX_BODY:
        raise ValueError(f"a record has at most {MAX_BODY} bytes, this one {len(body)}")
    return _HEAD.pack(len(body), zlib.crc32(body, kind), kind) + body


def scan(data: bytes) -> tuple[list[Record], int, Damage]:
    """The whole records of a file, the offset behind the last of them, and what was damaged.

    A record with a wrong checksum is skipped when another whole record follows it; otherwise the file
    ends before it.
    """
    records: list[Record] = []
    end = skipped = unsure = 0
    for position, record in _walk(data):
        if record is None:
            unsure += 1
            continue
        skipped += unsure
        unsure = 0
        records.append(record)
        end = position
    return records, end, Damage(skipped, len(data) - end)


def _walk(data: bytes) -> Iterator[tuple[int, Record | None]]:
    position = 0
    while position + HEAD_SIZE <= len(data):
        length, checksum, kind = _HEAD.unpack_from(data, position)
        start, position = position + HEAD_SIZE, position + HEAD_SIZE + length
        if length > MAX_BODY or position > len(data):
            return
        body = data[start:position]
        good = zlib.crc32(body, kind) == checksum
        yield position, Record(kind, body, start) if good else None


class Journal:
    """One file of records, open for appending and for reading back."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self._place = os.fspath(path)  # a Path that was used takes three times as much
        self.size = 0
        self._sync = sync
        self._number: int | None = None  # among `FILES`; None: closed

    @property
    def path(self) -> Path:
        """Where the file is."""
        return Path(self._place)

    def open(self) -> tuple[list[Record], Damage]:
        """Open or create the file, cut off its torn tail, and give what it holds."""
        self.close()
        self._number = FILES.open(self._place)
        with open(self._fd, "rb", closefd=False) as file:
            records, self.size, damage = scan(file.read())
        if damage.torn_bytes:
            os.ftruncate(self._fd, self.size)
        return records, damage

    def append(self, kind: int, body: bytes) -> int:
        """Write one record; gives the offset of its body.

        Raises:
            OSError: the disk is full or failing; the file is as it was before.
        """
        return self.append_all([(kind, body)])[0]

    def append_all(self, records: Sequence[tuple[int, bytes]]) -> list[int]:
        """Write several records in one go; gives the offsets of their bodies."""
        data = bytearray()
        offsets = []
        for kind, body in records:
            data += encode(kind, body)
            offsets.append(self.size + len(data) - len(body))
        try:
            self._write(memoryview(data))
            if self._sync:
                os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)
        return offsets

    def _write(self, data: memoryview) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(self._fd, data[written:], self.size + written)

    def read(self, offset: int, length: int) -> bytes:
        """A body read back."""
        return os.pread(self._fd, length, offset)

    def replace(self, records: Sequence[tuple[int, bytes]]) -> list[int]:
        """Put these records in the place of all others, atomically; gives the offsets of their bodies."""
        fresh = Journal(self.path.with_suffix(".new"))
        fresh.path.unlink(missing_ok=True)
        fresh.open()
        try:
            offsets = fresh.append_all(records)
            os.fsync(fresh._fd)
            fresh.path.replace(self.path)
        except OSError:
            fresh.close()
            raise
        self.close()
        self._number, self.size = fresh._number, fresh.size
        return offsets

    def close(self) -> None:
        """Close the file; again is fine."""
        if self._number is not None:
            FILES.close(self._number)
            self._number = None

    @property
    def _fd(self) -> int:
        if self._number is None:
            raise OSError(errno.EBADF, "the journal is closed", self._place)
        return FILES.descriptor(self._number, self._place)
