"""A running `fleetcell up` for tests: started as a user would, asked through its API."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.ports import free_ports

READY_S = 90.0
PATIENCE_S = 60.0


T = TypeVar("T")


def until(look: Callable[[], T], *, within: float = PATIENCE_S, what: str = "") -> T:
    """Ask another process again and again, until what it says is true."""
    give_up = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within:g} s: {what or look}")
        time.sleep(0.1)


@dataclass(slots=True)
class RunningPlatform:
    """One `fleetcell up`."""

    data: Path
    process: subprocess.Popen[str]
    url: str
    link: str
    key: str

    def get(self, path: str, **params: Any) -> Any:
        """GET as the administrator."""
        answer = self.ask("GET", path, params=params)
        answer.raise_for_status()
        return answer.json()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request as the administrator."""
        headers = {"Authorization": f"Bearer {self.key}"}
        # verify: certificates are read anew for each client, 14 ms that nobody needs on http
        with httpx.Client(
            base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=False
        ) as client:
            return client.request(method, path, **options)

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list."""
        cursor: str | None = None
        while True:
            page = self.get(path, **params, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def states(self) -> dict[str, int]:
        """How many vehicles are in each state; states without vehicles are left out."""
        return {state: count for state, count in self.get("/api/v1/fleet")["states"].items() if count}

    def pid(self, service: str) -> int:
        """The process id of a service."""
        return int((self.data / "run" / f"{service}.pid").read_text())

    def kill(self, service: str) -> None:
        """SIGKILL a service, and wait until the supervisor has started it again."""
        killed = self.pid(service)
        os.kill(killed, signal.SIGKILL)
        path = self.data / "run" / f"{service}.pid"
        until(
            lambda: path.exists() and path.read_text().strip() not in ("", str(killed)),
            what=f"{service} again",
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A `fleetcell` command beside it, in the background."""
        started = command(*arguments, "--data", str(self.data))
        return subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, within: float = 120) -> subprocess.CompletedProcess[str]:
        """A `fleetcell` command beside it, to its end."""
        return subprocess.run(
            command(*arguments, "--data", str(self.data)),
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )

    def logs(self) -> str:
        """The ends of all logs, for a failed test."""
        return "\n".join(
            f"-- {path.name} --\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:])
            for path in sorted((self.data / "logs").glob("*.log"))
        )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def command(*arguments: str) -> list[str]:
    """`fleetcell` with the Python of the tests."""
    return [sys.executable, "-m", "fleetcell", *arguments]


@contextmanager
def running_platform(data: Path, *arguments: str, **environment: str) -> Iterator[RunningPlatform]:
    """`fleetcell up` on free ports, stopped cleanly in the end."""
    flags = ("--port", "--ws-port", "--mqtt-port")
    ports = [word for flag, port in zip(flags, free_ports(3), strict=True) for word in (flag, str(port))]
    process = subprocess.Popen(
        command("up", "--data", str(data), *ports, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"at (http://\S+) .*?(http://\S+/sign-in\S+)", line)
        if found is None:
            process.terminate()
            raise AssertionError(f"`fleetcell up` did not start: {line!r}\n{process.communicate()[1]}")
        yield RunningPlatform(data, process, found[1], found[2], (data / "admin.key").read_text().strip())
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
