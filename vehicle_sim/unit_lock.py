"""Who drives which unit: one lock file for all units of a folder, with a byte for each.

A file of its own for each lock would stay open as long as the unit is driven: 20,000 of them, of which most
units sleep. The system gives a lock back when the process dies, however it dies. Its locks are between
processes; within one, a set of names does the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = ".drivers"
_BYTES: Final = 2**62  # to choose from: two names do not meet


class UnitInUseError(FleetcellError):
    """Another simulator drives this unit."""


class _Folder:
    """The lock file of one folder, and the units in it that this process drives."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.held: set[str] = set()


_folders: Final[dict[str, _Folder]] = {}


class UnitLock:
    """The right to drive one unit; have it by `taken`."""

    def __init__(self, folder: str, unit: str) -> None:
        self._folder = folder
        self._unit = unit

    @classmethod
    def taken(cls, directory: Path) -> UnitLock:
        """Take the lock of the unit with this folder.

        Raises:
            UnitInUseError: it is taken, here or in another process.
            OSError: the lock file cannot be opened.
        """
        parent, unit = os.path.realpath(directory.parent), directory.name
        folder = _folders.get(parent)
        if folder is None:
            folder = _folders[parent] = _Folder(directory.parent / _FILE)
        lock = cls(parent, unit)
        if unit in folder.held:
            raise UnitInUseError(f"another simulator drives {unit}")
        folder.held.add(unit)
        try:
            fcntl.lockf(folder.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(unit))
        except OSError as error:
            lock._forget(folder)
            if isinstance(error, BlockingIOError | PermissionError):
                raise UnitInUseError(f"another simulator drives {unit}") from None
            raise
        return lock

    def release(self) -> None:
        """Give it up, once."""
        folder = _folders[self._folder]
        with contextlib.suppress(OSError):  # closing the file gives it up too
            fcntl.lockf(folder.fd, fcntl.LOCK_UN, 1, _place(self._unit))
        self._forget(folder)

    def _forget(self, folder: _Folder) -> None:
        folder.held.discard(self._unit)
        if not folder.held:
            os.close(folder.fd)
            del _folders[self._folder]


def _place(unit: str) -> int:
    """The byte of a unit; the file itself stays empty."""
    return int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest()) % _BYTES
