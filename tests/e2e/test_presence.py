"""From a vehicle to the browser: what happens to a vehicle is seen without a reload."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.running_platform import until

if TYPE_CHECKING:
    from tests.e2e.conftest import OpenPage
    from tests.running_platform import RunningPlatform

pytestmark = pytest.mark.e2e


def test_a_vehicle_appears_moves_turns_suspect_and_offline(
    platform: RunningPlatform, open_page: OpenPage
) -> None:
    viewer = open_page(1440, 900, motion=True)
    viewer.wait_live()
    expect(viewer.page.get_by_text("No vehicles yet.")).to_be_visible()

    simulator = platform.start("sim", "run", "--vehicles", "1", "--seed", "7")
    try:
        row = viewer.page.locator("[data-vehicle]")
        expect(row).to_have_attribute("data-state", "online")
        vehicle = row.get_attribute("data-vehicle") or ""
        expect(viewer.count("online")).to_have_attribute("data-count", "1")

        expect(row).to_have_attribute("data-lat", re.compile(r"60\.\d+"))
        start = viewer.place(vehicle)
        until(lambda: viewer.place(vehicle) != start, what="it moves")
    finally:
        simulator.kill()
        simulator.communicate()

    expect(row).to_have_attribute("data-state", "suspect")
    expect(row).to_have_attribute("data-reason", "lost")
    expect(row).to_contain_text("offline in")
    expect(row).to_have_attribute("data-state", "offline")
    expect(row).to_have_attribute("data-reason", "lost")
    expect(viewer.count("offline")).to_have_attribute("data-count", "1")
    expect(viewer.page.get_by_role("log")).to_contain_text(f"{vehicle} is offline")
    assert (viewer.loads, viewer.sockets) == (1, 1)

    # the panel says why, the map shows where: followed, it is in the middle, and can be clicked there
    row.click()
    panel = viewer.panel(vehicle)
    expect(panel).to_contain_text("Link lost: the broker published its last will.")
    expect(panel.get_by_role("region", name="Presence history")).to_contain_text("Suspect · link lost")
    panel.get_by_role("button", name="Follow").click()
    expect(panel.get_by_role("button", name="Following")).to_be_visible()
    chart = viewer.page.locator(".map-canvas")
    expect(chart).to_have_attribute("data-moving", "false")
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_have_count(0)
    expect(chart).to_have_attribute("data-moving", "false")
    chart.click()  # in its middle
    expect(viewer.panel(vehicle)).to_be_visible()


def test_a_clean_stop_is_a_shutdown(platform: RunningPlatform, open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    simulator = platform.start("sim", "run", "--vehicles", "3")
    try:
        expect(viewer.count("online")).to_have_attribute("data-count", "3")
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.communicate(timeout=60)
    rows = viewer.page.locator("[data-vehicle][data-state=offline][data-reason=shutdown]")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("shut down")
    assert viewer.loads == 1


def test_the_page_says_that_it_is_not_live_and_catches_up(
    platform: RunningPlatform, open_page: OpenPage
) -> None:
    viewer = open_page()
    viewer.wait_live()
    simulator = platform.start("sim", "run", "--vehicles", "3")
    try:
        expect(viewer.count("online")).to_have_attribute("data-count", "3")
        viewer.expected_errors = re.compile("WebSocket connection|Failed to load resource")
        platform.kill("dashboard")
        banner = viewer.page.get_by_role("alert")
        expect(banner).to_contain_text("Not live.")
    finally:
        simulator.kill()
        simulator.communicate()
    viewer.wait_live()
    expect(banner).to_have_count(0)
    expect(viewer.count("offline")).to_have_attribute("data-count", "3")
    assert viewer.loads == 1
    assert viewer.sockets > 1
