"""The files of a process that are open just now: a bounded number, however many units it has.

A system allows a process so many open files, and each connection is one. Files are opened when they are
needed, and those that were not used for the longest time are closed.
"""

from __future__ import annotations

import itertools
import os
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_SHARE: Final = 3  # of the files that the system allows; the others are connections
_LEAST: Final = 16


class OpenFiles:
    """Files that were opened, each under a number of its own, and the descriptors that they have just now.

    Args:
        most: descriptors at a time; None: a third of what the system allows at that moment.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._numbers = itertools.count()
        self._open: dict[int, int] = {}  # the one that was used last is the last

    def __len__(self) -> int:
        return len(self._open)

    def open(self, path: str | Path) -> int:
        """Open or create a file for reading and writing; its number here. Raises OSError."""
        number = next(self._numbers)
        self._open_again(number, path, os.O_CREAT)
        return number

    def descriptor(self, number: int, path: str | Path) -> int:
        """Of an open file, where it is now; valid until the next call. Raises OSError."""
        fd = self._open.pop(number, None)
        if fd is None:
            return self._open_again(number, path, 0)
        self._open[number] = fd
        return fd

    def close(self, number: int) -> None:
        """Give up a file."""
        fd = self._open.pop(number, None)
        if fd is not None:
            os.close(fd)

    def _open_again(self, number: int, path: str | Path, flags: int) -> int:
        while len(self._open) >= self._limit():
            os.close(self._open.pop(next(iter(self._open))))
        fd = self._open[number] = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        return fd

    def _limit(self) -> int:
        if self._most is not None:
            return self._most
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return max(_LEAST, soft // _SHARE)
