"""A spool whose last write was torn by a power cut."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vehicle_sim.journal import HEAD_SIZE, scan

if TYPE_CHECKING:
    from pathlib import Path


def tear(directory: Path, share: float) -> str:
    """Cut the last record of the newest boot's file, so that this share of its bytes (0 to below 1) is left.

    The spool must be closed. What that record was is lost: a reading, or the note that one was settled.

    Returns:
        What was cut, for people.
    """
    path = max(directory.glob("*.log"), key=lambda found: (found.name[:8].isdigit(), found.name))
    records, end, _ = scan(path.read_bytes())
    if not records:
        return "nothing: the file had no record"
    start = records[-1].offset - HEAD_SIZE
    kept = int(share * (end - start))
    os.truncate(path, start + kept)
    return f"{kept} of {end - start} bytes are left"
