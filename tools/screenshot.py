"""Take the README's pictures from a running dashboard.

    python tools/screenshot.py 'http://127.0.0.1:8080/sign-in?token=...' [--out docs/pictures] [--vehicle ID]

The link is the one that `fleetcell up` prints. Needs Playwright for Python (extra `dev`) and Chromium.
Run a fleet of some 50 vehicles for half an hour before, so that tracks and plots are full.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from playwright.sync_api import Error, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, StorageState

CHROMIUM: Final = "/usr/bin/chromium"
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
SETTLE_MS: Final = 4000  # map tiles, fonts, one more position of each vehicle


class Picture(NamedTuple):
    """One file: how large, in which colours, with the panel of a vehicle or without."""

    name: str
    width: int
    height: int
    colours: str
    scale: float
    panel: bool


PICTURES: Final = (
    Picture("dashboard-light", 1440, 900, "light", 1, panel=True),
    Picture("dashboard-dark", 1440, 900, "dark", 1, panel=True),
    Picture("phone", 390, 844, "light", 2, panel=False),
)


def main() -> int:
    """Sign in once, then take each picture in a context of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("link", help="the sign-in link that `fleetcell up` printed")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), help="directory of the pictures")
    parser.add_argument("--vehicle", help="whose panel to open; default: the first one online")
    parser.add_argument("--chromium", default=CHROMIUM, help=f"default: {CHROMIUM}")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=list(ARGUMENTS))
        try:
            address, session = sign_in(browser, options.link)
            for picture in PICTURES:
                path = options.out / f"{picture.name}.png"
                take(browser, address, session, picture, path, options.vehicle)
                print(f"{path}  {path.stat().st_size // 1024} KiB")
        except Error as error:
            print(f"no picture: {error.message}", file=sys.stderr)
            return 1
        finally:
            browser.close()
    return 0


def sign_in(browser: Browser, link: str) -> tuple[str, StorageState]:
    """Open the link; returns the dashboard's address and the session, since the link works once."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.locator("[data-link=live]").wait_for()
    session = context.storage_state()
    address = page.url
    context.close()
    return address, session


def take(
    browser: Browser, address: str, session: StorageState, picture: Picture, path: Path, vehicle: str | None
) -> None:
    """One picture."""
    context = browser.new_context(
        storage_state=session,
        viewport={"width": picture.width, "height": picture.height},
        device_scale_factor=picture.scale,
        color_scheme="dark" if picture.colours == "dark" else "light",
    )
    page = context.new_page()
    page.goto(address)
    page.locator("[data-vehicle]").first.wait_for()
    page.wait_for_timeout(SETTLE_MS)
    if picture.panel:
        open_panel(page, vehicle)
        page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    context.close()


def open_panel(page: Page, vehicle: str | None) -> None:
    """Select a vehicle and wait for its plots."""
    if vehicle is not None:
        page.get_by_role("searchbox").fill(vehicle)
    row = page.locator("[data-state=online]").and_(page.locator("[data-vehicle]"))
    row.first.click()
    page.locator("[data-panel] .plot canvas").first.wait_for()
    if vehicle is not None:
        page.get_by_role("searchbox").fill("")


if __name__ == "__main__":
    sys.exit(main())
