"""Running platforms for the tests of the whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.running_platform import RunningPlatform, running_platform

LINGER_S = 2


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """`fleetcell up --no-sim` with a short linger, for all tests of a module."""
    data = tmp_path_factory.mktemp("platform") / "data"
    with running_platform(data, "--no-sim", FLEETCELL_LINGER_S=str(LINGER_S)) as running:
        yield running
        sys.stderr.write(running.logs())  # shown when a test failed
