"""Whether a PostgreSQL server uses a cluster, and what a killed one left in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psutil

from ingest.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PATIENCE_S: Final = 5.0  # children of a killed server need a moment to notice


def release(data: Path, socket_files: Iterable[Path]) -> None:
    """See that no server uses the cluster, and remove the lock files that a killed one left.

    After a restart of the machine or the container another process may have the number in a lock file;
    PostgreSQL would then refuse to start. Who uses the cluster has it as its working folder.

    Raises:
        DatabaseError: a server runs on it.
    """
    deadline = time.monotonic() + PATIENCE_S
    while users := _processes_in(data):
        if _named_in_lock(data) in users or time.monotonic() > deadline:
            raise DatabaseError(
                f"the database in {data.parent} is running already (process {min(users)}): "
                f"stop it with kill -INT {min(users)}"
            )
        time.sleep(0.05)
    for path in (data / "postmaster.pid", *socket_files):
        path.unlink(missing_ok=True)


def _named_in_lock(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_bytes().split(b"\n")[0])
    except (OSError, ValueError):
        return None


def _processes_in(folder: Path) -> list[int]:
    """The PostgreSQL processes whose working folder this is."""
    found = psutil.process_iter(["name", "cwd"])
    return [p.pid for p in found if p.info["name"] == "postgres" and p.info["cwd"] == str(folder)]
