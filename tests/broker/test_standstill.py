"""A broker whose process stood still does not take that for silence of its clients."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.broker.raw_client import Will

if TYPE_CHECKING:
    from tests.broker.conftest import Clients, RunningBroker

PRESENCE = "fleet/v1/helsinki/veh1/presence"


async def test_a_client_is_not_silent_because_the_broker_stood_still(
    running: RunningBroker, clients: Clients
) -> None:
    gateway = await clients.login("gateway", (PRESENCE, 1))
    unit = await clients.login("veh1", keep_alive=1, will=Will(PRESENCE, b"lost"))

    def stand_still() -> None:
        for link in running.broker.core.links:
            link.heard = running.broker._loop.time()
        time.sleep(1.7)  # 1.5 keep-alives are over

    running.do(stand_still)
    await unit.ping()
    assert await gateway.all_messages() == []
    await unit.disconnect()
