"""Connections through a network that swallows everything without a word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from ingest import notifications
from ingest.failures import FAILURES
from ingest.notifications import Notifications
from ingest.pools import Database
from tests.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest.database import Connection

PATIENCE_S = 60
WITHIN_S = 25  # less than a statement has where nobody says how long it may take


@pytest_asyncio.fixture
async def network(plain_dsn: str) -> AsyncIterator[Relay]:
    """The way to the database."""
    (folder,) = parse_qs(urlsplit(plain_dsn).query)["host"]
    relay = Relay(f"{folder}/.s.PGSQL.5432")
    await relay.start()
    yield relay
    await relay.stop()


@pytest.fixture
def database(plain_dsn: str, network: Relay) -> Database:
    parts = urlsplit(plain_dsn)
    dsn = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{network.port}{parts.path}"
    return Database(dsn, application="test", size=1, timeout_s=1.5)


async def transaction_in(network: Relay, connection: Connection) -> None:
    """A statement of a transaction vanishes on its way."""
    async with connection.transaction():
        network.swallow()
        await connection.fetchval("SELECT 1")


async def test_a_transaction_in_a_hole_ends_and_its_place_in_the_pool_is_free(
    network: Relay, database: Database
) -> None:
    async with asyncio.timeout(WITHIN_S) as limit:
        with pytest.raises(TimeoutError):  # asyncpg drops the connection; the reason stays the timeout
            async with database.connection() as connection:
                await transaction_in(network, connection)
        network.mend()
        async with database.connection() as connection:  # the pool has one
            assert await connection.fetchval("SELECT 1") == 1
    assert not limit.expired(), "asyncpg makes a TimeoutError of that, too"
    await database.close()


async def test_a_connection_of_ones_own_ends_too(network: Relay, database: Database) -> None:
    connection = await database.dedicated()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(FAILURES):
            await transaction_in(network, connection)
    connection.terminate()


async def test_notifications_notice_that_nothing_can_come(
    network: Relay, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "CHECK_S", 0.1)
    calls: asyncio.Queue[None] = asyncio.Queue()
    listening = asyncio.create_task(Notifications(database, {"news": lambda _: calls.put_nowait(None)}).run())
    await asyncio.wait_for(calls.get(), PATIENCE_S)  # at the start
    network.swallow()
    while network.accepted < 2:  # it gave the connection up, and tries another
        await asyncio.sleep(0.01)
    network.mend()
    await asyncio.wait_for(calls.get(), PATIENCE_S)  # something may have been missed
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
