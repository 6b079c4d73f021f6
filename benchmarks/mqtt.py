"""The MQTT bridge: round trips through a Mosquitto on this machine, against paho's own network loop."""

import asyncio
import contextlib
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from fleetcell.mqtt import Message, MqttBridge

ABOUT = "MQTT bridge: QoS 1 round trips through Mosquitto, against paho's own thread; cost of a client"

PAYLOAD = bytes(200)
WINDOW = 200  # messages on their way
CLIENTS = 500


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    with mosquitto() as (mqtt_url, ws_url, port):
        share = seconds / 4
        say("the bridge over TCP")
        tcp, tcp_us = await bridge_rate(mqtt_url, share)
        say("the bridge over WebSocket")
        ws, ws_us = await bridge_rate(ws_url, share)
        say("paho with a thread, over TCP")
        own = await asyncio.to_thread(paho_rate, port, "tcp", share)
        say("paho with a thread, over WebSocket")
        own_ws = await asyncio.to_thread(
            paho_rate, int(ws_url.rsplit(":", 1)[1].split("/")[0]), "websockets", share
        )
        say(f"{CLIENTS} idle clients")
        connect_s, client_bytes, cpu = await idle_clients(ws_url, share)
    return {
        "tcp_msgs_per_s": round(tcp),
        "ws_msgs_per_s": round(ws),
        "tcp_cpu_us": round(tcp_us, 1),  # of a round trip: PUBLISH out and in, and a PUBACK for each
        "ws_cpu_us": round(ws_us, 1),
        "vs_paho_tcp": round(tcp / own, 3),
        "vs_paho_ws": round(ws / own_ws, 3),
        "clients": CLIENTS,
        "connect_s": round(connect_s, 3),
        "client_bytes": client_bytes,
        "idle_cpu_ratio": round(cpu, 4),
    }


@contextlib.contextmanager
def mosquitto() -> Iterator[tuple[str, str, int]]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise SystemExit("this benchmark needs Mosquitto: apt-get install mosquitto")
    mqtt_port, ws_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "mosquitto.conf"
        config.write_text(
            "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
            f"listener {mqtt_port} 127.0.0.1\nlistener {ws_port} 127.0.0.1\nprotocol websockets\n"
        )
        folder.chmod(0o755)  # started as root, Mosquitto reads it as another user
        process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        try:
            yield f"mqtt://127.0.0.1:{mqtt_port}", f"ws://127.0.0.1:{ws_port}/mqtt", mqtt_port
        finally:
            process.terminate()
            process.wait()


async def bridge_rate(url: str, seconds: float) -> tuple[float, float]:
    """Messages published with QoS 1 and received back, a second; and µs of this process's CPU for each."""
    returned = 0

    def receive(_message: Message) -> None:
        nonlocal returned
        returned += 1

    bridge = MqttBridge(url, client_id="bench", subscriptions=[("bench", 1)], receive=receive)
    async with served(bridge):
        until = time.perf_counter() + seconds

        async def publisher() -> None:
            while time.perf_counter() < until:
                await bridge.publish("bench", PAYLOAD, qos=1)

        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(publisher() for _ in range(WINDOW)))
        rate = returned / (time.perf_counter() - started)
        return rate, (time.process_time() - cpu) / max(1, returned) * 1e6


@contextlib.asynccontextmanager
async def served(*bridges: MqttBridge) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(bridge.run()) for bridge in bridges]
    await asyncio.gather(*(bridge.wait_connected() for bridge in bridges))
    yield
    await asyncio.gather(*(bridge.disconnect() for bridge in bridges))
    await asyncio.gather(*tasks)


def paho_rate(port: int, transport: str, seconds: float) -> float:
    """The same with paho alone: its thread, its socket, a window of as many messages."""
    client = Client(CallbackAPIVersion.VERSION2, transport=transport)  # type: ignore[arg-type]
    client.max_inflight_messages_set(WINDOW)
    room = threading.Semaphore(WINDOW)
    subscribed = threading.Event()
    returned = 0

    def on_message(*_: object) -> None:
        nonlocal returned
        returned += 1

    def subscribe() -> None:
        client.subscribe("bench", 1)

    client.on_message = on_message
    client.on_publish = lambda *_: room.release()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda *_: subscribe()
    client.connect("127.0.0.1", port)
    client.loop_start()
    subscribed.wait()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        room.acquire()
        client.publish("bench", PAYLOAD, 1)
    rate = returned / (time.perf_counter() - started)
    client.disconnect()
    client.loop_stop()
    return rate


async def idle_clients(url: str, seconds: float) -> tuple[float, int, float]:
    """Seconds until all are connected; bytes of memory a client; CPU seconds a second while idle."""
    bridges = [
        MqttBridge(url, client_id=f"idle-{i}", subscriptions=[(f"idle/{i}", 1)]) for i in range(CLIENTS)
    ]
    memory = resident_bytes()
    started = time.perf_counter()
    async with served(*bridges):
        connect_s = time.perf_counter() - started
        grown = resident_bytes() - memory
        cpu = time.process_time()
        await asyncio.sleep(seconds)
        return connect_s, grown // CLIENTS, (time.process_time() - cpu) / seconds


def resident_bytes() -> int:
    """Resident memory of this process; the peak where the system tells no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
