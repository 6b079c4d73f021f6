"""What tests of ingest run: a database of their own, a real broker, and the service between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from ingest.database import connect
from tests.ingest.platform import Platform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ingest.database import Connection


@pytest_asyncio.fixture
async def connection(plain_dsn: str) -> AsyncIterator[Connection]:
    """A connection of the owner to a migrated database, plain PostgreSQL."""
    connection = await connect(plain_dsn)
    yield connection
    connection.terminate()


@pytest_asyncio.fixture
async def platform(plain_dsn: str, tmp_path: Path) -> AsyncIterator[Platform]:
    """A broker and an ingest service that stores in `plain_dsn`; both run."""
    platform = Platform(plain_dsn, tmp_path)
    await platform.start()
    yield platform
    await platform.stop()


@pytest_asyncio.fixture
async def any_connection(any_dsn: str) -> AsyncIterator[Connection]:
    """A connection of the owner to a migrated database, on each kind of server."""
    connection = await connect(any_dsn)
    yield connection
    connection.terminate()
