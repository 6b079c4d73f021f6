"""A slice of the crashes that `make chaos` plays all of: the printed seed says which."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def crashes(module: str, *arguments: str) -> dict[str, Any]:
    """Play some of them in a process of its own: one that forks must have no threads."""
    command = [sys.executable, "-m", f"tests.chaos.{module}", *arguments]
    command += ["--seed", str(random.SystemRandom().randrange(2**31))]
    sys.stdout.write(" ".join(command[1:]) + "\n")
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip(), done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert done.returncode == 0, done.stderr
    return found


@pytest.mark.integration
def test_ingest_killed_at_some_awaits_of_a_batch(plain_dsn: str) -> None:
    found = crashes("ingest_crash", plain_dsn, "--most", "8")
    assert found["points"] == 8
    assert found["reached"] >= 6, "an await more or less is a matter of how fast the answers come"
    assert found["awaits"] > 25, "the statements of the transaction and the connection"


def test_a_spool_killed_at_some_bytes() -> None:
    found = crashes("spool_crash", "--most", "60")
    assert found["points"] == 60
    assert found["bytes"] > 1000
