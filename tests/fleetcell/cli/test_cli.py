"""The command line: help with an example everywhere, and one clear line for each error."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from fleetcell import __version__
from fleetcell.cli import app
from tests.command_line import fleetcell
from tests.running_platform import command as command_of


def commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    children: dict[str, object] = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from commands(child, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_says_what_it_does_with_an_example(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert getattr(command, "help", None), path
    epilog = getattr(command, "epilog", None) or ""
    assert f"fleetcell {' '.join(path)}" in epilog, path


def test_the_names_of_the_contract_are_there() -> None:
    contract = {
        ("up",),
        ("broker",),
        ("ingest",),
        ("dashboard",),
        ("sim", "run"),
        ("sim", "replay"),
        ("sim", "score"),
        ("sim", "link"),
        ("sim", "roads", "build"),
        ("vehicles", "add"),
        ("vehicles", "import"),
        ("vehicles", "list"),
        ("vehicles", "revoke"),
        ("query", "telemetry"),
        ("query", "latest"),
        ("query", "presence"),
        ("query", "gaps"),
        ("query", "trips"),
        ("query", "stops"),
        ("query", "summary"),
        ("query", "dead-letters"),
        ("query", "events"),
        ("query", "hazards"),
        ("watch",),
        ("command",),
        ("db", "migrate"),
        ("db", "status"),
        ("db", "verify"),
        ("db", "replay-dead-letters"),
        ("grafana", "sync"),
        ("doctor",),
        ("check-config",),
    }
    assert contract <= set(ALL)


def test_version() -> None:
    said = subprocess.run(command_of("--version"), capture_output=True, text=True, check=True).stdout
    assert said.strip() == f"fleetcell {__version__}"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("fly",), 2, "fly"),
        (("up", "--port", "70000"), 2, "65535"),
        (("up", "--region", "a b"), 2, "region"),
        (("up", "--regions", "helsinki,helsinki"), 2, "each once"),
        (("up", "--regions", "helsinki,espoo", "--broker", "ws://127.0.0.1/mqtt"), 2, "--broker"),
        (("up", "--link", "2g"), 2, "no link profile '2g'; there is: perfect"),
        (("up", "--broker", "ftp://broker"), 2, "--broker: broker URL must start with ws://"),
        (("sim", "link", "--to", "http://broker"), 2, "--to http://broker"),
        (("sim", "link", "--to", "mqtt://broker", "--link", "trace:missing.up"), 2, "missing.up"),
        (("query", "telemetry", "car-1", "--format", "xml"), 2, "--format xml"),
        (("query", "latest", "car-1"), 1, "fleetcell up"),
        (("query", "trips", "car-1", "--since", "soon"), 2, "--since soon"),
        (("db", "verify"), 1, "no embedded database"),
        (("db", "status"), 1, "no embedded database"),
        (("db", "verify", "--since", "soon"), 2, "--since soon"),
        (("vehicles", "add", "a b"), 2, "A-Z"),
        (("command", "car-1", "Ping"), 2, "a-z"),
        (("command", "car-1", "sleep"), 2, "`seconds`"),
        (("command", "car-1", "ping"), 1, "fleetcell up"),
        (("vehicles", "import", "missing.csv"), 1, "missing.csv"),
        (("check-config", "nothing"), 2, "nothing"),
        (("sim", "replay", "missing.gpx"), 1, "missing.gpx"),
        (("sim", "run", "--html", "report.html"), 2, "add --score"),
        (("sim", "run", "--score", "--html", "no/where.html"), 2, "no/where.html"),
        (("sim", "score", "nowhere"), 1, "fleetcell up"),
    ],
)
def test_an_error_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    ended = fleetcell(*arguments, cwd=tmp_path)
    assert ended.returncode == status, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_line_of_an_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text("id\nbus-1\nbus 2\n")
    ended = fleetcell("vehicles", "import", "fleet.csv", cwd=tmp_path)
    assert ended.returncode == 1
    assert "fleet.csv:3" in ended.stderr


def test_check_config_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCELL_WS_PORT", "many")
    ended = fleetcell("check-config", "broker", cwd=tmp_path)
    assert ended.returncode == 2
    assert "FLEETCELL_WS_PORT" in ended.stderr
    monkeypatch.setenv("FLEETCELL_WS_PORT", "9002")
    monkeypatch.setenv("FLEETCELL_DSN", "postgresql://user:hunter2@db/fleet")
    ended = fleetcell("check-config", cwd=tmp_path)
    assert ended.returncode == 0
    assert "9002" in ended.stdout
    assert "hunter2" not in ended.stdout


def test_doctor_looks_at_this_machine(tmp_path: Path) -> None:
    ended = fleetcell("doctor", cwd=tmp_path)
    assert "fleetcell up" in ended.stdout
    assert "amqtt" in ended.stdout
