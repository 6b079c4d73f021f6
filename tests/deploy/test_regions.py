"""deploy/regions.yaml: a second region beside compose.yaml, with the same rights and its own secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetcell.contract.credentials import check_key, decode_file, mac
from fleetcell.contract.directory import Regions, read_cells
from fleetcell.contract.topics import Role
from fleetcell.settings import PREFIX, SERVICES

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SECOND: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "regions.yaml").read_text())
SAME = ("image", "restart", "read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period", "command")


def test_it_follows_the_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    command = [*check, str(ROOT / "deploy" / "regions.yaml")]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("kind", ["broker", "ingest"])
def test_the_second_region_runs_as_the_first_does(kind: str) -> None:
    first, second = FIRST["services"][kind], SECOND["services"][f"{kind}-espoo"]
    assert {name: first.get(name) for name in SAME} == {name: second.get(name) for name in SAME}
    assert first["healthcheck"] == second["healthcheck"]
    assert all(port.startswith("127.0.0.1:") for port in second.get("ports", []))
    own = [volume for volume in second["volumes"] if volume.endswith("/run/secrets:ro")]
    assert own == [
        "secrets-broker:/run/secrets:ro" if kind == "broker" else "secrets-ingest-espoo:/run/secrets:ro"
    ]


@pytest.mark.parametrize("name", ["broker-espoo", "ingest-espoo", "ingest", "dashboard"])
def test_every_variable_is_a_setting_of_its_service(name: str) -> None:
    known = {f"{PREFIX}{field.upper()}" for field in SERVICES[name.partition("-")[0]].model_fields}
    assert set(SECOND["services"][name]["environment"]) <= known | {f"{PREFIX}SECRETS_DIR"}


def test_the_areas_share_the_streets_without_an_overlap_or_a_gap() -> None:
    cells = {}
    for name in ("ingest", "ingest-espoo"):
        path = SECOND["services"][name]["environment"]["FLEETCELL_REGION_CELLS_FILE"]
        file = ROOT / path.removeprefix("/opt/fleetcell/")
        cells[file.stem] = read_cells(file.read_text())
    regions = Regions(cells)
    assert not regions.contested
    west, south, east, north = 24.935247, 60.164158, 24.953405, 60.179015  # of the roads
    found = [
        regions.at(south + (north - south) * row / 30, west + (east - west) * column / 30)
        for row in range(31)
        for column in range(31)
    ]
    assert set(found) == {"helsinki", "espoo"}


def test_the_secrets_of_a_further_region_are_made_beside_those_that_are_there(tmp_path: Path) -> None:
    def prepare(**more: str) -> dict[str, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "FLEETCELL_PREPARE_DIR": str(tmp_path),
            "FLEETCELL_REGION": "helsinki",
            "FLEETCELL_DATABASE": "timescale:5432",
            **more,
        }
        command = [sys.executable, str(ROOT / "deploy" / "prepare.py"), "secrets"]
        subprocess.run(command, check=True, env=environment, cwd=ROOT, capture_output=True)
        return {
            str(path.relative_to(tmp_path)): path.read_text()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    before = prepare()
    after = prepare(FLEETCELL_MORE_REGIONS="espoo")
    assert prepare(FLEETCELL_MORE_REGIONS="espoo") == after
    assert {name for name, text in before.items() if after[name] != text} == {"ingest/services.json"}
    assert after["ingest-espoo/fleetcell_dsn"] == after["ingest/fleetcell_dsn"]
    key = check_key(after["broker/credentials.key"].encode())
    for folder in ("ingest", "ingest-espoo"):
        accounts = decode_file(after[f"{folder}/services.json"].encode()).services
        assert set(accounts) == {
            "dashboard",
            "ingest-helsinki",
            "registrar-helsinki",
            "ingest-espoo",
            "registrar-espoo",
        }
        for user, file in (("ingest", "broker_password"), ("registrar", "registrar_password")):
            account = accounts[f"{user}-espoo"]
            assert (account.role, account.region) == (Role.GATEWAY, "espoo")
            assert account.mac == mac(key, after[f"ingest-espoo/fleetcell_{file}"])
