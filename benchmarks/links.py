"""Cellular links: what the relay delivers, against the definition of the link; what a connection costs."""

import asyncio
import contextlib
import itertools
import re
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil

from vehicle_sim.links import load
from vehicle_sim.links.air import Direction
from vehicle_sim.links.line import HEADER_BYTES, SEGMENT_BYTES
from vehicle_sim.links.mahimahi import read
from vehicle_sim.links.profiles import PROFILES
from vehicle_sim.links.relay import Relay, RelayOptions

ABOUT = "cellular links: throughput, delay and outage through the relay against definition; CPU a connection"

SEED = 5
CONNECTIONS = 1000
MESSAGE = bytes(400)
PROBE_EVERY_S = 0.02
DELAYS_OF = ("lte", "5g", "3g", "rural")
PROBE = struct.Struct("!d")
TRACE_DELAY_S = PROFILES["lte"].up_s + PROFILES["lte"].jitter_s  # traces have the delays of LTE
ON_AIR = (SEGMENT_BYTES + HEADER_BYTES) / SEGMENT_BYTES


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    share = max(seconds / 4, 1.0)
    say("a bulk transfer over a trace with an outage")
    throughput, outage, begin_ms = await over_a_trace(share)
    say("a bulk transfer over LTE, against the same link in virtual time")
    lte = await over_a_profile(share)
    delays = {}
    for name in DELAYS_OF:
        say(f"delays over {name}")
        delays[name] = await delay_ratios(name, share)
    say(f"{CONNECTIONS} connections with a message a second")
    cost, resident, messages = await cost_of_connections("lte", share)
    say("the same on perfect links")
    floor, _, _ = await cost_of_connections("perfect", share)
    return {
        "trace_throughput_ratio": round(throughput, 4),
        "outage_ratio": round(outage, 4),
        "outage_begin_error_ms": round(begin_ms, 2),
        "lte_throughput_ratio": round(lte, 4),
        **{
            f"delay_{name}_{what}_ratio": round(ratio, 4)
            for name, ratios in delays.items()
            for what, ratio in ratios.items()
        },
        "connections": CONNECTIONS,
        "messages_per_s": round(messages),
        "cpu_ms_per_connection_s": round(cost * 1000, 4),
        "cpu_vs_perfect": round(cost / floor, 3),
        "bytes_per_connection": resident,
    }


class Sink(asyncio.Protocol):
    """Notes when how many bytes came. Not by the event loop's clock: uvloop's stands still within a turn."""

    def __init__(self) -> None:
        self.came: list[tuple[float, int]] = []
        self.data = bytearray()
        self.keep = False
        self.grown = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.came.append((time.monotonic(), len(data)))
        if self.keep:
            self.data += data
            self.grown.set()

    async def has(self, size: int) -> None:
        """Return when so many bytes were kept."""
        while len(self.data) < size:
            self.grown.clear()
            await self.grown.wait()


@contextlib.asynccontextmanager
async def relayed(profile: str) -> AsyncIterator[tuple[Relay, float, asyncio.StreamWriter, Sink]]:
    """A relay in this process, when it started, a client of it and where its bytes come out."""
    loop = asyncio.get_running_loop()
    sinks: asyncio.Queue[Sink] = asyncio.Queue()

    def sink() -> Sink:
        made = Sink()
        sinks.put_nowait(made)
        return made

    server = await loop.create_server(sink, "127.0.0.1", 0)
    relay = Relay(
        load(profile, SEED), RelayOptions("127.0.0.1", 0, "127.0.0.1", server.sockets[0].getsockname()[1])
    )
    await relay.start()
    began = time.monotonic() - relay.seconds
    _, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield relay, began, writer, await sinks.get()
    finally:
        writer.transport.abort()
        await relay.stop()
        server.close()


async def send_all(writer: asyncio.StreamWriter, until: float) -> None:
    """Keep the connection full until then (the event loop's clock)."""
    block = bytes(64 * 1024)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while True:
                writer.write(block)
                await writer.drain()


