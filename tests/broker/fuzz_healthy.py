"""Healthy clients beside the fuzzer, in a process of their own: is each answered in time, is nothing lost?

    python -m tests.broker.fuzz_healthy ping|gateway MQTT-PORT WS-PORT BROKER-PID

`ping`: two vehicles, over TCP and WebSocket, take turns with PINGREQ; one publishes a number after each ten.
`gateway`: receives what they (and the fuzzer) publish. Both run until standard input ends, then print a
JSON object.

A late answer is the broker's fault only as far as the broker was running, or could have been. Taken off are
the time that it or this process stood in the kernel's run queue (second number of /proc/PID/schedstat), and
what a thread that does nothing but sleep was late by meanwhile (`Control`): that shows what the kernel does
not tell, such as a virtual machine that stands still. So is what other virtual machines took of its
processors. An answer is not judged at all where the kernel dropped packets meanwhile: TCP sends them again,
after 200 ms or more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.broker.fuzz_cases import BASE
from tests.broker.raw_client import PINGREQ_PACKET, PINGRESP, PUBACK, PUBLISH, RawClient

EVERY_S = 0.005
NUMBERED = b"number "


def secret(name: str) -> str:
    """The secret of an account of the fuzzer."""
    return f"secret-of-{name}"


def queued_ns(pid: int | str) -> int:
    """Nanoseconds that the main thread of a process was ready to run and did not; 0 where it is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def stolen_s() -> float:
    """Seconds that other virtual machines have taken of this one's processors; 0 where it is not told."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def dropped() -> int:
    """Packets that found a processor's queue full (a thousand); on the loopback network, too."""
    try:
        return sum(
            int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines()
        )
    except (OSError, IndexError):
        return 0


class Control:
    """A thread that does nothing but sleep: what it is late by is the machine's doing, not the broker's."""

    def __init__(self) -> None:
        self._late_s = 0.0
        self._due = time.perf_counter() + EVERY_S
        threading.Thread(target=self._run, daemon=True).start()

    def late_s(self) -> float:
        """What it was late by until now, all in all."""
        return self._late_s + max(0.0, time.perf_counter() - self._due)

    def machine_s(self, pid: int) -> float:
        """What the machine has taken from a process until now: time in the run queue, and standing still."""
        return queued_ns(pid) / 1e9 + self.late_s() + stolen_s()

    def _run(self) -> None:
        while True:
            time.sleep(EVERY_S)
            now = time.perf_counter()
            self._late_s += max(0.0, now - self._due)
            self._due = now + EVERY_S


async def connect(name: str, port: int, *, ws: bool) -> RawClient:
    """A connected client."""
    client = await (RawClient.open_ws(port) if ws else RawClient.open_tcp(port))
    answer = await client.login(name, secret(name), keep_alive=60)
    assert answer.body[1] == 0, answer
    return client


async def ping(mqtt_port: int, ws_port: int, pid: int, stop: asyncio.Event) -> dict[str, Any]:
    """Answer times."""
    tcp = await connect("healthy-tcp", mqtt_port, ws=False)
    ws = await connect("healthy-ws", ws_port, ws=True)
    pings = published = not_judged = 0
    worst = worst_own = 0.0
    control = Control()

    def machine_s() -> float:
        return queued_ns("self") / 1e9 + control.machine_s(pid)

    print("ready", flush=True)
    while not stop.is_set():
        client = (tcp, ws)[pings % 2]
        before, lost = machine_s(), dropped()
        started = time.perf_counter()
        client.send(PINGREQ_PACKET)
        await client.expect(PINGRESP, passing=PUBACK)
        took = time.perf_counter() - started
        pings += 1
        worst = max(worst, took)
        if dropped() > lost:
            not_judged += 1
        elif took > worst_own:
            worst_own = max(worst_own, took - (machine_s() - before))
        if pings % 10 == 0:
            published += 1
            tcp.publish(f"{BASE}/healthy-tcp/telemetry", NUMBERED + b"%d" % published, 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
    await tcp.ping()
    return {
        "pings": pings,
        "not_judged": not_judged,
        "worst_ms": worst * 1e3,
        "worst_own_ms": worst_own * 1e3,
        "published": published,
    }


async def gateway(_mqtt_port: int, ws_port: int, _pid: int, stop: asyncio.Event) -> dict[str, Any]:
    """What came of the numbers."""
    client = await connect("gateway", ws_port, ws=True)
    assert await client.subscribe((f"{BASE}/+/telemetry", 1)) == [1]
    print("ready", flush=True)
    messages = last = 0
    in_order = True
    ending: asyncio.Task[bool] = asyncio.create_task(stop.wait())
    while True:
        reading = asyncio.ensure_future(client._read())
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        if not reading.done():
            client.send(PINGREQ_PACKET)  # all that was sent before comes before the answer
        found = await asyncio.wait_for(reading, 60)
        assert found is not None, "the broker closed the gateway's connection"
        if found.kind == PINGRESP and ending.done():
            break
        if found.kind != PUBLISH:
            continue
        messages += 1
        at = 2 + int.from_bytes(found.body[:2], "big")
        if found.flags & 6:
            client.send(b"\x40\x02" + found.body[at : at + 2])
            at += 2
        if found.body[at:].startswith(NUMBERED) and b"/healthy-tcp/" in found.body[:at]:
            number = int(found.body[at + len(NUMBERED) :])
            in_order &= number == last + 1
            last = number
    return {"messages": messages, "last": last, "in_order": in_order}


async def main() -> None:
    role, *numbers = sys.argv[1:]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(0)
        stop.set()

    loop.add_reader(0, ended)  # nothing is ever written to it: readable is its end
    work = ping if role == "ping" else gateway
    mqtt_port, ws_port, pid = map(int, numbers)
    print(json.dumps(await work(mqtt_port, ws_port, pid, stop)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
