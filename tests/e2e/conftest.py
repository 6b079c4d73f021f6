"""A real browser and a real platform."""

from __future__ import annotations

import ctypes.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import dashboard
from tests.e2e.viewer import Viewer
from tests.running_platform import RunningPlatform, running_platform

CHROMIUM: Final = Path("/usr/bin/chromium")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
PATIENCE_MS: Final = 60_000


@pytest.fixture(
    scope="module"
)  # Playwright has a loop running as long as it is open: no async test may follow
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}: apt install chromium")
    if sys.platform == "linux" and ctypes.util.find_library("atomic") is None:
        pytest.skip("needs libatomic, for Playwright's own Node.js: apt install libatomic1")
    if not (Path(dashboard.__file__).parent / "static" / "index.html").exists():
        pytest.skip("needs the built page: npm ci && npm run build in dashboard/web")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """`fleetcell up --no-sim` with a shorter linger, for all tests of a module."""
    data = tmp_path_factory.mktemp("e2e") / "data"
    with running_platform(data, "--no-sim", FLEETCELL_LINGER_S="4") as running:
        yield running
        sys.stderr.write(running.logs())  # shown when a test failed


OpenPage = Callable[..., Viewer]


@pytest.fixture
def open_page(browser: Browser, platform: RunningPlatform) -> Iterator[OpenPage]:
    """A function that opens the dashboard in a browser of its own; in the end it checks that all was well."""
    viewers: list[Viewer] = []

    def open_at(
        width: int = 1024, height: int = 640, *, signed_in: bool = True, motion: bool = False
    ) -> Viewer:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            base_url=platform.url,
            reduced_motion="no-preference" if motion else "reduce",  # drawn without a graphics card
        )
        context.set_default_timeout(PATIENCE_MS)
        if signed_in:
            answer = context.request.post("/api/v1/session", data={"key": platform.key})
            assert answer.ok, answer.text()
        page: Page = context.new_page()
        viewer = Viewer(page, platform.url)
        viewers.append(viewer)
        page.goto("/")
        return viewer

    yield open_at
    for viewer in viewers:
        viewer.check()
        viewer.page.context.close()
