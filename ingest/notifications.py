"""PostgreSQL's NOTIFY as wake-ups: never the only way to learn of something, always the fastest."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from fleetcell.flag import set_within
from fleetcell.mqtt import Backoff
from ingest.failures import FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingest.database import Connection
    from ingest.pools import Database

CHECK_S: Final = 20.0  # how often the connection is tried while nothing comes


class Notifications:
    """Listens to channels on a connection of its own, and again after it was lost.

    Args:
        database: connections.
        channels: what to call by channel, with the payload; after each connection with an empty one, because
            something may have been missed.
    """

    def __init__(self, database: Database, channels: Mapping[str, Callable[[str], None]]) -> None:
        self._database = database
        self._channels = channels
        self._rng = random.Random()  # noqa: S311 - jitter, not a secret

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff, attempt = Backoff(first=0.2, cap=5.0), 0
        while True:
            try:
                connection = await self._database.dedicated()
            except FAILURES:
                attempt += 1
            else:
                attempt = 0
                try:
                    await self._listen(connection)
                except FAILURES:
                    pass
                finally:
                    connection.terminate()
            await asyncio.sleep(backoff.delay(attempt, self._rng))

    async def _listen(self, connection: Connection) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        for channel, call in self._channels.items():

            def notified(
                _connection: object,
                _pid: int,
                _channel: str,
                payload: object,
                call: Callable[[str], None] = call,
            ) -> None:
                call(str(payload))

            await connection.add_listener(channel, notified)
        for call in self._channels.values():
            call("")
        while not await set_within(lost, CHECK_S):
            await connection.execute("SELECT 1")  # a network that lost the connection may have told nobody
