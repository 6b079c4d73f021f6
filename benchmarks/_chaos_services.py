"""Processes of the chaos harness that are started again when they end; PostgreSQL among them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ingest.database import connect
from ingest.embedded import EmbeddedPostgres, program_of_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parent.parent
RESTART_S: Final = 0.2
_LINE: Final = 2**24


class Service:
    """One process that is started again when it ends."""

    def __init__(self, name: str, command: Callable[[], tuple[list[str], dict[str, Any]]], log: Path) -> None:
        self.name = name
        self.deaths = 0  # by itself
        self._command = command
        self.log = log
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._expected = False  # whether the next end is our doing
        self._running = asyncio.Event()

    def start(self) -> None:
        """Run it until `stop`."""
        self._keeper = asyncio.create_task(self._keep())

    async def wait_running(self) -> asyncio.subprocess.Process:
        """The process, as soon as there is one."""
        await self._running.wait()
        assert self._process is not None
        return self._process

    @property
    def pids(self) -> list[int]:
        """Of the process and of its children; none while there is none."""
        if self._process is None or self._process.returncode is not None:
            return []
        return [self._process.pid, *_children(self._process.pid)]

    def send(self, what: signal.Signals) -> None:
        """To the process and its children."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    async def end(self, what: signal.Signals = signal.SIGKILL) -> None:
        """End the process by a signal; it is started again."""
        if self._process is None or self._process.returncode is not None:
            return
        self._expected = True
        self.send(signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(what)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 5)
            return
        self.send(signal.SIGKILL)

    async def stop(self, what: signal.Signals = signal.SIGKILL) -> None:
        """End it for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.end(what)

    async def prepare(self) -> None:
        """Before each start."""

    async def started(self, process: asyncio.subprocess.Process) -> None:
        """After each start."""

    async def _keep(self) -> None:
        while True:
            await self.prepare()
            command, options = self._command()
            with self.log.open("ab") as log:
                self._process = process = await asyncio.create_subprocess_exec(
                    *command, **{"stdout": log, "stderr": log, "limit": _LINE, "cwd": ROOT, **options}
                )
            self._expected = False
            self._running.set()
            await self.started(process)
            await process.wait()
            self._running.clear()
            self.deaths += not self._expected
            await asyncio.sleep(RESTART_S)


class Postgres(Service):
    """The embedded server; its leftovers are cleared away before it starts again."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.embedded = EmbeddedPostgres(directory)
        settings = (
            *("--max_wal_size=64MB", "--min_wal_size=32MB", "--max_connections=60"),
            *("--log_lock_waits=on", "--deadlock_timeout=200ms"),  # found before a statement times out
        )

        def command() -> tuple[list[str], dict[str, Any]]:
            environment = {"env": self.embedded.environment(), **self.embedded.popen_options()}
            return [*self.embedded.argv(), *settings], environment

        super().__init__("database", command, log)

    async def prepare(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.embedded.prepare)
            except Exception:  # noqa: BLE001 - the disk is full, or children of a killed server still end
                await asyncio.sleep(RESTART_S)
            else:
                return


class Standby(Postgres):
    """It is copied from the primary by `follow`, and writable after `promote`."""

    def __init__(self, primary: EmbeddedPostgres, directory: Path, log: Path) -> None:
        super().__init__(directory, log)
        self._primary = primary

    async def follow(self, within_s: float) -> None:
        """Copy the primary and run. From here on no COMMIT there is answered before it is on this disk."""
        await asyncio.to_thread(self._copy)
        self.start()
        async with asyncio.timeout(within_s):
            connection = await connect(self._primary.dsn("superuser"))
            try:
                await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                await connection.execute("SELECT pg_reload_conf()")
                state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                while not await connection.fetchval(state):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            finally:
                connection.terminate()

    async def promote(self) -> None:
        """Be the primary from now on."""
        connection = await connect(self.embedded.dsn("superuser"))
        try:
            await connection.execute("SELECT pg_promote()")
        finally:
            connection.terminate()

    def _copy(self) -> None:
        home = self.embedded.directory
        home.mkdir(parents=True)
        shutil.copy2(self._primary.directory / "passwords.json", home)
        subprocess.run(
            [
                *(str(program_of_wheel("pg_basebackup")), "--pgdata", str(home / "data")),
                *("--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"),
                *("--dbname", self._primary.dsn("superuser")),
            ],
            env=self.embedded.environment(),
            check=True,
            capture_output=True,
        )


def _children(pid: int) -> list[int]:
    """Of a process, and theirs."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for pid_ in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            found += [pid_, *_children(pid_)]
    return found
