"""What every test can use, and what becomes of tests that cannot run here.

A test that lacks a program says so with `pytest.skip("needs X: how to get it")`. The skipped ones are
listed at the end of a run. With REQUIRE_ALL=1 (as in CI) a skip is a failure.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
import uvloop

from tests.mosquitto_server import Mosquitto
from tests.ports import free_port

pytest_plugins = ["tests.postgres_servers", "tests.broker_servers"]

REQUIRE_ALL = os.environ.get("REQUIRE_ALL", "") not in {"", "0"}

hypothesis.settings.register_profile(
    "fleetcell",
    deadline=None,  # nor any other judgement of speed: that is the machine's
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.load_profile("fleetcell")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take one seed for the properties, so that a commit passes or fails the same everywhere.

    The search with fresh seeds is `make properties`.
    """
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = "1"


def pytest_xdist_auto_num_workers() -> int:
    """Twice the cores, up to 8: most tests wait for other processes more than they compute."""
    cores = os.cpu_count() or 1
    return max(cores, min(2 * cores, 8))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits longest begins first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: not {"integration", "e2e"} & {mark.name for mark in item.iter_markers()})


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.option.hypothesis_seed
    skips = "failures" if REQUIRE_ALL else "listed at the end"
    return f"properties: --hypothesis-seed={seed}; skips are {skips}"


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on uvloop, as the services do; those marked both_loops also on asyncio's own loop."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.get_closest_marker("both_loops"):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a report was skipped: pytest keeps (file, line, "Skipped: reason") for it."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = skip_reason(report)
        report.outcome = "failed"
        report.longrepr = f"skipped, which REQUIRE_ALL=1 forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(skip_reason(report) for report in terminalreporter.getreports("skipped"))
    if skipped:
        terminalreporter.section("not run here")
        for reason, count in sorted(skipped.items()):
            terminalreporter.line(f"{count} skipped: {reason}")
        terminalreporter.line("On Debian, `make test` as root installs what these need.")


@pytest.fixture(name="free_port")
def choose_port() -> Callable[[], int]:
    """A function that names a free TCP port of 127.0.0.1, each time another."""
    return free_port


@pytest.fixture
def mosquitto(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Mosquitto]:
    """A real Mosquitto of this test's own, running, anonymous, on TCP and WebSocket."""
    server = Mosquitto(tmp_path / "mosquitto", mqtt_port=free_port(), ws_port=free_port())
    server.start()
    yield server
    server.kill()
