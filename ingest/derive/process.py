"""The process in which an ingest service derives: started, watched, started again, ended with the service.

Deriving computes for milliseconds at a time. In the service's own process that would keep acknowledgements
waiting; in another one, of lower priority, storing goes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from fleetcell.mqtt import Backoff
from ingest.derive.messages import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.derive.messages import Orders

log = structlog.get_logger()

STEADY_S: Final = 10.0  # a process that lived this long starts again with the first backoff


class DeriveProcess:
    """Keeps one process running that derives.

    Args:
        orders: what it is told.
        tell: called with its progress.
        restarted: called each time when it has ended by itself.
        backoff: how long to wait before it is started again.
    """

    def __init__(
        self,
        orders: Orders,
        tell: Callable[[Progress], None],
        restarted: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
    ) -> None:
        self.pid: int | None = None  # while it runs
        self._orders = orders
        self._tell = tell
        self._restarted = restarted
        self._backoff = backoff or Backoff(first=0.5, cap=15.0)

    async def run(self) -> None:
        """Keep it running until cancelled; then it is gone."""
        attempt, rng = 0, random.Random()  # noqa: S311 - jitter
        while True:
            started = time.monotonic()
            try:
                why = f"exit {await self._run_once()}"
            except (OSError, ValueError, msgspec.DecodeError) as error:  # not started, or it says nonsense
                why = repr(error)
            if time.monotonic() - started > STEADY_S:
                attempt = 0
            pause = self._backoff.delay(attempt, rng)
            log.warning("the process that derives has ended", reason=why, again_in_s=round(pause, 2))
            self._restarted()
            await asyncio.sleep(pause)
            attempt += 1

    async def _run_once(self) -> int:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ingest.derive", stdin=pipe, stdout=pipe
        )
        self.pid = process.pid
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(self._orders) + b"\n")
            while line := await process.stdout.readline():
                self._tell(msgspec.json.decode(line, type=Progress))
            return await process.wait()
        finally:
            self.pid = None
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # a transaction that is cut leaves its marks
            await process.wait()
