"""The supervisor, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fleetcell.contract.errors import FleetcellError
from fleetcell.layout import Layout
from fleetcell.up.supervisor import Program, Supervised, end_leftovers

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(600)"
STUBBORN = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPER}"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.prepare()
    return made


class Told:
    """What the supervisor told people; each line can be awaited."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._more.set()

    async def until(self, count: int) -> None:
        while len(self.lines) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 60)


async def until(check: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.01)


def python(name: str, program: str, **options: object) -> Program:
    return Program(name, (sys.executable, "-c", program), **options)  # type: ignore[arg-type]


async def test_a_killed_program_comes_back_and_a_stopped_one_does_not(layout: Layout) -> None:
    told = Told()
    supervised = Supervised(python("sleeper", SLEEPER), layout, notify=told)
    task = asyncio.create_task(supervised.run())
    await until(lambda: layout.pid_file("sleeper").exists() and "up" in supervised.last_lines())
    first = int(layout.pid_file("sleeper").read_text())
    assert first == supervised.pid
    os.kill(first, signal.SIGKILL)
    await told.until(1)
    assert "SIGKILL" in told.lines[0]
    await until(lambda: supervised.pid not in (None, first))
    second = supervised.pid
    assert second is not None
    await supervised.stop()
    await asyncio.wait_for(task, 60)
    assert not psutil.pid_exists(second)
    assert not layout.pid_file("sleeper").exists()
    assert supervised.restarts == 1


async def test_one_that_does_not_stop_is_killed(layout: Layout) -> None:
    told = Told()
    supervised = Supervised(python("stubborn", STUBBORN, stop_timeout_s=0.2), layout, notify=told)
    task = asyncio.create_task(supervised.run())
    await until(lambda: "up" in supervised.last_lines())
    await supervised.stop()
    await asyncio.wait_for(task, 60)
    assert "killing it" in told.lines[0]


async def test_a_crash_loop_backs_off_and_stops_at_once(layout: Layout) -> None:
    told = Told()
    supervised = Supervised(python("crash", "raise SystemExit(3)"), layout, notify=told)
    task = asyncio.create_task(supervised.run())
    await told.until(3)
    assert all("exit 3" in line for line in told.lines)
    await supervised.stop()
    await asyncio.wait_for(task, 60)


async def test_a_clean_end_may_be_the_end(layout: Layout) -> None:
    supervised = Supervised(python("once", "print('done')", restart=False), layout, notify=Told())
    await asyncio.wait_for(supervised.run(), 60)
    assert supervised.last_lines() == "done"


async def test_a_program_that_is_not_there_is_a_clear_error(layout: Layout) -> None:
    supervised = Supervised(Program("ghost", ("/nonexistent/ghost",)), layout, notify=Told())
    with pytest.raises(FleetcellError, match="cannot start ghost"):
        await supervised.run()


def test_what_a_killed_supervisor_left_is_ended_and_nothing_else(layout: Layout) -> None:
    environment = os.environ | {"FLEETCELL_DATA_DIR": str(layout.root)}
    ours = subprocess.Popen([sys.executable, "-c", SLEEPER], env=environment, stdout=subprocess.PIPE)
    foreign = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE)
    try:
        for process in (ours, foreign):
            assert process.stdout is not None
            process.stdout.readline()
        layout.pid_file("ingest").write_text(f"{ours.pid}\n")
        layout.pid_file("broker").write_text(f"{foreign.pid}\n")
        layout.pid_file("dashboard").write_text("nonsense")
        services = dict.fromkeys(("ingest", "broker", "dashboard", "sim"), signal.SIGTERM)
        assert end_leftovers(layout, services) == ["ingest"]
        assert ours.poll() is not None
        assert foreign.poll() is None
        assert not any(layout.pid_file(service).exists() for service in services)
    finally:
        for process in (ours, foreign):
            process.kill()
            process.communicate()
