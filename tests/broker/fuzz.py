"""Fuzz the broker's own process while healthy clients are connected.

    python -m tests.broker.fuzz [--packets 1000000] [--seed N]

Fails when the broker crashes, logs a traceback, takes over 100 ms of CPU time for one turn of its event loop,
stalls for over 100 ms of its own (seen by a client that pings every 5 ms; `fuzz_healthy` tells the machine's
share from the broker's), ends a healthy client, loses one of its messages, or keeps connections, sessions,
objects or memory. The seed that is printed gives the same bytes again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import uvloop
from rich.progress import Progress

from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac
from fleetcell.contract.topics import Role
from tests.broker.fuzz_cases import HOSTILE, plan
from tests.broker.fuzz_healthy import Control, secret
from tests.broker.raw_client import DISCONNECT_PACKET, connect_packet
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.broker.fuzz_cases import Plan

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
AT_A_TIME = 24
STALL_MS = 100.0
WAIT_S = 0.05  # for the broker to close a connection
RETURN_S = 60.0  # for connections and sessions to go
GROWTH_BYTES = 32 * 2**20  # of memory, from the tenth part of the run to its end
GROWTH_OBJECTS = 20_000
MEMORY = Path("/dev/shm")
HEALTHY = {"healthy-tcp", "healthy-ws", "gateway"}


@dataclass
class Report:
    """What came of a run; `faults` and `stalls` are empty when all went well.

    A stall is an answer that was late. What is the broker's comes again with the same packets; what is not is
    a machine that stood still in a way that it does not tell.
    """

    seed: int
    packets: int = 0
    connections: int = 0
    seconds: float = 0.0
    healthy: dict[str, Any] = field(default_factory=dict)
    lag_ms: float = 0.0
    lag_own_ms: float = 0.0
    turn_ms: float = 0.0
    memory: tuple[int, int] = (0, 0)
    objects: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)
    stalls: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """A few lines for people."""
        healthy, mib = self.healthy, 2**20
        worst, own = healthy.get("worst_ms", 0.0), healthy.get("worst_own_ms", 0.0)
        lines = [
            f"seed {self.seed}: {self.packets:,} packets, {self.connections:,} connections",
            f"{self.seconds:.0f} s, {self.packets / max(self.seconds, 0.001):,.0f} packets a second",
            f"healthy clients: {healthy.get('pings', 0):,} pings",
            f"not judged, the kernel dropped packets: {healthy.get('not_judged', 0):,}",
            f"their slowest answer: {worst:.0f} ms, {own:.0f} ms without the machine's share",
            f"messages of a healthy client: {healthy.get('last', 0):,} of {healthy.get('published', 0):,}",
            f"lag that the broker measured: {self.lag_ms:.0f} ms, {self.lag_own_ms:.0f} ms likewise",
            f"longest turn of the broker: {self.turn_ms:.1f} ms of CPU time",
            f"memory: {self.memory[0] / mib:.1f} MiB after a tenth, {self.memory[1] / mib:.1f} at the end",
            f"objects: {self.objects[0]:,} and {self.objects[1]:,}",
        ]
        return "\n".join([*lines, *(f"FAULT: {fault}" for fault in (*self.faults, *self.stalls))])


class Target:
    """The broker's process."""

    def __init__(self, folder: Path) -> None:
        self.longest_turn_ms = 0.0
        self._folder = folder
        self._counts = folder / "objects.json"
        self.log_file = folder / "broker.log"

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        names = [*HOSTILE, "healthy-tcp", "healthy-ws"]
        units = {name: mac(KEY, secret(name)) for name in names}
        services = {"gateway": ServiceCredential(Role.GATEWAY, mac(KEY, secret("gateway")), "helsinki")}
        credentials, key_file = self._folder / "credentials.json", self._folder / "credentials.key"
        credentials.write_bytes(encode_file(CredentialsFile(units, services)))
        key_file.write_bytes(KEY)
        self.mqtt_port, self.ws_port, self._metrics_port = free_ports(3)
        environment = {
            "FLEETCELL_MQTT_PORT": str(self.mqtt_port),
            "FLEETCELL_WS_PORT": str(self.ws_port),
            "FLEETCELL_METRICS_PORT": str(self._metrics_port),
            "FLEETCELL_CREDENTIALS_FILE": str(credentials),
            "FLEETCELL_CREDENTIALS_KEY_FILE": str(key_file),
            "FLEETCELL_CONNECT_TIMEOUT_S": "2",
            "FLEETCELL_LOG_LEVEL": "warning",
        }
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.broker.fuzz_target", self._counts],
                cwd=ROOT,
                env={**os.environ, **environment},
                stderr=log,
            )
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                await self.metrics()
                return
            assert self.process.poll() is None, self.log_file.read_text()
            assert time.monotonic() < until, "the broker does not listen"
            await asyncio.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    async def metrics(self) -> dict[str, float]:
        """The metrics without labels."""
        address = f"http://127.0.0.1:{self._metrics_port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(address, timeout=60).read().decode())
        lines = (
            line.split(" ") for line in text.splitlines() if line[:1] not in ("#", "") and "{" not in line
        )
        return {name.removeprefix("fleetcell_broker_"): float(value) for name, value in lines}

    async def objects(self) -> dict[str, int]:
        """Its objects, counted by itself."""
        self._counts.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(60):
            while not self._counts.exists():
                await asyncio.sleep(0.01)
        found = json.loads(self._counts.read_text())
        self.longest_turn_ms = float(found["longest_turn_ms"])
        return {str(name): int(count) for name, count in found["objects"].items()}

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


