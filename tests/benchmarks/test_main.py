"""The frame of the benchmarks; the benchmarks themselves measure, and are not tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import load, names
from tests.mosquitto_server import HOW_TO_GET, find_program

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("name", names())
def test_each_benchmark_says_what_it_measures(name: str) -> None:
    about = load(name).ABOUT
    assert about
    assert "\n" not in about


def test_list_names_them_all() -> None:
    result = run("--list")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == names()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no-such"], "no benchmark no-such; there are: "),
        (["mqtt", "--seconds", "0"], "0 is not a positive number of seconds"),
        (["mqtt", "--seconds", "nan"], "nan is not a positive number of seconds"),
    ],
)
def test_wrong_use_is_refused(arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.integration
def test_last_line_is_one_json_object() -> None:
    if find_program("mosquitto") is None:
        pytest.skip(HOW_TO_GET)
    result = run("mqtt", "--seconds", "0.4", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["benchmark"] == "mqtt"
    assert figures["vs_paho_tcp"] > 0
    assert figures["clients"] == 500
