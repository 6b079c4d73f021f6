"""What a run shows while it runs."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from vehicle_sim import progress
from vehicle_sim.progress import RateMeter, Snapshot, shown

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    """Standard error that is a terminal, or is not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal
        self.written = asyncio.Event()

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


def test_a_rate_is_that_of_the_last_seconds() -> None:
    meter = RateMeter()
    assert meter.per_second(0, 0.0) == 0
    assert meter.per_second(100, 1.0) == 100
    rates = [meter.per_second(100 + (second - 1) * 10, float(second)) for second in range(2, 20)]
    assert rates[-1] == 10


async def test_a_terminal_gets_a_bar_with_the_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal := Terminal(is_terminal=True))
    counts = [1]
    async with shown("sim run", lambda: Snapshot(counts[0], 10, f"[{counts[0]}/10] acked"), enabled=True):
        await terminal.written.wait()
        counts[0] = 10
    assert "[1/10] acked" in terminal.getvalue(), "brackets are no markup"
    assert "[10/10] acked" in terminal.getvalue()


async def test_a_file_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal(is_terminal=False))
    monkeypatch.setattr(progress, "_LINE_S", 0.01)
    async with shown("sim run", lambda: Snapshot(1, None, "1 [made]"), enabled=True):
        await terminal.written.wait()
    assert terminal.getvalue().startswith("sim run 0 s: 1 [made]\n")


async def test_a_file_gets_the_last_state_of_a_short_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal(is_terminal=False))
    counts = [1]
    async with shown("sim replay", lambda: Snapshot(counts[0], None, f"{counts[0]} acked"), enabled=True):
        await asyncio.sleep(0)
        counts[0] = 10
    assert terminal.getvalue() == "sim replay 0 s: 10 acked\n"


async def test_nothing_is_shown_when_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal(is_terminal=True))
    async with shown("sim run", lambda: Snapshot(1, None, "1 made"), enabled=False):
        await asyncio.sleep(0)
    assert terminal.getvalue() == ""
