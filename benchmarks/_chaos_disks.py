"""A disk that can be full: a small file system of its own where that is allowed, else a limit of writers."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PIECE: Final = 64 * 1024


class Disk:
    """A folder whose disk can be filled.

    Args:
        path: where; made by `make`.
        mebibytes: its size, where it is a file system of its own (tmpfs, which needs root).
    """

    def __init__(self, path: Path, mebibytes: int) -> None:
        self.path = path
        self.is_mounted = False
        self._mebibytes = mebibytes
        self._limited: dict[int, tuple[int, int]] = {}  # files of these processes cannot grow, by pid

    def make(self) -> None:
        """Make it."""
        self.path.mkdir()
        if os.geteuid() == 0:
            size = f"size={self._mebibytes}m,mode=755"
            mount = ["mount", "-t", "tmpfs", "-o", size, "fleetcell-chaos", str(self.path)]
            with contextlib.suppress(FileNotFoundError):
                self.is_mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0

    def fill(self, pids: Iterable[int]) -> None:
        """No byte more fits; `pids`: who writes to it, for a disk that has no end of its own."""
        if not self.is_mounted:
            for pid in pids:
                with contextlib.suppress(OSError):
                    self._limited[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, self._limited[pid][1]))
            return
        with (self.path / "filler").open("ab", buffering=0) as filler:
            for piece in (_PIECE, 1):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(piece)):
                        pass

    def free(self) -> None:
        """There is room again."""
        for pid, limits in self._limited.items():
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        self._limited.clear()
        if self.is_mounted:
            (self.path / "filler").unlink(missing_ok=True)

    def remove(self) -> None:
        """Give the file system back."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.path)], check=False)
            self.is_mounted = False
