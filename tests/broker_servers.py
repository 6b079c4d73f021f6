"""Other brokers for tests: Mosquitto, ejabberd and RabbitMQ of Debian, each in a folder of its own.

The Erlang ones are slow to start, so each runs once for all the test processes of a run (`shared`).
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.mosquitto_server import find_program
from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
BROKERS = ROOT / "deploy" / "brokers"
OPEN_HOST = "open.test"
READY_S = 90.0
# Runs a program, and ends its process group when the test run was killed before it could.
WITH_THE_RUN = """
run=$1; shift
"$@" & program=$!
while kill -0 $run && kill -0 $program; do sleep 0.5; done 2>/dev/null
kill -9 0
"""
OPEN_USER, REFUSED_USER, PASSWORD = "conformance", "refused", "conformance"


@dataclass(frozen=True, slots=True)
class Server:
    """A broker that runs. The accounts above may everything, save that `refused` may not subscribe."""

    name: str
    version: str
    mqtt_port: int
    ws_port: int
    directory: str
    pids: tuple[int, ...]  # the group leaders of its processes
    domain: str = ""  # what the names of those accounts end with
    auth_port: int = 0  # where it asks about others

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ws_port}/mqtt"

    def stop(self) -> None:
        """SIGKILL: nothing of it is needed any more."""
        for pid in self.pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in [one for one in _started if one.pid in self.pids]:
            process.wait()
            _started.remove(process)


# Those that this process started; another may be the one that stops them.
_started: list[subprocess.Popen[bytes]] = []


def start_mosquitto(directory: Path, *, extra: str = "") -> Server:
    """Mosquitto, with the rules of the accounts as its ACL file."""
    program = _program("mosquitto", "mosquitto")
    mqtt, ws = free_ports(2)
    directory.mkdir(parents=True)
    (directory / "acl").write_text(
        f"user {OPEN_USER}\ntopic readwrite #\ntopic readwrite $t/#\nuser {REFUSED_USER}\n"
    )
    config = directory / "mosquitto.conf"
    config.write_text(
        f"user {getpass.getuser()}\nallow_anonymous true\nacl_file {directory / 'acl'}\n{extra}"
        f"listener {mqtt} 127.0.0.1\nlistener {ws} 127.0.0.1\nprotocol websockets\n"
    )
    process = _spawn([program, "-c", str(config)], directory, {})
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", said)
    server = Server("Mosquitto", found[1] if found else "?", mqtt, ws, str(directory), (process.pid,))
    _wait(server, process)
    return server


def start_deployed_mosquitto(directory: Path, accounts: dict[str, str]) -> Server:
    """Mosquitto as deploy/brokers/mosquitto has it, with these accounts; `auth_port` is for the services."""
    program = _program("mosquitto", "mosquitto")
    mqtt, ws, services = free_ports(3)
    directory.mkdir(parents=True)
    source = BROKERS / "mosquitto"
    shutil.copy(source / "acl", directory)
    passwords = "".join(f"{name},{secret}\n" for name, secret in accounts.items())
    script = [sys.executable, str(source / "passwords.py"), str(directory / "passwords")]
    subprocess.run(script, input=passwords, text=True, check=True)
    config = (source / "mosquitto.conf").read_text().replace("/etc/mosquitto/fleetcell", str(directory))
    for known, port in (("1883", mqtt), ("9001", ws), ("9002", services)):
        config = config.replace(f"listener {known}", f"listener {port}")
    path = directory / "mosquitto.conf"
    path.write_text(f"user {getpass.getuser()}\n{config}")
    process = _spawn([program, "-c", str(path)], directory, {})
    server = Server("Mosquitto", "", mqtt, ws, str(directory), (process.pid,), auth_port=services)
    _wait(server, process)
    return server


def start_ejabberd(directory: Path) -> Server:
    """Run ejabberd as deploy/brokers/ejabberd has it, and beside it a host where anybody may do anything.

    Its accounts are those of a test platform (tests/ingest/platform.py) in the folder `platform`. It runs
    without Erlang's distribution.
    """
    _program("ejabberdctl", "ejabberd")
    mqtt, ws = free_ports(2)
    directory.mkdir(parents=True)
    path = directory / "ejabberd.yml"
    path.write_text(json.dumps(_ejabberd_config(directory, mqtt, ws)))  # JSON is YAML
    erlang = next(base for base in Path("/usr/lib").glob("*-linux-gnu*") if list(base.glob("ejabberd-*")))
    environment = {
        "HOME": str(directory),
        "ERL_LIBS": str(erlang),
        "EJABBERD_CONFIG_PATH": str(path),
        "EJABBERD_LOG_PATH": str(directory / "ejabberd.log"),
        "FLEETCELL_CREDENTIALS_FILE": str(directory / "platform" / "run" / "credentials.json"),
        "FLEETCELL_CREDENTIALS_KEY_FILE": str(directory / "platform" / "credentials.key"),
        "FLEETCELL_LOG_LEVEL": "error",
        "PYTHONPATH": str(ROOT),
    }
    arguments = ["-mnesia", "dir", f'"{directory / "database"}"', "-s", "ejabberd"]
    process = _spawn(["erl", "+K", "true", "-noinput", "-noshell", *arguments], directory, environment)
    version = next(erlang.glob("ejabberd-*")).name.removeprefix("ejabberd-").partition("-")[0]
    server = Server("ejabberd", version, mqtt, ws, str(directory), (process.pid,), f"@{OPEN_HOST}")
    _wait(server, process)
    return server


def _ejabberd_config(directory: Path, mqtt_port: int, ws_port: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((BROKERS / "ejabberd" / "ejabberd.yml").read_text())
    for listener, port in zip(config["listen"], (mqtt_port, ws_port), strict=True):
        listener |= {"port": port, "ip": "127.0.0.1"}
    config["extauth_program"] = f"{sys.executable} -m fleetcell broker-auth --ejabberd"
    config["hosts"].append(OPEN_HOST)
    config["acl"]["refused"] = {"user": [REFUSED_USER]}
    config["access_rules"]["not_refused"] = [{"deny": "refused"}, "allow"]
    everything = {"access_publish": {"#": "anybody"}, "access_subscribe": {"#": "not_refused"}}
    config["host_config"] = {
        OPEN_HOST: {
            "auth_method": "anonymous",
            "anonymous_protocol": "login_anon",
            "allow_multiple_connections": True,
            "modules": {"mod_mqtt": config["modules"]["mod_mqtt"] | everything},
        }
    }
    return config


def start_rabbitmq(directory: Path) -> Server:
    """RabbitMQ as deploy/brokers/rabbitmq has it, with a port mapper of its own.

    Beside the accounts that are asked for at `auth_port` it knows the two that may do anything.
    """
    _program("rabbitmq-server", "rabbitmq-server")
    mqtt, ws, mapper, distribution, auth = free_ports(5)
    directory.mkdir(parents=True)
    (directory / "definitions.json").write_text(json.dumps(_rabbitmq_accounts()))
    shutil.copy(BROKERS / "rabbitmq" / "enabled_plugins", directory)
    deployed = (BROKERS / "rabbitmq" / "rabbitmq.conf").read_text().replace(":8090/", f":{auth}/")
    lines = dict(
        line.split(" = ", 1) for line in deployed.splitlines() if " = " in line[1:] and line[0] != "#"
    )
    del lines["mqtt.listeners.tcp.default"]
    lines |= {
        "mqtt.listeners.tcp.1": f"127.0.0.1:{mqtt}",
        "web_mqtt.tcp.ip": "127.0.0.1",
        "web_mqtt.tcp.port": str(ws),
        "load_definitions": str(directory / "definitions.json"),
        "auth_backends.1": "internal",
        "auth_backends.2": "http",
        "log.console": "true",
        "log.file": "false",
    }
    path = directory / "rabbitmq.conf"
    path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    environment = {
        "HOME": str(directory),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "fleetcell@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(directory / "database"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_CONFIG_FILE": str(path),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(directory / "feature_flags"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
    }
    epmd = _spawn(["epmd", "-port", str(mapper), "-address", "127.0.0.1"], directory, environment, "epmd.log")
    process = _spawn(["/usr/lib/rabbitmq/bin/rabbitmq-server"], directory, environment)
    version = next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")).name.removeprefix(
        "rabbitmq_server-"
    )
    pids = (process.pid, epmd.pid)
    server = Server("RabbitMQ", version, mqtt, ws, str(directory), pids, auth_port=auth)
    _wait(server, process, said="startup complete")  # its listeners answer before its accounts are there
    return server


def _rabbitmq_accounts() -> dict[str, object]:
    salt = b"salt"
    digest = base64.b64encode(salt + hashlib.sha256(salt + PASSWORD.encode()).digest()).decode()
    names = (OPEN_USER, REFUSED_USER)
    algorithm = "rabbit_password_hashing_sha256"
    return {
        "users": [
            {"name": n, "password_hash": digest, "hashing_algorithm": algorithm, "tags": ""} for n in names
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [
            {"user": n, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"} for n in names
        ],
        "topic_permissions": [
            {"user": REFUSED_USER, "vhost": "/", "exchange": "amq.topic", "write": ".*", "read": "^$"}
        ],
    }


STARTERS: dict[str, Callable[[Path], Server]] = {
    "mosquitto": start_mosquitto,
    "ejabberd": start_ejabberd,
    "rabbitmq": start_rabbitmq,
}


@contextmanager
def shared(name: str, base: Path, start: Callable[[Path], Server]) -> Iterator[Server]:
    """A broker for all test processes of this run: the first starts it, the last stops it."""
    base.mkdir(parents=True, exist_ok=True)
    lock, state = FileLock(base / f"{name}.lock"), base / f"{name}.json"
    with lock:
        if state.exists():
            known = json.loads(state.read_text())
            known["users"] += 1
            server = Server(**known["server"])
        else:
            server = start(base / f"{name}-{os.getpid()}-{time.monotonic_ns()}")
            known = {"users": 1, "server": asdict(server)}
        state.write_text(json.dumps(known))
    try:
        yield server
    finally:
        with lock:
            known = json.loads(state.read_text())
            known["users"] -= 1
            state.write_text(json.dumps(known))
            if not known["users"]:
                state.unlink()
                Server(**known["server"]).stop()


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "brokers"


def _fixture(name: str) -> Callable[..., Iterator[Server]]:
    @pytest.fixture(scope="session", name=f"{name}_server")
    def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with shared(name, run_folder(tmp_path_factory), STARTERS[name]) as running:
            yield running

    return server


mosquitto_server = _fixture("mosquitto")
ejabberd_server = _fixture("ejabberd")
rabbitmq_server = _fixture("rabbitmq")


def _program(name: str, package: str) -> str:
    program = find_program(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"needs {package}: apt-get install {package}")
    return program


def _run() -> int:
    """The process that lasts as long as the test run: of test processes side by side the one above them."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _spawn(
    argv: list[str], directory: Path, environment: dict[str, str], log: str = "log.txt"
) -> subprocess.Popen[bytes]:
    with (directory / log).open("ab") as output:
        process = subprocess.Popen(
            ["sh", "-c", WITH_THE_RUN, "sh", str(_run()), *argv],
            cwd=directory,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _started.append(process)
    return process


def _wait(server: Server, process: subprocess.Popen[bytes], *, said: str = "") -> None:
    """Until both listeners answer, and the log says so.

    Raises:
        RuntimeError: it ended, or took too long; with the end of its log.
    """
    give_up = time.monotonic() + READY_S
    log = Path(server.directory) / "log.txt"
    ports = (server.mqtt_port, server.ws_port)
    while not all(_listens(port) for port in ports) or said not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > give_up:
            server.stop()
            raise RuntimeError(f"{server.name} did not start: {log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