class Healthy:
    """A process of healthy clients."""

    def __init__(self, role: str, target: Target) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.broker.fuzz_healthy",
                role,
                str(target.mqtt_port),
                str(target.ws_port),
                str(target.process.pid),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.role = role

    async def ready(self) -> None:
        """Wait until its clients are connected."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        assert line == b"ready\n", self.stop()

    def gone(self) -> bool:
        """Whether it ended before it was told to."""
        return self._process.poll() is not None

    def stop(self) -> dict[str, Any]:
        """Its report; that of a fault when it failed."""
        out, error = self._process.communicate(timeout=60)
        if self._process.returncode:
            return {"fault": f"{self.role}: {error.decode()[-2000:]}"}
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return report

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Hostile(asyncio.Protocol):
    """One connection of the fuzzer: what comes is counted as an answer, no more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.answered = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.answered.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()
        self.answered.set()

    @classmethod
    async def attack(cls, attempt: Plan, target: Target) -> None:
        """Do what the plan says."""
        loop = asyncio.get_running_loop()
        port = target.mqtt_port if attempt.upgrade is None else target.ws_port
        transport, self = await loop.create_connection(
            cls, "127.0.0.1", port, local_addr=(attempt.address, 0)
        )
        try:
            await self._send(transport, attempt)
            if attempt.waits:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.ended.wait(), WAIT_S)
        finally:
            transport.abort()

    async def _send(self, transport: asyncio.Transport, attempt: Plan) -> None:
        if attempt.upgrade is not None:
            transport.write(attempt.upgrade)
            if not attempt.eager:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.answered.wait(), WAIT_S)
        if not attempt.reads and not self.ended.is_set():
            transport.pause_reading()
        for data in attempt.writes:
            if self.ended.is_set():
                return
            transport.write(data)
            await asyncio.sleep(0)


