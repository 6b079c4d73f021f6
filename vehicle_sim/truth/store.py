"""The record of a run on disk.

    <data>/sim/truth/<time>-<pid>/run.json        the run as a whole, bytes, the live view's errors
                                  boots.json      what each boot made, in compact form
                                  happened.ndjson reachability, commands and faults, one a line

`happened.ndjson` grows while the run goes on; the others are replaced as a whole, so that what is there can
be read at any time.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, TypeVar

import msgspec

from fleetcell.contract.errors import FleetcellError
from fleetcell.layout import write_private
from vehicle_sim.truth.records import VERSION, Boot, Happened, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

RUN: Final = "run.json"
BOOTS: Final = "boots.json"
HAPPENED: Final = "happened.ndjson"


T = TypeVar("T")


class TruthError(FleetcellError):
    """The record of a run cannot be written or read."""


class Truth(msgspec.Struct, frozen=True):
    """A record as it was read."""

    run: Run
    boots: list[Boot]
    happened: list[Happened]


class Store:
    """Writes one record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lines: list[Happened] = []
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Make the folder.

        Raises:
            TruthError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True)
            self._file = (self.folder / HAPPENED).open("ab", buffering=0)
        except OSError as error:
            raise TruthError(f"{self.folder} cannot be written: {error.strerror}") from error

    def note(self, happened: Happened) -> None:
        """Keep it for the next `flush`."""
        self._lines.append(happened)

    def flush(self) -> None:
        """Hand what was noted to the operating system."""
        if self._file is not None and self._lines:
            lines, self._lines = self._lines, []
            self._file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def replace(self, run: Run, boots: Iterable[Boot]) -> None:
        """Write the run and its boots anew."""
        self.flush()
        write_private(self.folder / BOOTS, msgspec.json.encode(list(boots)))
        write_private(self.folder / RUN, msgspec.json.format(msgspec.json.encode(run), indent=1))

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None


def folder_of(directory: Path, began_at: float) -> Path:
    """A new folder in `directory`, named by the time."""
    when = datetime.fromtimestamp(began_at, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return directory / f"{when}-{os.getpid()}"


def read(folder: Path) -> Truth:
    """Read a record; a last line that was cut off by a kill is left out.

    Raises:
        TruthError: there is none, or it is damaged; the message names the file.
    """
    run = _decode(folder / RUN, Run)
    if run.version != VERSION:
        raise TruthError(f"{folder / RUN}: a record of version {run.version}, this reads version {VERSION}")
    boots = _decode(folder / BOOTS, list[Boot])
    lines = _bytes(folder / HAPPENED).splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    return Truth(run, boots, _happened(folder / HAPPENED, lines))


def _happened(path: Path, lines: Sequence[bytes]) -> list[Happened]:
    decoder = msgspec.json.Decoder(Happened)
    found: list[Happened] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise TruthError(f"{path}:{number}: damaged: {error}") from None
    return found


def _decode(path: Path, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(_bytes(path), type=type_)
    except msgspec.MsgspecError as error:
        raise TruthError(f"{path}: damaged: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TruthError(f"{path.parent} has no {path.name}: not the record of a run with --score") from None
    except OSError as error:
        raise TruthError(f"{path} cannot be read: {error.strerror}") from error
