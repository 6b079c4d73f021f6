"""The data directory: private secrets, one holder, and where a running platform is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fleetcell.contract.errors import FleetcellError
from fleetcell.layout import (
    AlreadyRunningError,
    Layout,
    NotRunningError,
    UpFile,
    environment_of,
    write_private,
)

UP = UpFile(
    pid=1,
    started_at="2026-05-01T12:00:00+00:00",
    api_url="http://127.0.0.1:8080",
    broker_url="ws://127.0.0.1:9001/mqtt",
    mqtt_url=None,
    region="north",
    admin_key_file="admin.key",
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.prepare()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_private_and_the_same_at_each_start(layout: Layout) -> None:
    key, secret, admin = layout.key("session"), layout.secret("ingest-north"), layout.read_admin_key()
    assert len(key.read_text().strip()) == 64
    assert (layout.key("session").read_bytes(), layout.secret("ingest-north")) == (key.read_bytes(), secret)
    assert layout.read_admin_key() == admin
    for path in (key, layout.secrets / "ingest-north.secret", layout.admin_key):
        assert mode(path) == 0o600
    assert mode(layout.secrets) == 0o700


def test_a_private_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_private(path, b"one")
    path.chmod(0o644)
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_one_holder_at_a_time_over_processes(layout: Layout) -> None:
    layout.write_up_file(UP)
    program = (
        "import sys; from pathlib import Path; from fleetcell.layout import Layout\n"
        "Layout(Path(sys.argv[1])).lock().release()"
    )
    with layout.lock():
        again = subprocess.run(
            [sys.executable, "-c", program, str(layout.root)], capture_output=True, text=True, check=False
        )
        assert again.returncode == 1
        assert "running on" in again.stderr
        assert UP.api_url in again.stderr
        with pytest.raises(AlreadyRunningError):
            layout.lock()
    layout.lock().release()


def test_where_the_platform_is(layout: Layout) -> None:
    with pytest.raises(NotRunningError, match="fleetcell up"):
        layout.read_up_file()
    layout.write_up_file(UP)
    assert layout.read_up_file() == UP
    layout.up_file.write_text("{")
    with pytest.raises(NotRunningError):
        layout.read_up_file()


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FleetcellError, match="data directory"):
        Layout(tmp_path / "file" / "data").prepare()


def test_the_environment_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETCELL_METRICS_PORT", "9100")
    found = environment_of({"port": 8080, "metrics_port": None})
    assert found["FLEETCELL_PORT"] == "8080"
    assert "FLEETCELL_METRICS_PORT" not in found
    assert found["PATH"] == os.environ["PATH"]
