"""The session epoch of a unit: counted up, and on the disk, before each CONNECT.

Two slots of 16 bytes (value u64, CRC-32, padding) are written in turn, so that a torn write leaves the
other one. The open file also carries the lock that keeps a second simulator off the unit.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from pathlib import Path

_SLOT: Final = struct.Struct("<QI4x")


class UnitInUseError(FleetcellError):
    """Another simulator drives this unit."""


class EpochCounter:
    """The counter of one unit; `value` is the last epoch that was used, 0 when there was none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self.value = 0

    def open(self) -> None:
        """Open or create the file and read the counter.

        Raises:
            UnitInUseError: another process holds it.
        """
        created = not self._path.exists()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UnitInUseError(f"another simulator drives {self._path.parent.name}") from None
        self.value = max((_read(os.pread(self._fd, _SLOT.size, at)) for at in (0, _SLOT.size)), default=0)
        if created:
            sync_directory(self._path.parent)

    def take(self) -> int:
        """The next epoch, on the disk when this returns. May be called from another thread."""
        epoch = self.value + 1
        body = struct.pack("<Q", epoch)
        os.pwrite(self._fd, _SLOT.pack(epoch, zlib.crc32(body)), epoch % 2 * _SLOT.size)
        os.fdatasync(self._fd)
        self.value = epoch
        return epoch

    def learn(self, epoch: int) -> None:
        """Another session used this epoch already: the next one taken is later."""
        self.value = max(self.value, epoch)

    def close(self) -> None:
        """Close the file and give up the lock; again is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _read(slot: bytes) -> int:
    if len(slot) < _SLOT.size:
        return 0
    epoch, checksum = _SLOT.unpack(slot)
    return int(epoch) if zlib.crc32(struct.pack("<Q", epoch)) == checksum else 0


def sync_directory(path: Path) -> None:
    """Have the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
