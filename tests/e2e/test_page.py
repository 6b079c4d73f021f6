"""Signing in, the list by keyboard, the panel of a vehicle, both sizes and colours, hostile text."""

from __future__ import annotations

import json
import re
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import expect

from fleetcell.contract.v2x import codec
from tests.command_line import fleetcell
from tests.ingest.hazards.denms import denm, topic_text
from tests.running_platform import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from playwright.sync_api import FloatRect, Locator, Page

    from tests.e2e.conftest import OpenPage
    from tests.running_platform import RunningPlatform

pytestmark = pytest.mark.e2e

VEHICLES: Final = 12
ROGUE: Final = "rogue-1"
PLACE: Final = (60.17, 24.94)
MARKUP: Final = "<img src=/nothing onerror=document.title='owned'>"


@pytest.fixture(scope="module", autouse=True)
def simulator(platform: RunningPlatform) -> Iterator[subprocess.Popen[str]]:
    """Vehicles on the road."""
    started = platform.start("sim", "run", "--vehicles", str(VEHICLES), "--seed", "3")
    until(lambda: platform.states().get("online") == VEHICLES, what="all online")
    yield started
    started.terminate()
    started.communicate(timeout=60)


def test_the_printed_link_signs_in(platform: RunningPlatform, open_page: OpenPage) -> None:
    viewer = open_page(signed_in=False)
    viewer.expected_errors = re.compile("401|WebSocket connection")
    expect(viewer.page.get_by_role("heading", name="Sign in to fleetcell")).to_be_visible()
    viewer.page.goto(platform.link)
    viewer.wait_live()
    expect(viewer.count("online")).to_have_attribute("data-count", str(VEHICLES))
    assert "token" not in viewer.page.url


def test_a_key_signs_in_and_out_and_a_wrong_one_does_not(
    platform: RunningPlatform, open_page: OpenPage
) -> None:
    viewer = open_page(signed_in=False)
    viewer.expected_errors = re.compile("401|WebSocket connection")
    page = viewer.page
    page.get_by_label("API key").fill("a" * 43)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_label("API key").fill(platform.key)
    page.get_by_role("button", name="Sign in").click()
    viewer.wait_live()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to fleetcell")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in to fleetcell")).to_be_visible()


