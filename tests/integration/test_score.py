"""A run with --score against a whole platform, and its score after somebody meddled with the database."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_servers import Database, connected, run
from tests.running_platform import RunningPlatform, command, running_platform

pytestmark = pytest.mark.integration

VEHICLES = 4
ROWS = "fleet.telemetry WHERE ctid = (SELECT ctid FROM fleet.telemetry ORDER BY boot {order} LIMIT 1)"
CHANGES = (
    f"DELETE FROM {ROWS.format(order='ASC, seq')}",
    f"INSERT INTO fleet.telemetry SELECT * FROM {ROWS.format(order='DESC, seq')}",
    f"UPDATE {ROWS.format(order='DESC, seq DESC').replace(' WHERE', ' SET lat = lat + 1e-6 WHERE', 1)}",
)


def test_a_score_finds_readings_that_are_lost_stored_twice_or_altered(
    tmp_path: Path, plain_database: Database
) -> None:
    arguments = ("--no-sim", "--dsn", plain_database.owner)
    environment = {"FLEETCELL_DASHBOARD_DSN": plain_database.dashboard}
    with running_platform(tmp_path / "data", *arguments, **environment) as platform:
        score = scored(platform, tmp_path / "report.html")
        check_all_is_well(score)
        run(meddle(plain_database.owner))
        ended = platform.run("sim", "score", score["truth"], "--json")
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout)
        assert (found["readings"]["lost"], found["readings"]["unexplained"]) == (1, 1)
        assert found["readings"]["duplicates"] == 1
        assert found["readings"]["altered"] > 0
        assert not found["faultless"]
        check_a_wrong_key_is_refused(platform, score["truth"])


def scored(platform: RunningPlatform, page: Path) -> dict[str, Any]:
    """What a short run on LTE links says of itself; its page is written too."""
    ended = platform.run(
        *("sim", "run", "--vehicles", str(VEHICLES), "--duration", "6", "--seed", "3", "--link", "lte"),
        *("--rate", "2", "--score", "--json", "--html", str(page)),
    )
    assert ended.returncode == 0, ended.stderr
    assert page.read_text().count("<svg") >= 4, "reachability, position by age, delays, bytes"
    score: dict[str, Any] = json.loads(ended.stdout)
    return score


def check_all_is_well(score: dict[str, Any]) -> None:
    found = score["report"]
    readings, presence = found["readings"], found["presence"]
    assert readings["made"] == readings["stored"] == score["made"] > VEHICLES
    assert readings["compared"] == readings["made"] - readings["events"]
    assert [readings[name] for name in ("lost", "duplicates", "unexplained", "pending", "altered")] == [0] * 5
    assert found["faultless"]
    assert (presence["false_offline"], presence["false_online"]) == (0, 0)
    assert presence["delays"]["online: first"]["n"] == VEHICLES
    assert presence["delays"]["goodbye"]["n"] == VEHICLES
    assert found["position"]["problem"] is None
    assert found["position"]["overall"]["n"] > 0
    for way in (found["up"], found["down"]):
        layers = way["payload"], way["mqtt"], way["websocket"], way["tcp_ip"]
        assert min(layers) > 0
        assert way["total"] == sum(layers)
        assert way["packets_measured"]


async def meddle(dsn: str) -> None:
    async with connected(dsn) as connection:
        for statement in CHANGES:
            assert (await connection.execute(statement)).endswith(" 1"), statement


def check_a_wrong_key_is_refused(platform: RunningPlatform, truth: str) -> None:
    ended = subprocess.run(
        command("sim", "score", truth, "--api", platform.url),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"FLEETCELL_API_KEY": "wrong"},
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "refused the API key" in ended.stderr
