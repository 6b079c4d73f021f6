"""A broker whose process stood still does not take that for silence of its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.broker.raw_client import Will

if TYPE_CHECKING:
    import asyncio

    from tests.broker.conftest import Clients, RunningBroker

PRESENCE = "fleet/v1/helsinki/veh1/presence"
STOOD_S = 40.0  # longer than 1.5 keep-alives


class Later:
    """An event loop whose time has gone on at once, as when its process was stopped."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = 0
        self._loop = loop

    def time(self) -> float:
        self.asked += 1
        return self._loop.time() + STOOD_S

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


async def test_a_client_is_not_silent_because_the_broker_stood_still(
    running: RunningBroker, clients: Clients
) -> None:
    gateway = await clients.login("gateway", (PRESENCE, 1))
    unit = await clients.login("veh1", keep_alive=20, will=Will(PRESENCE, b"lost"))
    broker, loop = running.broker, running.broker._loop
    later = Later(loop)
    running.do(lambda: setattr(broker, "_loop", later))
    await running.until(lambda: later.asked >= 2)  # it asks before each sweep
    running.do(lambda: setattr(broker, "_loop", loop))
    await unit.ping()
    assert await gateway.all_messages() == []
    await unit.disconnect()
