"""The credentials file: read again whenever it was replaced, kept when the new one cannot be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import structlog

from fleetcell.contract.credentials import CredentialsFile, check_key, decode_file, mac, verify
from fleetcell.contract.errors import ConfigError
from fleetcell.contract.topics import Principal, Role

if TYPE_CHECKING:
    from pathlib import Path

log: Final = structlog.get_logger()

Stamp = tuple[int, int, int]  # inode, modification time in ns, size: a replaced file changes one of them


class CredentialStore:
    """Who may connect.

    Args:
        file: Written by ingest and replaced atomically (`CredentialsFile`).
        key_file: The key of the MACs in it, at least 32 bytes.
    """

    def __init__(self, file: Path, key_file: Path) -> None:
        self._file = file
        self._key_file = key_file
        self._stamps: tuple[Stamp | None, Stamp | None] | None = None
        self._key = b""
        self._content = CredentialsFile()
        self._decoy = mac(os.urandom(32), "")  # what an unknown name's secret is compared with
        self.failures = 0
        self.good = False
        """Whether the files were good when they were last read."""

    def refresh(self) -> bool:
        """Read the files again if they were replaced; True when the content changed.

        A file that is missing or not valid changes nothing: the last good content stays in force, the
        fault is logged once and counted. Before there was a good one, nobody is let in.
        """
        stamps = stamp(self._file), stamp(self._key_file)
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        try:
            key = check_key(self._key_file.read_bytes())
            content = decode_file(self._file.read_bytes())
        except (OSError, ConfigError) as error:
            self.failures += 1
            self.good = False
            log.error("credentials not read; the last stay in force", reason=str(error))  # noqa: TRY400
            return False
        self.good = True
        if (key, content) == (self._key, self._content):
            return False
        self._key, self._content = key, content
        log.info("credentials read", units=len(content.units), services=len(content.services))
        return True

    def check(self, name: str, secret: str) -> tuple[Principal, str] | None:
        """The principal with this name and secret, and its MAC; None when there is none."""
        found = self.find(name)
        # An unknown name takes as long as a wrong secret.
        good = verify(self._key, secret, found[1] if found else self._decoy)
        return found if good and found else None

    def find(self, name: str) -> tuple[Principal, str] | None:
        """The principal of this name and the MAC of its secret."""
        if (service := self._content.services.get(name)) is not None:
            return Principal(service.role, name, service.region), service.mac
        if (unit := self._content.units.get(name)) is not None:
            return Principal(Role.UNIT, name), unit
        return None

    def is_unit(self, name: str) -> bool:
        """Whether a vehicle has this id."""
        return name in self._content.units


def stamp(file: Path) -> Stamp | None:
    """What changes when a file is replaced; None: there is no such file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
