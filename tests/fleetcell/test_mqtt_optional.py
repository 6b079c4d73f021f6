"""Optional filters: which of them a broker does not have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fleetcell.mqtt import Backoff, MqttBridge
from tests.fleetcell.test_mqtt_gathering import CONNACK, LIMIT_S, Broker

if TYPE_CHECKING:
    from fleetcell.mqtt.wire import Wire

GRANTED, REFUSED = b"\x01", b"\x80"


class Asked(Broker):
    """Answers a SUBSCRIBE with a code; without one it closes the connection."""

    def __init__(self, code: bytes | None) -> None:
        super().__init__()
        self._code = code

    def write(self, data: Any) -> None:
        loop = asyncio.get_running_loop()
        if data[0] >> 4 == 1:
            loop.call_soon(self.say, CONNACK)
        if data[0] >> 4 == 8:
            if self._code is None:
                self.close()
            else:
                loop.call_soon(self.say, b"\x90\x03" + bytes(data[2:4]) + self._code)


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ([GRANTED], False),
        ([REFUSED], True),
        ([None, None, GRANTED], False),
        ([None, None, REFUSED], True),
        ([None, None, None, GRANTED], True),
    ],
)
async def test_a_connection_that_is_lost_once_or_twice_is_no_refusal(
    answers: list[bytes | None], missing: bool
) -> None:
    brokers = iter([Asked(code) for code in answers])

    async def connect(*arguments: Any, **options: Any) -> Wire:
        return await next(brokers).connect(*arguments, **options)

    bridge = MqttBridge(
        "mqtt://nowhere",
        client_id="a",
        keep_alive=0,
        optional=[("o", 1)],
        backoff=Backoff(first=0.001, cap=0.001),
        connect=connect,
    )
    running = asyncio.create_task(bridge.run())
    async with asyncio.timeout(LIMIT_S):
        await bridge.wait_connected()
    assert ("o" in bridge.missing) is missing
    await bridge.disconnect()
    await running
