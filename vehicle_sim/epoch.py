"""The session epoch of a unit: counted up, and on the disk, before each CONNECT.

Two slots of 16 bytes (value u64, CRC-32, padding) are written in turn, so that a torn write leaves the
other one. The file is open only while it is written. Who drives which unit is kept by `unit_lock`.

A disk takes a millisecond or more for an epoch, and the units of a fleet that starts want hundreds a second:
`prepare` waits for it in a few threads of the process, not on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vehicle_sim.unit_lock import UnitInUseError, UnitLock

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EpochCounter", "UnitInUseError", "sync_directory"]

_SLOT: Final = struct.Struct("<QI4x")
_DISK: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="epoch")  # disks write several at once


class EpochCounter:
    """The counter of one unit; `value` is the last epoch that was used, 0 when there was none."""

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)  # a Path that was used takes three times as much
        self._lock: UnitLock | None = None
        self.value = 0
        self._written = 0  # the last one on the disk; later than `value`: prepared
        self._writing = threading.Lock()
        self._is_new = False  # the file's name may not survive a power cut yet

    def open(self) -> None:
        """Open or create the file and read the counter.

        Raises:
            UnitInUseError: another process holds it.
        """
        self._lock = UnitLock.taken(Path(self._path).parent)
        self._is_new = not Path(self._path).exists()
        with self._opened() as fd:
            self.value = max(_read(os.pread(fd, _SLOT.size, at)) for at in (0, _SLOT.size))
        self._written = self.value

    def take(self) -> int:
        """The next epoch, on the disk when this returns: at once where it is prepared."""
        epoch = self.value + 1
        if self._written > self.value:
            epoch = self._written
        else:
            self._write(epoch)
        self.value = epoch
        return epoch

    async def prepare(self) -> None:
        """Put the next epoch on the disk without holding up the event loop; `take` gives it then.

        Raises:
            OSError: the disk does not take it, or the counter is closed.
        """
        if self._written <= self.value:
            await asyncio.get_running_loop().run_in_executor(_DISK, self._write, self.value + 1)

    def _write(self, epoch: int) -> None:
        """Have this epoch on the disk, or a later one; from any thread."""
        body = struct.pack("<Q", epoch)
        with self._writing:
            if self._lock is None:
                raise OSError(errno.EBADF, "the epoch counter is closed", self._path)
            if epoch <= self._written:
                return
            with self._opened() as fd:
                os.pwrite(fd, _SLOT.pack(epoch, zlib.crc32(body)), epoch % 2 * _SLOT.size)
                os.fdatasync(fd)
            if self._is_new:
                sync_directory(Path(self._path).parent)
                self._is_new = False
            self._written = epoch

    def learn(self, epoch: int) -> None:
        """Another session used this epoch already: the next one taken is later."""
        self.value = max(self.value, epoch)

    def close(self) -> None:
        """Give up the lock, when an epoch that is just being written is there; again is fine."""
        with self._writing:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


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
