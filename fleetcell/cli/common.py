"""What the commands share: the data directory, the API client, tables and errors."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.layout import Layout

if TYPE_CHECKING:
    import httpx

DataDir = Annotated[
    Path,
    typer.Option("--data", envvar="FLEETCELL_DATA_DIR", help="Data directory of `fleetcell up`."),
]
DEFAULT_DATA = Path(".fleetcell")
Since = Annotated[str | None, typer.Option(help="RFC 3339, or an age: 30s, 15m, 6h, 2d.")]
Until = Annotated[str | None, typer.Option(help="RFC 3339, or an age.")]
Vehicle = Annotated[str, typer.Argument(help="Vehicle id.")]
OfVehicle = Annotated[str | None, typer.Option(help="Only of this vehicle.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# A pipe or a file has no width: nothing is cut or folded there.
console = Console() if sys.stdout.isatty() else Console(width=240)
stderr = Console(stderr=True)


def print_error(error: BaseException) -> None:
    """One clear line (or the few that the error has) on standard error."""
    sys.stderr.write(f"error: {error}\n")


def layout(data: Path) -> Layout:
    """The layout of a data directory, by its whole path."""
    return Layout(data.expanduser().absolute())


class ApiError(FleetcellError):
    """The API refused the request."""


@dataclass(frozen=True, slots=True)
class Api:
    """The API of a running platform."""

    url: str
    key: str

    def get(self, path: str, **params: Any) -> Any:
        """GET, decoded JSON."""
        return self._ask("GET", path, params=_present(params)).json()

    def text(self, path: str, **params: Any) -> str:
        """GET, as text (CSV, GPX, ...)."""
        return self._ask("GET", path, params=_present(params)).text

    def post(self, path: str, body: Any = None) -> Any:
        """POST of JSON, decoded JSON."""
        answer = self._ask("POST", path, json=body)
        return answer.json() if answer.content else None

    def put(self, path: str, body: Any) -> None:
        """PUT of JSON."""
        self._ask("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE, decoded JSON."""
        return self._ask("DELETE", path).json()

    def pages(self, path: str, **params: Any) -> Any:
        """Every item of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **params, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        import httpx  # a fifth of the command's start, and the services do not need it

        headers = {"Authorization": f"Bearer {self.key}"}
        # Reading the certificates of this machine takes 20 ms, which nobody needs on http.
        verify = self.url.startswith("https:")
        try:
            with httpx.Client(
                base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=verify
            ) as client:
                answer = client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(f"no answer from {self.url}: {error}; is `fleetcell up` running?") from None
        if answer.is_success:
            return answer
        raise ApiError(f"{self.url}{path}: {_problem(answer)}")


def _problem(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("title") or answer.status_code)
    except (ValueError, AttributeError):
        return f"status {answer.status_code}"


def _present(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, [], ())}


def api(data: Path) -> Api:
    """The API: FLEETCELL_API_URL and FLEETCELL_API_KEY, or those of the `fleetcell up` on `data`."""
    url, key = os.environ.get("FLEETCELL_API_URL"), os.environ.get("FLEETCELL_API_KEY")
    if url and not key:
        raise ConfigError("FLEETCELL_API_URL is set, but not FLEETCELL_API_KEY")
    if not url:
        found = layout(data)
        url = found.read_up_file().api_url
        key = key or found.read_admin_key()
    return Api(url.rstrip("/"), key or "")


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> timedelta | None:
    """30s, 15m, 6h, 2d; None: the text is no duration."""
    found = _DURATION.fullmatch(text)
    return None if found is None else timedelta(seconds=float(found[1]) * _UNIT_SECONDS[found[2]])


def moment(value: str | None, flag: str) -> str | None:
    """A time flag as RFC 3339: RFC 3339 already, or an age such as 30s, 15m, 6h, 2d.

    Raises:
        ConfigError: neither.
    """
    if value is None:
        return None
    if (ago := duration(value)) is not None:
        return (datetime.now(UTC) - ago).isoformat()
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(
            f"{flag} {value}: use RFC 3339 (2026-05-01T12:00:00Z) or an age (30s, 15m, 6h)"
        ) from None
    return (parsed if parsed.tzinfo else parsed.astimezone()).isoformat()