async def over_a_trace(seconds: float) -> tuple[float, float, float]:
    """Throughput and outage as parts of what the trace says, and how late the outage began, ms."""
    period_ms = round(seconds * 1000)
    outage_ms = (period_ms // 4, period_ms * 3 // 4)
    lines = [ms for ms in range(0, period_ms, 2) if not outage_ms[0] < ms <= outage_ms[1]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outage"
        path.write_text("".join(f"{ms}\n" for ms in [*lines, period_ms]))
        says = read(path)
        async with relayed(f"trace:{path}") as (_, began, writer, sink):
            await send_all(writer, began + 2 * seconds)
        times = [at - began for at, _ in sink.came]
    first, last = times[0], times[-1]
    expected, t = 0.0, first - TRACE_DELAY_S
    while t < last - TRACE_DELAY_S:
        rate, until = says.rate(t)
        expected += rate * (min(until, last - TRACE_DELAY_S) - t)
        t = until
    got = sum(size for _, size in sink.came[1:]) * ON_AIR
    gap, begin = max((b - a, a) for a, b in itertools.pairwise(times))
    said = (outage_ms[1] - outage_ms[0]) / 1000
    begins = min((outage_ms[0] / 1000, seconds + outage_ms[0] / 1000), key=lambda at: abs(at - begin))
    return got / expected, gap / said, (begin - begins - TRACE_DELAY_S) * 1000


async def over_a_profile(seconds: float) -> float:
    """The bytes of a bulk transfer over LTE, as a part of what the same link carries in virtual time."""
    async with relayed("lte") as (_, began, writer, sink):
        await send_all(writer, began + seconds)
    end = sink.came[-1][0] - began
    got = sum(size for _, size in sink.came)
    link, now, said = load("lte", SEED).make("client-1"), 0.0, 0
    flow = link.open(0.0)
    while now < end:
        while link.waiting(Direction.UP) < link.profile.buffer_bytes:
            link.send(Direction.UP, flow, bytes(SEGMENT_BYTES), now)
        now = min(end, now + 0.01)
        said += sum(len(found.data) for found in link.advance(now) if isinstance(found.data, bytes))
    return got / said


async def delay_ratios(name: str, seconds: float) -> dict[str, float]:
    """Measured one-way delays of small messages, as parts of those of the same link in virtual time."""
    profile = PROFILES[name]
    async with relayed(name) as (_, began, writer, sink):
        sink.keep = True
        sent = [time.monotonic()]
        writer.write(PROBE.pack(0))  # wakes the radio; not counted
        await asyncio.sleep(profile.promotion_s + 0.3)
        begin = time.monotonic()
        for number in range(round(seconds / PROBE_EVERY_S)):
            await asyncio.sleep(max(0.0, begin + number * PROBE_EVERY_S - time.monotonic()))
            sent.append(time.monotonic())
            writer.write(PROBE.pack(sent[-1]))
        await asyncio.wait_for(sink.has(len(sent) * PROBE.size), 30)
    came = [at for at, size in sink.came for _ in range(size // PROBE.size)]
    link = load(name, SEED).make("client-1")
    flow = link.open(0.0)
    for at in sent:
        link.send(Direction.UP, flow, bytes(PROBE.size), at - began)
    said = [found.at - found.sent_at for found in link.advance(sent[-1] - began + 60.0)]
    measured = [arrived - at for arrived, at in zip(came, sent, strict=True)]
    ratios = {"mean": statistics.mean(measured[1:]) / statistics.mean(said[1:])}
    got, wanted = (statistics.quantiles(delays[1:], n=100) for delays in (measured, said))
    return ratios | {f"p{percent}": got[percent - 1] / wanted[percent - 1] for percent in (50, 90, 99)}


async def cost_of_connections(profile: str, seconds: float) -> tuple[float, int, float]:
    """(CPU seconds a connection and second, resident bytes a connection, messages a second)."""
    loop = asyncio.get_running_loop()
    sinks: list[Sink] = []

    all_there = asyncio.Event()

    def sink() -> Sink:
        sinks.append(Sink())
        if len(sinks) == CONNECTIONS:
            all_there.set()
        return sinks[-1]

    server = await loop.create_server(sink, "127.0.0.1", 0, backlog=CONNECTIONS)
    to = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetcell", "sim", "link", "--listen", "127.0.0.1:0", "--to", to),
        *("--link", profile, "--seed", str(SEED)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        while (found := re.search(rb"relay on [\d.]+:(\d+) ", await process.stderr.readline())) is None:
            pass
        relay = psutil.Process(process.pid)
        before = relay.memory_info().rss
        writers = [(await asyncio.open_connection("127.0.0.1", int(found[1])))[1] for _ in range(CONNECTIONS)]
        await all_there.wait()
        await asyncio.gather(*(send_now_and_then(writer, 1.5, n) for n, writer in enumerate(writers)))
        resident = (relay.memory_info().rss - before) // CONNECTIONS
        cpu, began = sum(relay.cpu_times()[:2]), loop.time()
        count = sum(len(made.came) for made in sinks)
        await asyncio.gather(*(send_now_and_then(writer, seconds, n) for n, writer in enumerate(writers)))
        took = loop.time() - began
        used = sum(relay.cpu_times()[:2]) - cpu
        messages = (sum(len(made.came) for made in sinks) - count) / took
        for writer in writers:
            writer.transport.abort()
    finally:
        process.terminate()
        await process.wait()
        server.close()
    return used / took / CONNECTIONS, resident, messages


async def send_now_and_then(writer: asyncio.StreamWriter, seconds: float, number: int) -> None:
    """A message a second, each connection at its own moment."""
    loop = asyncio.get_running_loop()
    due = loop.time() + number / CONNECTIONS
    end = loop.time() + seconds
    while due < end:
        await asyncio.sleep(max(0.0, due - loop.time()))
        writer.write(MESSAGE)
        due += 1.0
    await asyncio.sleep(max(0.0, end - loop.time()))
