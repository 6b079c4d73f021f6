"""How a run looks on a terminal: a bar with live counts; plain lines where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_REFRESH_S: Final = 0.25
_LINE_S: Final = 10.0
_RATE_OVER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a run. `total` None: there is no end to count towards."""

    done: float
    total: float | None
    status: str


class RateMeter:
    """A counter's recent speed."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def per_second(self, count: int, now: float) -> float:
        """The mean over the last seconds, given the counter's value now."""
        self._seen.append((now, count))
        while len(self._seen) > 2 and self._seen[0][0] < now - _RATE_OVER_S:
            self._seen.popleft()
        then, before = self._seen[0]
        return (count - before) / (now - then) if now > then else 0.0


@contextlib.asynccontextmanager
async def shown(title: str, look: Callable[[], Snapshot], *, enabled: bool) -> AsyncIterator[None]:
    """Show the run on standard error while the block runs."""
    if not enabled:
        yield
        return
    console = Console(stderr=True)
    task = asyncio.create_task(
        _bar(console, title, look) if console.is_terminal else _lines(console, title, look)
    )
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _bar(console: Console, title: str, look: Callable[[], Snapshot]) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    )
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        bar = progress.add_task(title, total=None, status="")
        try:
            while True:
                _show(progress, bar, look())
                await asyncio.sleep(_REFRESH_S)
        finally:
            _show(progress, bar, look())


def _show(progress: Progress, bar: TaskID, snapshot: Snapshot) -> None:
    progress.update(bar, completed=snapshot.done, total=snapshot.total, status=snapshot.status, refresh=True)


async def _lines(console: Console, title: str, look: Callable[[], Snapshot]) -> None:
    began = time.monotonic()
    look()  # rates count from here
    try:
        while True:
            await asyncio.sleep(_LINE_S)
            _say(console, title, began, look)
    finally:
        _say(console, title, began, look)


def _say(console: Console, title: str, began: float, look: Callable[[], Snapshot]) -> None:
    took = time.monotonic() - began
    console.print(f"{title} {took:.0f} s: {look().status}", highlight=False, markup=False, soft_wrap=True)
