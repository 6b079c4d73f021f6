"""compose.yaml: valid by the Compose schema, and each service's command works with its environment.

There is no container engine where these tests run. So each service's command is started as a process,
with the environment that compose.yaml gives it; only the names of hosts, ports and folders are replaced.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from tests.postgres_servers import TimescaleServer

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {"prepare-secrets", "prepare-database", "broker", "ingest", "dashboard", "sim"}
PATIENCE_S = 60.0


def test_compose_file_follows_the_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    command = [*check, str(ROOT / "compose.yaml")]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_services_are_those_of_the_design() -> None:
    assert set(SERVICES) == OURS | {"timescale"}
    assert SERVICES["timescale"]["image"].startswith("timescale/timescaledb:")
    assert SERVICES["sim"]["profiles"] == ["sim"]


def test_no_secret_is_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = re.search(r"PASSWORD|SECRET|TOKEN|DSN|API_KEY", variable)
            assert not secret or variable.endswith(("_FILE", "_DIR")), f"{name}: {variable}"


@pytest.mark.parametrize("name", sorted(OURS))
def test_service_runs_with_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if name != "prepare-secrets":  # it gives the files to the user that the others are
        assert "user" not in service
        assert "cap_add" not in service
        assert all(volume.endswith(":ro") for volume in service["volumes"] if "/run/secrets" in volume)


def test_each_service_reads_only_its_own_secrets() -> None:
    for name in ("broker", "ingest", "dashboard", "sim"):
        mounted = [volume.split(":")[0] for volume in SERVICES[name]["volumes"]]
        assert [volume for volume in mounted if volume.startswith("secrets-")] == [f"secrets-{name}"]


def test_waited_for_services_have_health_checks() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            assert name in SERVICES
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name]


def test_image_has_what_the_commands_use() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?:--from=\w+ )?(.+) \S+$", dockerfile, flags=re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for source in " ".join(copied).split():
        if not source.startswith("/"):
            assert (ROOT / source).exists(), source
            assert f"!{source.split('/')[0]}" in ignored, source
    assert re.findall(r"^USER (.+)$", dockerfile, flags=re.MULTILINE) == ["fleetcell"]


# -- the services as processes ---------------------------------------------------------------------


class Deployment:
    """The services of compose.yaml as processes of this machine."""

    def __init__(self, folder: Path, database: str, free_port: Callable[[], int]) -> None:
        self.folder = folder
        self.ports = {port: free_port() for port in ("8080", "9001", "1883")}
        self.metrics = {name: free_port() for name in ("broker", "ingest")}
        self._database = database
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    def environment(self, name: str) -> dict[str, str]:
        """What Compose would set, with this machine's hosts, ports and folders."""
        variables = {
            variable: self._here(name, str(value))
            for variable, value in SERVICES[name]["environment"].items()
        }
        if variables.get("FLEETCELL_PREPARE_OWNER"):
            variables["FLEETCELL_PREPARE_OWNER"] = str(os.getuid())
        if "FLEETCELL_METRICS_PORT" in variables:
            variables["FLEETCELL_METRICS_PORT"] = str(self.metrics[name])
        if "FLEETCELL_HOST" in variables:
            assert variables["FLEETCELL_HOST"] == "0.0.0.0", "a container's port is published from there"
            variables["FLEETCELL_HOST"] = "127.0.0.1"
        home = self.folder / "home" / name
        home.mkdir(parents=True, exist_ok=True)
        image = dict(re.findall(r"(FLEETCELL_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
        assert image["FLEETCELL_LOG_JSON"] == "true"
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            **image,
            "FLEETCELL_DATA_DIR": str(home),
            **variables,
        }

    def command(self, name: str) -> list[str]:
        words = [self._here(name, word) for word in SERVICES[name]["command"]]
        assert words[0] in {"python", "fleetcell"}
        return words

    def run(self, name: str) -> str:
        """A one-shot service; what it said."""
        environment = self.environment(name)
        result = subprocess.run(
            self.command(name), check=False, env=environment, cwd=self.folder, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, name: str) -> None:
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self.command(name), env=self.environment(name), cwd=self.folder, stdout=log, stderr=log
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def until_healthy(self, name: str) -> None:
        """Run the service's own health check until it succeeds."""
        check = [self._here(name, word) for word in SERVICES[name]["healthcheck"]["test"][1:]]
        environment = self.environment(name)
        until = time.monotonic() + PATIENCE_S
        while subprocess.run(check, check=False, env=environment, capture_output=True).returncode:
            assert self._processes[name].poll() is None, self.log(name).read_text()
            assert time.monotonic() < until, self.log(name).read_text()
            time.sleep(0.1)

    def stop(self) -> dict[str, int]:
        """SIGTERM to all, as Compose does; how each ended."""
        for process in self._processes.values():
            process.terminate()
        return {name: process.wait(60) for name, process in self._processes.items()}

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _here(self, name: str, text: str) -> str:
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)  # Compose's defaults
        for volume in SERVICES[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            text = text.replace(target, str(self.volume(source)))
        if text == "/prepare":
            text = str(self.folder / "prepare")
        text = text.replace("/opt/fleetcell/deploy", str(ROOT / "deploy"))
        text = text.replace("/opt/fleetcell/roads", str(ROOT / "vehicle_sim" / "roads" / "data"))
        text = text.replace("timescale:5432", self._database)
        text = text.replace(":9100", f":{self.metrics.get(name)}")
        for host in ("broker", "dashboard", "127.0.0.1"):
            for port, here in self.ports.items():
                text = text.replace(f"{host}:{port}", f"127.0.0.1:{here}")
        return str(self.ports.get(text, text))


@pytest.fixture
def timescale() -> Iterator[TimescaleServer]:
    """A server of this test's own: its roles get other passwords."""
    try:
        server = TimescaleServer()
    except LookupError as missing:
        pytest.skip(str(missing))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def deployment(
    tmp_path: Path, timescale: TimescaleServer, free_port: Callable[[], int]
) -> Iterator[Deployment]:
    administrator = timescale.dsn("superuser", "postgres")
    found = re.fullmatch(r"postgresql://postgres:(\w+)@([\w.]+:\d+)/postgres", administrator)
    assert found is not None
    deployment = Deployment(tmp_path, found[2], free_port)
    # In the containers one folder holds the mounted volumes.
    (tmp_path / "prepare").mkdir()
    for volume in SERVICES["prepare-secrets"]["volumes"]:
        source, target = volume.split(":")
        deployment.volume(source).mkdir(parents=True)
        (tmp_path / "prepare" / Path(target).name).symlink_to(deployment.volume(source))
    # The image of TimescaleDB would take over the password that was made; this server has one already.
    (deployment.volume("secrets-timescale") / "postgres_password").write_text(found[1])
    yield deployment
    deployment.kill()


@pytest.mark.integration
def test_services_work_together_with_the_environment_of_compose(deployment: Deployment) -> None:
    deployment.run("prepare-secrets")
    made = contents(deployment.folder / "volumes")
    deployment.run("prepare-secrets")
    assert contents(deployment.folder / "volumes") == made, "the second run changes nothing"
    assert "tier: timescale_apache" in deployment.run("prepare-database").replace("-", "_")
    deployment.run("prepare-database")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(empty_tables((deployment.volume("secrets-dashboard") / "fleetcell_dsn").read_text()))

    for name in ("broker", "ingest", "dashboard"):
        deployment.start(name)
    for name in ("broker", "ingest", "dashboard"):
        deployment.until_healthy(name)
    deployment.start("sim")

    api = f"http://127.0.0.1:{deployment.ports['8080']}/api/v1"
    key = (deployment.volume("secrets-dashboard") / "admin.key").read_text().strip()
    until = time.monotonic() + PATIENCE_S
    while not answers(api, key):
        assert time.monotonic() < until, deployment.log("dashboard").read_text()
        time.sleep(0.1)
    while (fleet := get(f"{api}/fleet", key))["states"]["online"] < 25:
        assert time.monotonic() < until, (fleet, deployment.log("sim").read_text())
        time.sleep(0.1)
    assert get(f"{api}/map/roads", key)["features"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(f"{api}/fleet", "a-wrong-key")

    logs = "".join(deployment.log(name).read_text() for name in ("broker", "ingest", "dashboard", "sim"))
    for volume in deployment.folder.glob("volumes/secrets-*/*"):
        for secret in volume.read_text().split():
            assert len(secret) < 20 or secret not in logs, f"{volume.name} is in a log"
    assert all(json.loads(line) for line in deployment.log("ingest").read_text().splitlines())
    assert set(deployment.stop().values()) == {0}


async def empty_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DELETE FROM fleet.vehicle")
    finally:
        await connection.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def answers(api: str, key: str) -> bool:
    """Not yet while the dashboard, alive, says 503: it has not reached its database."""
    try:
        get(f"{api}/fleet", key)
    except urllib.error.HTTPError as error:
        if error.code != 503:
            raise
        return False
    return True


def get(url: str, key: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
