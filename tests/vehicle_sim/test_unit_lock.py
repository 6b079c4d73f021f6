"""A unit has one driver, in this process and among all of the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vehicle_sim.unit_lock import UnitInUseError, UnitLock

_DRIVER = """
import sys
from pathlib import Path
from vehicle_sim.unit_lock import UnitInUseError, UnitLock
try:
    lock = UnitLock.taken(Path(sys.argv[1]))
    print("taken", flush=True)
except UnitInUseError as error:
    print(error, flush=True)
sys.stdin.read()
"""


def driver(unit: Path) -> subprocess.Popen[str]:
    """Another process that takes the lock, and holds it until it is ended."""
    command = [sys.executable, "-c", _DRIVER, str(unit)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_another_process_is_kept_off_that_unit_only(tmp_path: Path) -> None:
    lock = UnitLock.taken(tmp_path / "car-1")
    with driver(tmp_path / "car-1") as first, driver(tmp_path / "car-2") as second:
        assert said(first) == "another simulator drives car-1"
        assert said(second) == "taken"
        with pytest.raises(UnitInUseError, match="car-2"):
            UnitLock.taken(tmp_path / "car-2")
        first.kill()
        second.kill()
    UnitLock.taken(tmp_path / "car-2").release()
    lock.release()


def test_what_is_given_up_may_be_taken(tmp_path: Path) -> None:
    first, other = UnitLock.taken(tmp_path / "a"), UnitLock.taken(tmp_path / "b")
    with pytest.raises(UnitInUseError, match="another simulator drives a"):
        UnitLock.taken(tmp_path / "a")
    first.release()
    with driver(tmp_path / "a") as process:
        assert said(process) == "taken"
        process.kill()
    UnitLock.taken(tmp_path / "a").release()
    other.release()
