"""NOTIFY as a wake-up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ingest.notifications import Notifications
from ingest.pools import Database

if TYPE_CHECKING:
    from ingest.database import Connection


async def test_notifications_outlive_their_connection(connection: Connection, plain_dsn: str) -> None:
    calls: asyncio.Queue[None] = asyncio.Queue()
    database = Database(plain_dsn, application="listening")
    listening = asyncio.create_task(Notifications(database, {"news": lambda _: calls.put_nowait(None)}).run())
    await asyncio.wait_for(calls.get(), 60)  # at the start: something may have been missed
    await connection.execute("NOTIFY news")
    await asyncio.wait_for(calls.get(), 60)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'listening'"
    )
    await asyncio.wait_for(calls.get(), 60)
    await connection.execute("NOTIFY news")
    await asyncio.wait_for(calls.get(), 60)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