def test_the_list_by_keyboard(open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    page = viewer.page
    rows = page.get_by_role("option")
    expect(rows).to_have_count(VEHICLES)
    names = [row.get_attribute("data-vehicle") or "" for row in rows.all()]

    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    search.fill(names[4])
    expect(rows).to_have_count(1)
    page.keyboard.press("Escape")
    expect(rows).to_have_count(VEHICLES)

    page.keyboard.press("ArrowDown")  # from the search into the list, to its first row
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(viewer.panel(names[1])).to_be_visible()
    expect(viewer.row(names[1])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(viewer.panel(names[-1])).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[data-panel]")).to_have_count(0)

    search.fill("nobody is called so")
    expect(page.get_by_text(f"None of {VEHICLES} vehicles matches.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(VEHICLES)


def test_a_count_lists_only_its_state(open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    rows = viewer.page.get_by_role("option")
    viewer.count("offline").click()
    expect(rows).to_have_count(0)
    viewer.count("online").click()
    expect(rows).to_have_count(VEHICLES)
    expect(viewer.count("online")).to_have_attribute("aria-pressed", "true")


def test_the_panel_of_a_vehicle(open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    row = viewer.page.get_by_role("option").first
    vehicle = row.get_attribute("data-vehicle") or ""
    row.click()
    panel = viewer.panel(vehicle)
    expect(panel.locator("[data-countdown=suspect]")).to_contain_text(
        re.compile(r"suspect in \d+.* if nothing is heard")
    )
    signals = panel.get_by_role("region", name="Latest signals")
    expect(signals.locator("[data-signal=speed]")).to_contain_text(re.compile(r"Speed.*km/h"))
    expect(signals.locator("[data-signal=lat] .age")).to_have_text(re.compile(r"^\d+ s$"))
    expect(panel.locator(".plot canvas")).to_have_count(2)
    expect(panel.get_by_role("img", name=re.compile("Speed, last 30 minutes"))).to_be_visible()
    delivery = panel.get_by_role("region", name="Delivery")
    expect(delivery).to_contain_text(re.compile(r"0\s*gaps unexplained"))
    registration = panel.get_by_role("region", name="Registration")
    expect(registration).to_contain_text("Session epoch")
    expect(registration).to_contain_text("helsinki")
    assert f"vehicle={vehicle}" in viewer.page.url

    viewer.page.reload()  # the address keeps the selection
    expect(viewer.panel(vehicle)).to_be_visible()


def test_commands_are_sent_from_the_panel(platform: RunningPlatform, open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    row = viewer.page.get_by_role("option").nth(1)
    vehicle = row.get_attribute("data-vehicle") or ""
    row.click()
    commands = viewer.panel(vehicle).get_by_role("region", name="Commands")
    expect(commands).to_contain_text("None yet.")
    commands.get_by_label("Command").select_option("lock")
    commands.get_by_role("button", name="Send").click()
    done = commands.locator("[data-command=lock][data-command-state=succeeded]")
    expect(done).to_contain_text("locked true")

    # One for a vehicle that was never heard waits, and can be called off.
    platform.ask("POST", "/api/v1/vehicles", json={"id": "silent-1"}).raise_for_status()
    viewer.page.goto("/#vehicle=silent-1")
    commands = viewer.panel("silent-1").get_by_role("region", name="Commands")
    commands.get_by_label("Command").select_option("sleep")
    commands.get_by_label("s", exact=True).fill("30")
    commands.get_by_role("button", name="Send").click()
    expect(commands.locator("[data-command=sleep]")).to_contain_text("waits until it can be reached")
    commands.get_by_role("button", name="Call off").click()
    expect(commands.locator("[data-command-state=cancelled]")).to_contain_text("called off")


def test_colours_are_chosen_and_kept(open_page: OpenPage) -> None:
    viewer = open_page()
    viewer.wait_live()
    root = viewer.page.locator("html")
    viewer.page.emulate_media(color_scheme="dark")
    expect(root).to_have_attribute("data-theme", "dark")
    button = viewer.page.get_by_role("button", name=re.compile("^Colours"))
    button.click()
    expect(root).to_have_attribute("data-theme", "light")
    viewer.page.reload()
    expect(root).to_have_attribute("data-theme", "light")


def test_on_a_phone_the_list_is_a_sheet_and_the_panel_fills_the_screen(open_page: OpenPage) -> None:
    viewer = open_page(390, 844)
    viewer.wait_live()
    page = viewer.page
    sheet = page.get_by_role("listbox")
    low = _box(sheet)["height"]
    page.get_by_role("button", name="Make the list larger").click()
    until(lambda: _box(sheet)["height"] > low + 200, what="a larger sheet")
    page.locator("[data-vehicle][data-state=online]").first.click()
    panel = page.locator("[data-panel]")
    assert _box(panel)["width"] == 390
    panel.get_by_role("button", name="Follow").click()
    until(lambda: _box(panel)["height"] < 100, what="the panel folds, so that the map is seen")
    scroll_width = page.evaluate("document.documentElement.scrollWidth")
    assert scroll_width == 390


def test_markup_from_a_vehicle_is_text(platform: RunningPlatform, open_page: OpenPage) -> None:
    """The last one: it adds a vehicle. That reports events, too, warns others, and enters a geofence."""
    answer = platform.ask("POST", "/api/v1/vehicles", json={"id": ROGUE})
    secret = answer.json()["items"][0]["secret"]
    _fence(platform)
    viewer = open_page()
    viewer.wait_live()
    hazards = viewer.page.locator("[data-hazards]")
    expect(hazards).to_have_attribute("data-hazards", "0")
    hazards.click()
    expect(viewer.page.get_by_text("No vehicle warns of anything now.")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    alerts = viewer.page.locator("[data-alerts]")
    expect(alerts).to_have_attribute("data-alerts", "0")
    alerts.click()
    expect(viewer.page.get_by_text("No alerts in the last day.")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    expect(alerts).to_be_focused()
    warned_ms = int(time.time() * 1000)
    _speak(platform, secret, warned_ms)
    row = viewer.row(ROGUE)
    expect(row).to_have_attribute("data-state", "offline")
    expect(row).to_contain_text(MARKUP)
    row.click()
    panel = viewer.panel(ROGUE)
    expect(panel.locator("[data-signal=note]")).to_contain_text(MARKUP)
    expect(panel.locator("[data-signal=rat]")).to_contain_text(MARKUP)
    events = panel.get_by_role("region", name="Events")
    expect(events.locator("[data-event=dtc]")).to_contain_text("P0300 appeared")
    expect(events).to_contain_text(MARKUP)

    expect(hazards).to_have_attribute("data-hazards", "1")
    expect(viewer.page.locator("[data-hazard-sign=road_works]")).to_be_visible()
    hazards.press("Enter")
    warning = viewer.page.locator("[data-hazard=road_works]")
    expect(warning).to_contain_text(re.compile(r"Road works.*since \d+ s, for \d+ min"))
    viewer.page.keyboard.press("Tab")
    expect(warning).to_be_focused()
    warning.press("Enter")
    expect(warning).to_have_attribute("aria-current", "true")
    warning.press("Escape")
    expect(warning).to_have_count(0)
    expect(hazards).to_be_focused()
    expect(panel).to_be_visible()  # Escape was for the list
    _acknowledge(viewer.page, alerts)
    viewer.page.set_viewport_size({"width": 390, "height": 844})
    panel.get_by_role("button", name="Close").click()
    viewer.page.locator("[data-hazard-sign=road_works]").dispatch_event("click")
    expect(warning).to_be_visible()
    assert _box(warning)["height"] >= 44, "for a finger"
    assert viewer.page.evaluate("document.documentElement.scrollWidth") == 390
    data = ("--data", str(platform.data))
    assert "road_works" in fleetcell("query", "hazards", "--active", *data).stdout
    _cancel(platform, secret, warned_ms)
    expect(viewer.page.locator(".hazard-marker.over .hazard-sign")).to_have_css("opacity", "0.4")

    assert "road_works" not in fleetcell("query", "hazards", "--active", *data).stdout
    assert "road_works" in fleetcell("query", "hazards", *data).stdout
    assert "P0300" in fleetcell("query", "events", "--vehicle", ROGUE, "--kind", "dtc", *data).stdout

    assert viewer.page.locator("img").count() == 0
    assert viewer.page.title() == "fleetcell"


def _fence(platform: RunningPlatform) -> None:
    """A geofence around PLACE, with markup as its name, that raises alerts."""
    wish = {
        "name": MARKUP,
        "geometry": {"type": "Point", "coordinates": PLACE[::-1]},
        "radius_m": 300,
        "vehicles": [ROGUE],
        "alerts": {"enter": True},
    }
    made = platform.ask("POST", "/api/v1/geofences", json=wish).json()
    path = f"/api/v1/geofences/{made['id']}"
    until(lambda: not platform.ask("GET", path).json()["pending"], what="its history is derived")


def _acknowledge(page: Page, alerts: Locator) -> None:
    """By the keyboard: open the list, go to the alert's button, press it."""
    expect(alerts).to_have_attribute("data-alerts", "1")
    alerts.press("Enter")
    row = page.locator("[data-alert=enter]")
    expect(row).to_contain_text(f"{ROGUE} entered {MARKUP}")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    done = row.get_by_role("button", name="Seen to")
    expect(done).to_be_focused()
    done.press("Enter")
    expect(alerts).to_have_attribute("data-alerts", "0")
    expect(row).to_contain_text("seen to by")
    alerts.press("Escape")
    expect(row).to_have_count(0)


def _speak(platform: RunningPlatform, secret: str, now_ms: int) -> None:
    """Attach, send readings and events, warn of road works, sign off; with markup where text is allowed."""
    boot = uuid.uuid4().hex
    now = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat()
    claim = {"epoch": 1, "at": now, "boot": boot, "next_seq": 1}
    event = {"boot": boot, "epoch": 1, "ts": now}
    warning = denm(at_ms=now_ms, cause=(3, 4), place=PLACE, validity_s=600)
    lat, lon = PLACE
    there = {"seq": 1, "ts": now, "s": {"lat": lat, "lon": lon, "note": MARKUP, "rat": MARKUP}}
    before = {"seq": 4, "ts": now_ms - 60_000, "s": {"lat": lat + 0.01, "lon": lon}}  # 1,100 m to the north
    with _client(platform, secret) as (client, region):
        publish = _publisher(client, f"fleet/v1/{region}/{ROGUE}")
        publish("presence", claim | {"kind": "attach", "n": 1})
        publish("telemetry", {"boot": boot, "epoch": 1, "samples": [there, before]})
        publish("event", event | {"seq": 2, "kind": "dtc", "data": {"code": "P0300", "active": True}})
        publish("event", event | {"seq": 3, "kind": MARKUP, "data": {MARKUP: MARKUP}})
        client.publish(topic_text(PLACE, region=region), codec.encode(warning)).wait_for_publish(10)
        publish("presence", claim | {"kind": "detach", "n": 2, "reason": MARKUP})


def _cancel(platform: RunningPlatform, secret: str, warned_ms: int) -> None:
    """Say that the road works are over."""
    over = denm(
        at_ms=warned_ms,
        reference_ms=int(time.time() * 1000),
        cause=None,
        place=PLACE,
        ends="isCancellation",
    )
    with _client(platform, secret) as (client, region):
        client.publish(topic_text(PLACE, region=region), codec.encode(over)).wait_for_publish(10)


@contextmanager
def _client(platform: RunningPlatform, secret: str) -> Iterator[tuple[paho.Client, str]]:
    """The vehicle's own client, connected, and its region."""
    found = json.loads((platform.data / "run" / "up.json").read_text())
    address = urlsplit(found["mqtt_url"])
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=ROGUE)
    client.username_pw_set(ROGUE, secret)
    client.connect(address.hostname or "", address.port or 1883)
    client.loop_start()
    try:
        yield client, found["region"]
        client.disconnect()
    finally:
        client.loop_stop()


def _publisher(client: paho.Client, topic: str) -> Any:
    def publish(channel: str, message: dict[str, Any]) -> None:
        client.publish(f"{topic}/{channel}", json.dumps(message), qos=1).wait_for_publish(10)

    return publish


def _box(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box is not None
    return box
