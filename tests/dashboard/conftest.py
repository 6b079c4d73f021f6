"""A real dashboard: embedded PostgreSQL with ingest's migrations, uvicorn on a free port, an HTTP client."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from dashboard.app import Dashboard
from fleetcell.settings import DashboardSettings
from tests.dashboard.fleet import Fleet
from tests.postgres_servers import Database, connected

PATIENCE_S = 60.0
NO_BROKER = "mqtt://127.0.0.1:9"  # the discard port: nobody listens


@dataclass(frozen=True, slots=True)
class Running:
    """A dashboard that serves: its address, an admin's client, and what is behind it."""

    url: str
    api: httpx.AsyncClient
    admin_key: str
    dashboard: Dashboard
    database: Database
    fleet: Fleet

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.admin_key}"}


@pytest.fixture
async def fleet(plain_database: Database) -> AsyncIterator[Fleet]:
    """Writes what ingest would."""
    async with connected(plain_database.owner) as connection:
        yield Fleet(connection)


def settings_of(database: Database, folder: Path, **changes: object) -> DashboardSettings:
    """Settings of a dashboard with its keys in `folder`, on a free port."""
    key = folder / "credentials.key"
    if not key.exists():
        key.write_text(secrets.token_hex(32))
    given: dict[str, object] = {
        "dsn": SecretStr(database.dashboard),
        "port": 0,
        "broker_url": NO_BROKER,
        "session_key_file": folder / "session.key",
        "admin_key_file": folder / "admin.key",
        "credentials_key_file": key,
    }
    return DashboardSettings.model_validate(given | changes)


async def loaded(dashboard: Dashboard) -> None:
    """Wait for the live feed, longer than clients do."""
    async with asyncio.timeout(PATIENCE_S):
        while not dashboard.feed.ready:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(settings: DashboardSettings, database: Database, fleet: Fleet) -> AsyncIterator[Running]:
    """A dashboard whose live feed is loaded."""
    dashboard = Dashboard(settings)
    async with dashboard.running() as url:
        await loaded(dashboard)
        assert settings.admin_key_file is not None
        key = settings.admin_key_file.read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        # verify: certificates are read anew for each client, 30 ms that nobody needs on http
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=PATIENCE_S, trust_env=False, verify=False
        ) as api:
            yield Running(url, api, key, dashboard, database, fleet)


@pytest.fixture
async def running(plain_database: Database, fleet: Fleet, tmp_path: Path) -> AsyncIterator[Running]:
    """A dashboard on an empty database, without a broker."""
    async with serving(settings_of(plain_database, tmp_path), plain_database, fleet) as served:
        yield served
