"""Running platforms for the tests of the whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_platform import RunningPlatform, running_platform


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[RunningPlatform]:
    """`fleetcell up --no-sim` with a short linger."""
    with running_platform(tmp_path / "data", "--no-sim", FLEETCELL_LINGER_S="2") as running:
        yield running
        sys.stderr.write(running.logs())  # shown when the test failed
