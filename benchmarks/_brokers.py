"""The brokers of the benchmark, each a process of its own: ours, stock amqtt on uvloop, Mosquitto, aedes.

Ours checks credentials and access rules; the others let everybody do everything, which is in their favour.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks._load import GATEWAY, MEMBERS, REGION, unit
from fleetcell.contract.credentials import CredentialsFile, ServiceCredential, encode_file, mac, new_secret
from fleetcell.contract.topics import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Starter = Callable[[Path], contextlib.AbstractContextManager["Running"]]

IDLE: Final = 5_000
_START_S: Final = 60.0
_AEDES: Final = ("aedes@1.2.0", "ws@8")
_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetcell" / "benchmarks"


@dataclass
class Running:
    """A broker that listens."""

    name: str
    pid: int
    mqtt_port: int
    ws_port: int
    secret: str

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)


@contextlib.contextmanager
def _started(
    name: str, command: list[str], ports: tuple[int, int], secret: str = "", **environment: str
) -> Iterator[Running]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + _START_S
        while not all(_listens(port) for port in ports):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{name} did not start")
            time.sleep(0.02)
        yield Running(name, process.pid, *ports, secret)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ours(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """The embedded broker, for the clients of its own benchmark."""
    names = [unit("p", number) for number in range(MEMBERS)] + [unit("i", number) for number in range(IDLE)]
    return embedded(folder, names)


def embedded(folder: Path, names: Iterable[str]) -> contextlib.AbstractContextManager[Running]:
    """The embedded broker as `fleetcell broker` runs it, for units of these names and a gateway."""
    secret, key = new_secret(), os.urandom(32).hex()
    kept = mac(key.encode(), secret)
    services = {GATEWAY: ServiceCredential(Role.GATEWAY, kept, REGION)}
    credentials, key_file = folder / "credentials.json", folder / "credentials.key"
    credentials.write_bytes(encode_file(CredentialsFile(dict.fromkeys(names, kept), services)))
    key_file.write_text(key)
    ports = free_port(), free_port()
    return _started(
        "ours",
        [sys.executable, "-m", "fleetcell", "broker"],
        ports,
        secret,
        FLEETCELL_MQTT_PORT=str(ports[0]),
        FLEETCELL_WS_PORT=str(ports[1]),
        FLEETCELL_CREDENTIALS_FILE=str(credentials),
        FLEETCELL_CREDENTIALS_KEY_FILE=str(key_file),
        FLEETCELL_LOG_LEVEL="error",
    )


def versions() -> dict[str, str]:
    """Of the brokers, and of what ours stands on."""
    found = {name: metadata.version(name) for name in ("uvloop", "picows", "amqtt")}
    said = subprocess.run([_mosquitto_program(), "-h"], capture_output=True, text=True, check=False).stdout
    matched = re.search(r"version (\S+)", said)
    return {**found, "Mosquitto": matched[1] if matched else "?", "aedes": _AEDES[0].rpartition("@")[2]}


def stock(_folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Amqtt as it comes, on uvloop."""
    ports = free_port(), free_port()
    return _started("stock", [sys.executable, "-m", "benchmarks._brokers", *map(str, ports)], ports)


def mosquitto(folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Mosquitto without bounds on queues."""
    ports = free_port(), free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        "allow_anonymous true\npersistence false\nlog_type error\nmax_queued_messages 0\n"
        f"max_inflight_messages 0\nset_tcp_nodelay true\nlistener {ports[0]} 127.0.0.1\n"
        f"listener {ports[1]} 127.0.0.1\nprotocol websockets\n"
    )
    folder.chmod(0o755)  # started as root, Mosquitto reads it as another user
    return _started("mosquitto", [_mosquitto_program(), "-c", str(config)], ports)


def _mosquitto_program() -> str:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("this benchmark needs Mosquitto: apt-get install mosquitto")
    return program


def aedes(_folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Aedes on Node.js; npm gets it once into the user's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("this benchmark needs Node.js 20 and npm for aedes")
    modules = _CACHE / "aedes"
    if not (modules / "node_modules" / "aedes").is_dir():
        modules.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(modules), *_AEDES]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    script = modules / "broker.mjs"  # Node.js looks for modules beside the script
    shutil.copyfile(Path(__file__).with_name("_aedes.mjs"), script)
    ports = free_port(), free_port()
    return _started("aedes", [node, str(script), *map(str, ports)], ports)


BROKERS: Final[dict[str, Starter]] = {
    "ours": ours,
    "mosquitto": mosquitto,
    "aedes": aedes,
    "stock": stock,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _serve_stock(port: int, ws_port: int) -> None:
    import websockets  # noqa: PLC0415 - in the process that needs it
    from amqtt.broker import Broker  # noqa: PLC0415

    # Its own pings would end the load's clients, which read only while they are measured.
    websockets.serve = functools.partial(websockets.serve, ping_interval=None)  # type: ignore[misc, assignment]
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listeners = {
        "default": {"type": "tcp", "bind": f"127.0.0.1:{port}"},
        "ws": {"type": "ws", "bind": f"127.0.0.1:{ws_port}"},
    }
    await Broker({"listeners": listeners, "plugins": plugins}).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    import logging

    import uvloop

    logging.disable(logging.CRITICAL)
    uvloop.run(_serve_stock(int(sys.argv[1]), int(sys.argv[2])))
