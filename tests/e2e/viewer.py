"""One who looks at the dashboard, and notices when something is wrong with the page itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request, WebSocket


class Viewer:
    """A page of the dashboard.

    `expected_errors`: a pattern of messages on the console that the test provokes.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.loads = 0
        self.sockets = 0
        self.expected_errors: re.Pattern[str] | None = None
        self._errors: list[str] = []
        self._elsewhere: list[str] = []
        page.on("load", self._loaded)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("request", self._asked)
        page.on("websocket", self._opened)

    def row(self, vehicle: str) -> Locator:
        """A vehicle in the list."""
        return self.page.locator(f"[data-vehicle='{vehicle}']")

    def panel(self, vehicle: str) -> Locator:
        """The panel of a vehicle."""
        return self.page.get_by_role("complementary", name=f"Vehicle {vehicle}")

    def count(self, state: str) -> Locator:
        """The count of a state in the header."""
        return self.page.locator(f".chip[data-state={state}]")

    def place(self, vehicle: str) -> tuple[str | None, str | None]:
        """Latitude and longitude that the page shows for a vehicle."""
        row = self.row(vehicle)
        return row.get_attribute("data-lat"), row.get_attribute("data-lon")

    def wait_live(self) -> None:
        """The feed is up."""
        expect(self.page.locator("[data-link]")).to_have_attribute("data-link", "live")

    def check(self) -> None:
        """The page had no errors and asked nobody but its own server."""
        wrong = [error for error in self._errors if not self._expected(error)]
        assert wrong == []
        assert self._elsewhere == []

    def _expected(self, error: str) -> bool:
        return self.expected_errors is not None and self.expected_errors.search(error) is not None

    def _loaded(self, _page: Page) -> None:
        self.loads += 1

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._errors.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url + "/", "data:", "blob:")):
            self._elsewhere.append(request.url)

    def _opened(self, socket: WebSocket) -> None:
        self.sockets += 1
        if not socket.url.startswith(self.url.replace("http", "ws", 1) + "/"):
            self._elsewhere.append(socket.url)
