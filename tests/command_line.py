"""`fleetcell` in the process of the tests. One of its own takes half a second, most of it for imports."""

from __future__ import annotations

import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import structlog

from fleetcell.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, as its caller sees it."""

    returncode: int
    stdout: str
    stderr: str


def fleetcell(*arguments: str, cwd: Path | None = None) -> Ended:
    """Run a command to its end, in a folder. What it lets escape (a traceback, for users) fails the test."""
    out, err = StringIO(), StringIO()
    status = 0
    logging = structlog.get_config()
    try:
        with (
            patch.object(sys, "argv", ["fleetcell", *arguments]),
            chdir(cwd or Path.cwd()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            main()
    except SystemExit as ended:
        status = _status(ended.code)
    finally:
        structlog.configure(**logging)
    return Ended(status, out.getvalue(), err.getvalue())


def _status(code: str | int | None) -> int:
    """As Python ends a process: text is an error."""
    return code if isinstance(code, int) else int(code is not None)
