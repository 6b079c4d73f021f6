"""Bridges to a real broker, and what they hear."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleetcell.mqtt import Backoff, Message, MqttBridge

PATIENCE_S = 60.0
QUICK = Backoff(first=0.01, cap=0.05)


class Inbox:
    """Receives; a test can wait for the n-th message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._grew = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._grew.set()

    async def until(self, count: int) -> list[Message]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.messages) < count:
                self._grew.clear()
                await self._grew.wait()
        return self.messages

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


@asynccontextmanager
async def running(*bridges: MqttBridge) -> AsyncIterator[None]:
    """The bridges, connected; afterwards each is disconnected cleanly, and its `run` has returned."""
    tasks = [asyncio.create_task(bridge.run()) for bridge in bridges]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(bridge.wait_connected() for bridge in bridges))
        yield
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(bridge.disconnect() for bridge in bridges))
            await asyncio.gather(*tasks)


class Losses:
    """Notes why sessions ended; a test can wait for the next end."""

    def __init__(self) -> None:
        self.reasons: asyncio.Queue[str] = asyncio.Queue()

    def __call__(self, reason: str) -> None:
        self.reasons.put_nowait(reason)

    async def next(self) -> str:
        return await asyncio.wait_for(self.reasons.get(), PATIENCE_S)


@contextlib.asynccontextmanager
async def attempts(bridge: MqttBridge) -> AsyncIterator[asyncio.Task[None]]:
    """A bridge that cannot connect, running until its first failure is known."""
    task = asyncio.create_task(bridge.run())
    async with asyncio.timeout(PATIENCE_S):
        while bridge.last_error is None:
            await asyncio.sleep(0.005)
        yield task
        await bridge.disconnect()
        await task
