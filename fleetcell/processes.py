"""The processes of a `fleetcell up` on this machine, by the pid files in its data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from fleetcell.layout import Layout


def service_process(layout: Layout, service: str) -> psutil.Process | None:
    """The process of a service; None when none runs.

    A pid may have been given to another program since: only a process whose command line or
    environment names this data directory is ours.
    """
    try:
        process = psutil.Process(int(layout.pid_file(service).read_text()))
        return process if _is_ours(process, layout.root) else None
    except (OSError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _is_ours(process: psutil.Process, root: Path) -> bool:
    try:
        names = {str(root), str(root.resolve())}
        if any(name in argument for argument in process.cmdline() for name in names):
            return True
        return process.environ().get("FLEETCELL_DATA_DIR") in names
    except (psutil.AccessDenied, psutil.ZombieProcess):
        return False
