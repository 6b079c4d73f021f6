"""The same seed, the same run: readings, links and faults are the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.vehicle_sim.virtual_run import SECONDS, VEHICLES

ROOT = Path(__file__).parents[2]


def run(seed: int, hash_seed: int, looks: int = 4) -> list[str]:
    """What a process of its own decided; `hash_seed` orders its sets, `looks`: at each link a second."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.vehicle_sim.virtual_run", str(seed), str(looks)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_two_runs_with_one_seed_have_the_same_readings_links_and_faults() -> None:
    first = run(7, 1)
    assert run(7, 2) == first
    kinds = Counter(line.split(" ", 1)[0] for line in first)
    assert kinds["reading"] == kinds["modem"] == VEHICLES * SECONDS
    assert min(kinds[kind] for kind in ("arrived", "link", "fault")) > 10
    other = run(8, 1)
    readings = {line for line in first if line.startswith("reading")}
    assert not readings & set(other)


def test_how_often_somebody_looks_at_a_link_decides_nothing() -> None:
    assert sorted(run(7, 1, looks=4)) == sorted(run(7, 1, looks=25))
