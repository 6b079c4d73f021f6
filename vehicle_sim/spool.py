"""The on-disk spool of one unit: every reading stays until the application acknowledgement.

A boot (one power-up, 128 random bits) has one file of checksummed records; its sequence numbers start at
1. What is settled or evicted is noted as further records; a file that is mostly dead is rewritten, and the
file of an earlier boot that is settled goes. The newest earlier boot with readings is kept by name, because
claims tell its last number.

    <directory>/epoch                     the session epoch
    <directory>/00000007-<boot>.log       header, readings, settled and evicted ranges
    <directory>/../.drivers               who drives which unit
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from fleetcell.contract.errors import FleetcellError
from fleetcell.contract.ledger import EMPTY, Ranges
from vehicle_sim.boot_log import BootLog, Kind
from vehicle_sim.epoch import EpochCounter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_READING: Final = 64 * 1024  # bytes
DEFAULT_MAX_BYTES: Final = 64 * 1024 * 1024  # of unsettled readings; about three days at one reading a second

_FILE_NAME: Final = re.compile(r"(\d{8})-([0-9a-f]{32})\.log")


class SpoolError(FleetcellError):
    """The spool cannot take this reading."""


class Spool:
    """All boots of one unit, on disk.

    Args:
        directory: the unit's own folder, made when missing.
        max_bytes: of unsettled readings; beyond it the oldest are evicted.
        sync: fsync each reading (they survive a power cut of the computer, not just a kill).
    """

    def __init__(self, directory: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, sync: bool = False) -> None:
        self.directory = directory
        self.epochs = EpochCounter(directory / "epoch")
        self.previous: tuple[str, int] | None = None  # the newest earlier boot with readings, its last number
        self._max_bytes = max_bytes
        self._sync = sync
        self._boots: dict[str, BootLog] = {}  # oldest first; the current boot is the last
        self._current: BootLog | None = None
        self._ordinal = 0  # of the current boot's file

    def open(self) -> None:
        """Power up: read what earlier boots left, and start a boot of its own.

        Raises:
            UnitInUseError: another process drives this unit.
            SpoolError: the folder cannot be read or written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.epochs.open()
            self._power_up()
        except OSError as error:
            self.close()
            raise SpoolError(f"the spool in {self.directory} cannot be used: {error.strerror}") from error

    def _power_up(self) -> None:
        ordinal = 0
        for path in sorted(path for path in self.directory.iterdir() if _FILE_NAME.fullmatch(path.name)):
            boot_log = BootLog(path, sync=self._sync)
            ordinal = int(path.name[:8])
            if not boot_log.open():
                boot_log.delete()
                continue
            self._boots[boot_log.boot] = boot_log
            if boot_log.last_seq:
                self.previous = (boot_log.boot, boot_log.last_seq)
        for boot in list(self._boots):
            self._drop_if_finished(boot)
        self._begin_boot(ordinal + 1)

    def _begin_boot(self, ordinal: int) -> None:
        path = self.directory / f"{ordinal:08d}-{secrets.token_hex(16)}.log"
        boot_log = BootLog(path, sync=self._sync)
        boot_log.open()
        self._ordinal, self._current = ordinal, boot_log
        self._boots[boot_log.boot] = boot_log

    def restart(self) -> None:
        """Power off and on: the readings that are made from now on are of a new boot.

        Raises:
            SpoolError: the disk does not take it; the old boot goes on.
        """
        before = self.current
        try:
            self._begin_boot(self._ordinal + 1)
        except OSError as error:
            raise SpoolError(f"the spool in {self.directory} cannot be used: {error.strerror}") from error
        if before.last_seq:
            superseded, self.previous = self.previous, (before.boot, before.last_seq)
            if superseded is not None and superseded[0] in self._boots:
                self._drop_if_finished(superseded[0])
        else:
            self._drop_if_finished(before.boot)

    @property
    def boots(self) -> Iterable[BootLog]:
        """Every boot that is kept, oldest first; the last one is the current."""
        return self._boots.values()

    @property
    def current(self) -> BootLog:
        """The boot of this power-up."""
        assert self._current is not None, "the spool is not open"
        return self._current

    @property
    def pending_count(self) -> int:
        """How many readings wait for their acknowledgement, of all boots."""
        return sum(boot_log.pending_count for boot_log in self._boots.values())

    @property
    def live_bytes(self) -> int:
        """The bytes that unsettled readings take."""
        return sum(boot_log.live_bytes for boot_log in self._boots.values())

    @property
    def capacity_used(self) -> float:
        """How full the spool is, 0 to 1."""
        return self.live_bytes / self._max_bytes

    def append(self, data: bytes, *, event: bool = False) -> tuple[int, int]:
        """Keep one reading or event of the current boot; gives its number, and how many were evicted for it.

        Raises:
            SpoolError: larger than `MAX_READING`, or the disk does not take it; nothing was kept.
        """
        if len(data) > MAX_READING:
            raise SpoolError(f"a reading has at most {MAX_READING} bytes, this one {len(data)}")
        try:
            seq = self.current.append(data, Kind.EVENT if event else Kind.READING)
        except OSError as error:
            raise SpoolError(f"the spool cannot be written: {error.strerror}") from error
        over = self.live_bytes - self._max_bytes
        return seq, self._evict(over + self._max_bytes // 16, seq) if over > 0 else 0

    def get(self, boot: str) -> BootLog | None:
        """A boot by its name, None when it is not kept (any more)."""
        return self._boots.get(boot)

    def size(self, boot: str, seq: int) -> int:
        """The bytes of a pending reading, 0 when it is not pending."""
        boot_log = self._boots.get(boot)
        return boot_log.size(seq) if boot_log else 0

    def is_event(self, boot: str, seq: int) -> bool:
        """Whether a pending number is an event's: that travels in a message of its own."""
        boot_log = self._boots.get(boot)
        return boot_log is not None and boot_log.is_event(seq)

    def evicted(self, boot: str) -> Ranges:
        """The evicted numbers of a boot that are still to be declared."""
        boot_log = self._boots.get(boot)
        return boot_log.evicted if boot_log else EMPTY

    def settle(self, boot: str, ranges: Ranges) -> int:
        """Drop what was acknowledged; gives how many readings waited for it."""
        boot_log = self._boots.get(boot)
        if boot_log is None:
            return 0
        settled = boot_log.settle(ranges)
        if boot_log is not self.current:
            self._drop_if_finished(boot)
        return settled

    def close(self) -> None:
        """Power off: close every file and give up the lock."""
        for boot_log in self._boots.values():
            boot_log.close()
        self.epochs.close()

    def _evict(self, wanted_bytes: int, keep: int) -> int:
        evicted = 0
        target = self.live_bytes - wanted_bytes
        for boot_log in self._boots.values():
            missing = self.live_bytes - target
            if missing <= 0:
                break
            evicted += boot_log.evict_oldest(missing, keep if boot_log is self.current else 0)
        return evicted

    def _drop_if_finished(self, boot: str) -> None:
        boot_log = self._boots[boot]
        if boot_log.finished and (self.previous is None or self.previous[0] != boot):
            del self._boots[boot]
            boot_log.delete()
