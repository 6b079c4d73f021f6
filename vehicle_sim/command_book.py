"""What a unit knows of its commands, on the disk: each is done at most once, whatever dies in between.

An append-only file beside the spool. A note is synced before the unit acts, and again with the outcome; the
last note of an id counts. What a command changed for good (`Config`) is in the same record as its outcome,
so that both are kept or neither. A note that was cut off by a power loss was never acted on: it is dropped.

An id is forgotten only when its `not_after` has passed, for then it would be refused anyway. A unit with too
many younger ones takes no more (`BookFullError`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from fleetcell.contract.errors import FleetcellError, PayloadError
from fleetcell.contract.messages import Boot, Response, Time, Word, decode, encode
from vehicle_sim.epoch import sync_directory
from vehicle_sim.journal import Journal

if TYPE_CHECKING:
    from datetime import datetime

    from vehicle_sim.journal import Record

log = structlog.get_logger()

KEPT: Final = 256  # ids that are kept even when they are over; beyond it the oldest are forgotten
MAX_NOTES: Final = 1024  # ids that are still in time
_SLACK: Final = 256  # records that count no more, before the file is rewritten
_NOTE: Final = 1
_CONFIG: Final = 2


class BookFullError(FleetcellError):
    """Too many commands that are still in time: forgetting one could mean doing it twice."""


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """What commands changed for good; None: as the unit came."""

    update_interval_s: float | None = None
    rate_hz: float | None = None
    locked: bool | None = None


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command: under which boot it was taken, and how it ended; no outcome: it is under way."""

    id: Word
    name: Word
    not_after: Time
    boot: Boot
    outcome: Response | None = None
    config: Config | None = None


class CommandBook:
    """The notes of one unit. Its file begins with the first command."""

    def __init__(self, path: Path) -> None:
        self.config = Config()
        self._place = os.fspath(path)  # a Path that was used takes three times as much
        self._journal: Journal | None = None
        self._notes: dict[str, Note] = {}  # oldest first
        self._records = 0  # in the file

    @property
    def _path(self) -> Path:
        return Path(self._place)

    def open(self) -> None:
        """Read what earlier power-ups left; raises OSError."""
        if self._path.exists():
            self._open_journal()

    def get(self, command_id: str) -> Note | None:
        """What is known of a command; None: it was never taken, or is forgotten."""
        return self._notes.get(command_id)

    @property
    def unfinished(self) -> list[Note]:
        """Commands that are under way, or were when the unit lost its power; oldest first."""
        return [note for note in self._notes.values() if note.outcome is None]

    def write(self, note: Note, now: datetime) -> None:
        """Have a note on the disk; `now` tells which older ones may be forgotten.

        Raises:
            BookFullError: there is no room.
            OSError: the disk does not take it. In both cases nothing was noted.
        """
        if note.id not in self._notes:
            self._make_room(now)
        if self._journal is None:
            self._journal = self._open_journal()
            sync_directory(self._path.parent)
        self._journal.append(_NOTE, encode(note))
        self._records += 1
        self._take(note)
        if self._records > len(self._notes) + _SLACK:
            self._compact(self._journal)

    def close(self) -> None:
        """Close the file; again is fine."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _open_journal(self) -> Journal:
        self._journal = Journal(self._path, sync=True)
        records, damage = self._journal.open()
        if damage.skipped or damage.torn_bytes:
            log.warning("notes of commands were damaged", file=str(self._path), skipped=damage.skipped)
        for record in records:
            self._read(record)
        self._records = len(records)
        return self._journal

    def _read(self, record: Record) -> None:
        try:
            if record.kind == _NOTE:
                self._take(decode(Note, record.body))
            elif record.kind == _CONFIG:
                self.config = decode(Config, record.body)
        except PayloadError as error:
            log.warning("note of a command not understood", file=str(self._path), reason=str(error))

    def _take(self, note: Note) -> None:
        self._notes[note.id] = note
        self.config = note.config or self.config

    def _make_room(self, now: datetime) -> None:
        over = [note.id for note in self._notes.values() if note.outcome and note.not_after < now]
        for command_id in over[: max(0, len(self._notes) - KEPT + 1)]:
            del self._notes[command_id]
        if len(self._notes) >= MAX_NOTES:
            raise BookFullError(f"{MAX_NOTES} commands that are still in time are kept: no room for more")

    def _compact(self, journal: Journal) -> None:
        """Rewrite the file with what counts. On failure the old file goes on: it says the same."""
        notes = [(_NOTE, encode(msgspec.structs.replace(note, config=None))) for note in self._notes.values()]
        try:
            journal.replace([(_CONFIG, encode(self.config)), *notes])
            sync_directory(self._path.parent)
        except OSError as error:
            log.warning("notes of commands not rewritten", file=str(self._path), reason=error.strerror)
            return
        self._records = len(notes) + 1
