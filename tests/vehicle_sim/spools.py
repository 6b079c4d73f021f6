"""Spools for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vehicle_sim.spool import DEFAULT_MAX_BYTES, Spool

if TYPE_CHECKING:
    from pathlib import Path


def open_spool(directory: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> Spool:
    """The spool of a folder, opened as at a power-up; who asks for it closes it.

    Raises:
        UnitInUseError: another one has it open.
    """
    spool = Spool(directory, max_bytes=max_bytes)
    spool.open()
    return spool
