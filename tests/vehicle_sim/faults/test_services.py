"""Signals to the services of a platform on this machine: real processes, children among them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.contract.messages import RegionEntry
from fleetcell.layout import Layout, UpFile
from tests.running_platform import until
from vehicle_sim.faults.schedule import Fault, Schedule, What, When, Who
from vehicle_sim.faults.services import Services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API = "http://127.0.0.1:8080"
WAITS = "import sys; print(flush=True); sys.stdin.read()"
FORKS = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WAITS!r}])
print(flush=True)
child.wait()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.prepare()
    regions = {
        name: RegionEntry("ws://127.0.0.1:1/mqtt", [], "127.21.0.0/16") for name in ("helsinki", "espoo")
    }
    layout.write_up_file(
        UpFile(
            1, "2026-01-01T00:00:00+00:00", API, "ws://127.0.0.1:1/mqtt", None, "helsinki", "k", None, regions
        )
    )
    return layout


@pytest.fixture
def postgres(layout: Layout) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child, by whose command line one sees whose it is."""
    argv = [sys.executable, "-c", FORKS, str(layout.root)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()  # its child's
        layout.pid_file("postgres").write_text(f"{process.pid}\n")
        yield process
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.kill()
            process.kill()


def statuses(process: subprocess.Popen[bytes]) -> list[str]:
    parent = psutil.Process(process.pid)
    return [found.status() for found in (parent, *parent.children())]


def test_a_database_is_stopped_with_its_children_and_goes_on(
    layout: Layout, postgres: subprocess.Popen[bytes]
) -> None:
    services = Services(layout, API)
    stopped = services.stop("postgres")
    until(lambda: statuses(postgres) == ["stopped", "stopped"], what="both stopped")
    services.go_on(stopped)
    until(lambda: "stopped" not in statuses(postgres), what="both go on")


def test_a_service_is_killed(layout: Layout, postgres: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(postgres.pid).children()
    Services(layout, API).kill("postgres")
    assert postgres.wait(30) == -9
    for child in children:
        child.kill()


def test_a_process_that_is_not_of_this_platform_is_left_alone(layout: Layout) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE) as stranger:
        layout.pid_file("broker").write_text(f"{stranger.pid}\n")
        with pytest.raises(FleetcellError, match="broker does not run"):
            Services(layout, API).kill("broker")
        assert stranger.poll() is None
        stranger.kill()


def test_brokers_have_the_names_of_their_regions(layout: Layout) -> None:
    assert Services(layout, API).brokers == {"helsinki": "broker", "espoo": "broker-espoo"}
    assert Services(layout, "http://elsewhere:8080").brokers == {}


def of(what: What, region: str | None = None) -> Schedule:
    return Schedule((Fault(what, When((1.0,)), Who(region=region), line=4),))


def test_a_schedule_for_what_does_not_run_here_is_refused(
    layout: Layout, tmp_path: Path, postgres: subprocess.Popen[bytes]
) -> None:
    file = tmp_path / "f.yaml"
    services = Services(layout, API)
    services.check(of(What.DATABASE_STOP), file)
    services.check(of(What.KILL, "nowhere"), file)  # of units: nobody is there
    for schedule, says in (
        (of(What.BROKER_KILL), "f.yaml:4: broker-kill: broker is no process of the platform"),
        (of(What.BROKER_STOP, "vantaa"), "no region 'vantaa'; there is helsinki, espoo"),
        (of(What.BROKER_STOP, "espoo"), "broker-espoo is no process"),
    ):
        with pytest.raises(ConfigError, match=says):
            services.check(schedule, file)
    with pytest.raises(ConfigError, match=r"f.yaml:4: database-kill needs a `fleetcell up` on this machine"):
        Services(layout, "http://elsewhere").check(of(What.DATABASE_KILL), file)
    with pytest.raises(ConfigError, match="needs a `fleetcell up`"):
        Services(Layout(tmp_path / "empty"), API).check(of(What.DATABASE_KILL), file)
