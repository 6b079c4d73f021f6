"""Schedules of faults on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import fleetcell

EXAMPLE = Path(__file__).parents[3] / "docs" / "faults.example.yaml"


def test_a_schedule_is_printed_before_a_run() -> None:
    ran = fleetcell("sim", "faults", "check", str(EXAMPLE), "--vehicles", "10", "--duration", "700", "--json")
    assert ran.returncode == 0, ran.stderr
    hits = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {
        "at_s": 600.0,
        "what": "broker-kill",
        "who": "broker of helsinki",
        "lasts_s": None,
        "line": 32,
    } in hits
    assert [hit["who"] for hit in hits if hit["at_s"] == 660.0] == ["each broker"]
    assert len([hit for hit in hits if hit["what"] == "reconnect-storm"]) == 10
    shown = fleetcell("sim", "faults", "check", str(EXAMPLE), "--vehicles", "10", "--duration", "700").stdout
    assert len(shown.splitlines()) == len(hits)
    assert "600.000 s  broker-kill: broker of helsinki" in shown


def test_a_bad_schedule_is_one_line_and_exit_2(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {what: kill, at: 3 parsecs, for: 1 s}\n")
    ran = fleetcell("sim", "faults", "check", str(file))
    assert ran.returncode == 2
    assert f"{file}:2: at: no unit 'parsecs'" in " ".join(ran.stderr.split())
