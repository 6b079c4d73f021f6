"""The load generator of the broker benchmark: a process of its own for each broker.

Commands come as JSON lines on standard input, results go as JSON lines to standard output; `Generator` is
that process seen from the benchmark.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections import deque
from typing import Any, Final, NamedTuple, Self

import psutil

from benchmarks._clients import Account, Client, LoadError, Target, open_all, publish_packet

REGION: Final = "helsinki"
GATEWAY: Final = "bench-gateway"
TO_ALL: Final = f"fleet/v1/{REGION}/gateway"  # what the gateway tells all units
MEMBERS: Final = 1_000
PAYLOAD: Final = bytes(200)
UNDER_WAY: Final = 10_000  # messages sent and not yet received, at most
_SETTLE_S: Final = 5.0
_QUIET_S: Final = 0.05
_SILENT_S: Final = 0.5  # then what is under way counts as lost


def unit(kind: str, number: int) -> str:
    """A vehicle id; all have one length, so that all messages have."""
    return f"{kind}{number:05}"


class Rate(NamedTuple):
    """What came at the subscribers in the measured time."""

    messages: int
    seconds: float
    broker_cpu_s: float
    generator_cpu_s: float
    lost: int


class Load:
    """The clients of one broker."""

    def __init__(self, port: int, ws_port: int, pid: int, secret: str, under_way: int) -> None:
        self._under_way = under_way
        self._ports = {False: port, True: ws_port}
        self._broker = psutil.Process(pid)
        self._own = psutil.Process()
        self._secret = secret
        self._members: list[Client] = []
        self._idle: list[Client] = []
        self._gateway: Client | None = None

    def _client(self, name: str, ws: bool, topic_filter: str, will: str | None = None) -> Client:
        return Client(Target(self._ports[ws], ws), Account(name, self._secret), topic_filter, will)

    # -- commands -------------------------------------------------------------------------------------

    def idle(self, count: int, ws: bool) -> float:
        """Add clients that subscribe to their own commands and are silent; seconds to connect them."""
        names = [unit("i", len(self._idle) + number) for number in range(count)]
        new = [self._client(name, ws, f"fleet/v1/{REGION}/{name}/command") for name in names]
        self._idle += new
        return open_all(new)

    def leave(self) -> None:
        """All idle clients are lost."""
        for client in self._idle:
            client.close()
        self._idle.clear()

    def storm(self, count: int, ws: bool) -> float:
        """Clients with wills are lost all at once and come back all at once; seconds until all are back."""

        def clients() -> list[Client]:
            names = [unit("i", number) for number in range(count)]
            base = f"fleet/v1/{REGION}"
            return [
                self._client(name, ws, f"{base}/{name}/command", f"{base}/{name}/presence") for name in names
            ]

        first = clients()
        open_all(first)
        for client in first:
            client.close()
        self._idle = clients()
        took = open_all(self._idle)
        self.leave()
        return took

    def join(self, ws: bool) -> None:
        """The thousand units and the gateway of the measurements."""
        names = [unit("p", number) for number in range(MEMBERS)]
        self._members = [self._client(name, ws, TO_ALL) for name in names]
        self._gateway = self._client(GATEWAY, ws, f"fleet/v1/{REGION}/+/telemetry")
        open_all([*self._members, self._gateway])

    def part(self) -> None:
        """They go."""
        for client in [*self._members, *([self._gateway] if self._gateway else [])]:
            client.close()
        self._members, self._gateway = [], None

    def _settle(self) -> None:
        """Read what is left of the measurement before, until nothing comes."""
        poll = select.epoll()
        clients = {client.socket.fileno(): client for client in self._members}
        if self._gateway is not None:
            clients[self._gateway.socket.fileno()] = self._gateway
        for number in clients:
            poll.register(number, select.EPOLLIN)
        until = time.perf_counter() + _SETTLE_S
        while (events := poll.poll(_QUIET_S)) and time.perf_counter() < until:
            for number, _ in events:
                clients[number].take_messages()
        for client in clients.values():
            client.stream = b""
        poll.close()

    def fan_in(self, qos: int, burst: int, seconds: float) -> Rate:
        """Units publish, the gateway receives.

        Args:
            qos: 0 or 1; at 1 a unit publishes again when all of its last burst is acknowledged.
            burst: Messages a unit writes in one go.
            seconds: How long to measure, after a third of it to get going.
        """
        self._settle()
        gateway = self._gateway
        assert gateway is not None
        units = {}
        for client in self._members:
            topic = f"fleet/v1/{REGION}/{client.account.name}/telemetry"
            packets = [publish_packet(topic, PAYLOAD, qos, number + 1) for number in range(burst)]
            client.load = b"".join(map(client.framed, packets))
            client.awaited = 0
            units[client.socket.fileno()] = client
        ready = deque(self._members)
        meter = _Meter(self, seconds)
        poll = select.epoll()
        for number in (gateway.socket.fileno(), *units):
            poll.register(number, select.EPOLLIN)
        gateway_number = gateway.socket.fileno()
        acknowledged = 4 * burst * qos
        while not meter.over:
            while ready and meter.under_way + burst <= self._under_way and not meter.draining:
                client = ready.popleft()
                client.send(client.load)
                client.awaited = acknowledged
                meter.under_way += burst
                if not qos:
                    ready.append(client)
                    if meter.under_way % 500 == 0:
                        break
            for number, _ in poll.poll(0 if ready and meter.under_way + burst <= self._under_way else 0.05):
                if number == gateway_number:
                    meter.came(gateway.take_messages())
                    continue
                client = units[number]
                client.awaited -= len(client.receive())
                if client.awaited == 0:
                    ready.append(client)
            meter.tick()
        poll.close()
        return meter.result()

    def fan_out(self, qos: int, seconds: float) -> Rate:
        """The gateway publishes, all units receive; counted are the messages received."""
        self._settle()
        gateway = self._gateway
        assert gateway is not None
        gateway.load = gateway.framed(publish_packet(TO_ALL, PAYLOAD, qos))
        members = {client.socket.fileno(): client for client in self._members}
        meter = _Meter(self, seconds)
        poll = select.epoll()
        gateway_number = gateway.socket.fileno()
        for number in (gateway_number, *members):
            poll.register(number, select.EPOLLIN)
        while not meter.over:
            while meter.under_way + MEMBERS <= self._under_way and not meter.draining:
                gateway.send(gateway.load)
                meter.under_way += MEMBERS
            for number, _ in poll.poll(0.05):
                if number == gateway_number:
                    gateway.receive()
                else:
                    meter.came(members[number].take_messages())
            meter.tick()
        poll.close()
        return meter.result()

    def cpu(self) -> tuple[float, float]:
        """CPU seconds of the broker and of this process."""
        broker, own = self._broker.cpu_times(), self._own.cpu_times()
        return broker.user + broker.system, own.user + own.system


class _Meter:
    """Counts: first it lets the load get going, then it measures, then it waits for the last messages."""

    def __init__(self, load: Load, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        now = time.perf_counter()
        self._starts = now + seconds / 3
        self._ends = float("inf")
        self._last = now
        self._count = 0
        self._lost = 0
        self._cpu = (0.0, 0.0)
        self._rate: Rate | None = None
        self._measuring = False
        self.under_way = 0

    @property
    def draining(self) -> bool:
        return self._rate is not None

    @property
    def over(self) -> bool:
        return self._rate is not None and self.under_way <= 0

    def came(self, count: int) -> None:
        self._count += count
        self.under_way -= count
        if count:
            self._last = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        if self.under_way and now - self._last > _SILENT_S * (4 if self._rate is None else 1):
            self._lost += self.under_way
            self.under_way = 0
            self._last = now
        if not self._measuring and now >= self._starts:
            self._measuring = True
            self._starts, self._count, self._cpu = now, 0, self._load.cpu()
            self._ends = now + self._seconds
        elif now >= self._ends and self._rate is None:
            broker, own = self._load.cpu()
            self._rate = Rate(
                self._count, now - self._starts, broker - self._cpu[0], own - self._cpu[1], self._lost
            )

    def result(self) -> Rate:
        assert self._rate is not None
        return self._rate._replace(lost=self._lost)


class Generator:
    """The load process of one broker, by its commands."""

    def __init__(self, port: int, ws_port: int, pid: int, secret: str, under_way: int = UNDER_WAY) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._ask("Load", port=port, ws_port=ws_port, pid=pid, secret=secret, under_way=under_way)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, name: str, **arguments: Any) -> Any:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise LoadError("the load process has no pipes")
        process.stdin.write(json.dumps([name, arguments]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise LoadError("the load process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise LoadError(answer["error"])
        return answer["result"]

    def idle(self, count: int, *, ws: bool) -> float:
        return float(self._ask("idle", count=count, ws=ws))

    def leave(self) -> None:
        self._ask("leave")

    def storm(self, count: int, *, ws: bool) -> float:
        return float(self._ask("storm", count=count, ws=ws))

    def join(self, *, ws: bool) -> None:
        self._ask("join", ws=ws)

    def part(self) -> None:
        self._ask("part")

    def fan_in(self, qos: int, burst: int, seconds: float) -> Rate:
        return Rate(*self._ask("fan_in", qos=qos, burst=burst, seconds=seconds))

    def fan_out(self, qos: int, seconds: float) -> Rate:
        return Rate(*self._ask("fan_out", qos=qos, seconds=seconds))


def main() -> None:
    load: Load | None = None
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            if load is None:
                load = Load(**arguments)
                answer: dict[str, Any] = {"result": None}
            else:
                answer = {"result": getattr(load, name)(**arguments)}
        except (LoadError, OSError) as error:
            answer = {"error": f"{name}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
