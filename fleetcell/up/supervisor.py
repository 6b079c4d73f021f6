"""The supervisor: start a process, restart it with backoff when it dies, stop it in time.

Each service runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone
and the services are stopped in order. What a killed supervisor left running is found by its pid files
and ended at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil
import structlog

from fleetcell.contract.errors import FleetcellError
from fleetcell.flag import set_within
from fleetcell.processes import service_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fleetcell.layout import Layout

log = structlog.get_logger()

FIRST_BACKOFF_S: Final = 0.2
LONGEST_BACKOFF_S: Final = 15.0
STEADY_S: Final = 10.0  # a process that lived this long starts again with the first backoff
LOG_LIMIT: Final = 10 * 2**20  # bytes; a larger log is moved aside at a start


@dataclass(frozen=True, slots=True)
class Program:
    """A program to run: what a subprocess needs, and how it is asked to stop."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10.0
    restart: bool = True  # after a clean exit too; a simulator with a duration ends for good
    options: Mapping[str, Any] = field(default_factory=dict)  # user, group, cwd, ... of the subprocess


class Supervised:
    """One program, kept running."""

    def __init__(self, program: Program, layout: Layout, *, notify: Callable[[str], None]) -> None:
        self.program = program
        self.restarts = 0
        self._layout = layout
        self._notify = notify
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._rng = random.Random()  # noqa: S311 - jitter

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Keep the program running until `stop`."""
        backoff = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set() or (code == 0 and not self.program.restart):
                return
            if time.monotonic() - started > STEADY_S:
                backoff = FIRST_BACKOFF_S
            pause = backoff * self._rng.uniform(0.5, 1.0)
            self.restarts += 1
            self._notify(f"{self.program.name} ended ({_ending(code)}); starting it again in {pause:.1f} s")
            await set_within(self._stopping, pause)
            backoff = min(backoff * 2, LONGEST_BACKOFF_S)

    async def _run_once(self) -> int:
        log_path = self._layout.log_file(self.program.name)
        if log_path.exists() and log_path.stat().st_size > LOG_LIMIT:
            log_path.replace(log_path.with_suffix(".log.1"))
        with log_path.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.program.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self.program.environment,
                    start_new_session=True,
                    **self.program.options,
                )
            except OSError as error:
                raise FleetcellError(f"cannot start {self.program.name}: {error}") from error
        pid_file = self._layout.pid_file(self.program.name)
        pid_file.write_text(f"{self._process.pid}\n")
        try:
            return await self._process.wait()
        finally:
            pid_file.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Ask the program to stop; kill it when it does not."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_timeout_s)
        except TimeoutError:
            self._notify(
                f"{self.program.name} did not stop within {self.program.stop_timeout_s:.0f} s; killing it"
            )
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def last_lines(self, count: int = 12) -> str:
        """The end of its log."""
        try:
            text = self._layout.log_file(self.program.name).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-count:])


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def end_leftovers(layout: Layout, services: Mapping[str, signal.Signals]) -> list[str]:
    """End what a killed `fleetcell up` left running on this data directory.

    Returns:
        The names of the services that were ended.
    """
    ended: list[str] = []
    for service, stop_signal in services.items():
        process = service_process(layout, service)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(stop_signal)
                try:
                    process.wait(10)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(5)
                ended.append(service)
        layout.pid_file(service).unlink(missing_ok=True)
    return ended