class Run:
    """One run of the fuzzer."""

    def __init__(self, packets: int, seed: int, told: Callable[[int], None]) -> None:
        self._wanted = packets
        self._told = told
        self._next = 0
        self.report = Report(seed)

    async def __call__(self) -> Report:
        """Run; the report."""
        # In memory where there is some: that a log waits for the disk is the machine's doing, and not told.
        memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix=f"fleetcell-tests-{os.getpid()}-", dir=memory) as folder:
            target = Target(Path(folder))
            healthy: list[Healthy] = []
            try:
                await target.start()
                for role in ("gateway", "ping"):  # who hears the numbers is there before who sends them
                    process = Healthy(role, target)
                    healthy.append(process)
                    await process.ready()
                await self._attack(target, healthy)
            finally:
                for process in healthy:
                    process.kill()
                code = target.stop()
            self._fault(code != 0, f"the broker ended with {code}")
            log = target.log_file.read_text(errors="replace")
            at = log.find("Traceback")
            self._fault(at >= 0, f"a traceback in its log:\n{log[max(0, at - 500) : at + 3_000]}")
        return self.report

    async def _attack(self, target: Target, healthy: list[Healthy]) -> None:
        report = self.report
        started = time.monotonic()
        watching = asyncio.create_task(self._watch_lag(target))
        await self._send(target, healthy, self._wanted // 10)
        before, memory = await self._rest(target), target.memory()
        await self._send(target, healthy, self._wanted)
        report.seconds = time.monotonic() - started
        watching.cancel()
        await asyncio.wait([watching])
        after = await self._rest(target)
        report.memory = memory, target.memory()
        report.objects = before["all"], after["all"]
        report.turn_ms = target.longest_turn_ms
        for process in reversed(healthy):
            report.healthy |= await asyncio.to_thread(process.stop)
        self._judge(before, after)

    async def _send(self, target: Target, healthy: list[Healthy], until: int) -> None:
        """Send plans, so many at a time, until enough packets are out or something is broken."""

        async def worker() -> None:
            while self.report.packets < until and not broken():
                attempt = plan(self.report.seed, self._next, secret)
                self._next += 1
                with contextlib.suppress(ConnectionError):
                    await Hostile.attack(attempt, target)
                self.report.packets += attempt.packets
                self.report.connections += 1
                self._told(attempt.packets)

        def broken() -> bool:
            return target.process.poll() is not None or any(process.gone() for process in healthy)

        await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))

    async def _watch_lag(self, target: Target) -> None:
        """The lag that the broker measures itself; a peak of it fades over some ten seconds."""
        report, last, control, pid = self.report, 0.0, Control(), target.process.pid
        machine_s = control.machine_s(pid)
        while True:
            await asyncio.sleep(1)
            with contextlib.suppress(OSError):
                lag = 1e3 * (await target.metrics())["event_loop_lag_seconds"]
                now = control.machine_s(pid)
                if lag > last:  # a new peak, in this second
                    report.lag_ms = max(report.lag_ms, lag)
                    report.lag_own_ms = max(report.lag_own_ms, lag - 1e3 * (now - machine_s))
                last, machine_s = lag, now

    async def _rest(self, target: Target) -> dict[str, int]:
        """End the sessions that are kept; only the healthy clients may be left. The objects then."""
        for name in HOSTILE:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.mqtt_port)
            writer.write(connect_packet(name, name, secret(name)) + DISCONNECT_PACKET)
            await reader.read()
            writer.close()
        until = time.monotonic() + RETURN_S
        while True:
            found = await target.metrics()
            open_now, sessions = found["connections"], found["sessions"]
            objects = await target.objects()
            if open_now == sessions == objects["Link"] == objects["Session"] == len(HEALTHY):
                return objects
            if time.monotonic() > until:
                self._fault(True, f"left over: {open_now} connections, {sessions} sessions, {objects}")
                return objects
            await asyncio.sleep(0.2)

    def _judge(self, before: dict[str, int], after: dict[str, int]) -> None:
        report, healthy = self.report, self.report.healthy
        self._fault("fault" in healthy, f"a healthy client: {healthy.get('fault')}")
        turn = report.turn_ms
        self._fault(turn > STALL_MS, f"a turn of the event loop took {turn:.0f} ms of CPU time")
        own = healthy.get("worst_own_ms", 0.0)
        if own > STALL_MS:
            report.stalls.append(f"a healthy client waited {own:.0f} ms for the broker")
        if report.lag_own_ms > STALL_MS:
            report.stalls.append(f"the event loop was late by {report.lag_own_ms:.0f} ms")
        arrived = healthy.get("last") == healthy.get("published") and healthy.get("in_order")
        self._fault(not arrived, f"messages of a healthy client were lost: {healthy}")
        grown = {
            name: (before[name], count)
            for name, count in after.items()
            if count > before[name] + (GROWTH_OBJECTS if name == "all" else 0)
        }
        self._fault(bool(grown), f"objects left over: {grown}")
        memory = report.memory[1] - report.memory[0]
        self._fault(memory > GROWTH_BYTES, f"{memory:,} bytes of memory left over")

    def _fault(self, is_one: bool, text: str) -> None:
        if is_one:
            self.report.faults.append(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.broker.fuzz", description="Fuzz the broker.")
    parser.add_argument("--packets", type=int, default=1_000_000, help="how many to send (1,000,000)")
    parser.add_argument("--seed", type=int, default=None, help="that of an earlier run; a fresh one")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with Progress() as progress:
        bar = progress.add_task("packets", total=options.packets)
        report = uvloop.run(Run(options.packets, seed, lambda count: progress.advance(bar, count))())
    print(report)
    return 1 if report.faults or report.stalls else 0


if __name__ == "__main__":
    sys.exit(main())
