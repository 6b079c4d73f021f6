"""Our plugins in a stock amqtt broker, and plugins of others in ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from amqtt.broker import Broker as StockBroker
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin

from broker.app import amqtt_config
from broker.broker import Broker
from broker.errors import PluginWaitsError
from broker.settle import settle
from tests.broker.conftest import Accounts, secret
from tests.broker.raw_client import CONNACK, PUBACK, RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from amqtt.session import Session


class WaitingAuth(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        await asyncio.sleep(0)
        return True


class FailingTopics(BaseTopicPlugin):
    async def topic_filtering(self, **_: Any) -> bool | None:
        raise RuntimeError("broken")


class OpenAuth(BaseAuthPlugin):
    async def authenticate(self, *, session: Session) -> bool | None:
        return True


class Watcher(BasePlugin[Any]):
    @dataclass
    class Config:
        topic: str

    async def on_broker_client_connected(self, *, client_id: str, client_session: Session) -> None:
        await self.context.broadcast_message(self.config.topic, client_id.encode(), 1)
        await self.context.retain_message(self.config.topic + "/kept", client_id.encode(), 1)


class OpenTopics(BaseTopicPlugin):
    async def topic_filtering(self, **_: Any) -> bool | None:
        return True


@pytest.fixture
async def started() -> AsyncIterator[Any]:
    brokers: list[Broker] = []

    async def start(*plugins: type | tuple[type, dict[str, Any]]) -> Broker:
        named = [plugin if isinstance(plugin, tuple) else (plugin, {}) for plugin in plugins]
        broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:0"}},
                "plugins": {f"{cls.__module__}.{cls.__name__}": config for cls, config in named},
            }
        )
        brokers.append(broker)
        await broker.start()
        return broker

    yield start
    for broker in brokers:
        await broker.shutdown()


async def connect(broker: Broker, name: str = "a") -> tuple[RawClient, int]:
    client = await RawClient.open_tcp(broker.addresses["default"][1])
    return client, (await client.login(name, "x")).body[1]


@pytest.mark.parametrize(
    ("plugins", "code"),
    [
        pytest.param([], 5, id="no plugin: nobody"),
        pytest.param([WaitingAuth, OpenTopics], 5, id="a plugin that waits: no"),
        pytest.param([OpenAuth, WaitingAuth], 5, id="all must agree"),
        pytest.param([OpenAuth], 0, id="one that agrees"),
    ],
)
async def test_authentication_denies_by_default(started: Any, plugins: list[type], code: int) -> None:
    client, found = await connect(await started(*plugins))
    assert found == code
    await client.aclose()


@pytest.mark.parametrize(
    "plugins", [[OpenAuth], [OpenAuth, OpenTopics, FailingTopics]], ids=["none", "failing"]
)
async def test_topics_are_denied_by_default(started: Any, plugins: list[type]) -> None:
    client, _ = await connect(await started(*plugins))
    assert await client.subscribe(("a", 0)) == [0x80]
    await client.aclose()


async def test_a_plugin_hears_events_and_publishes(started: Any) -> None:
    broker = await started(OpenAuth, OpenTopics, (Watcher, {"topic": "news"}))
    first, _ = await connect(broker, "first")
    await first.subscribe(("news", 1))
    second, _ = await connect(broker, "second")
    assert (await first.message()).payload == b"second"
    third, _ = await connect(broker, "third")
    await first.message()
    assert set(broker.sessions) == {"first", "second", "third"}
    await third.subscribe(("news/#", 1))
    assert (await third.message()).payload == b"third"
    for client in (first, second, third):
        await client.aclose()


async def test_our_plugins_work_in_a_stock_amqtt_broker(accounts: Accounts) -> None:
    broker = StockBroker(amqtt_config(accounts.settings()))
    await broker.start()
    instance: Any = broker._servers["default"].instance
    port = instance.sockets[0].getsockname()[1]
    gateway, unit, stranger = [await RawClient.open_tcp(port) for _ in range(3)]
    try:
        assert (await gateway.login("gateway", secret("gateway"))).body[1] == 0
        assert await gateway.subscribe(("fleet/v1/helsinki/+/presence", 1), ("fleet/v1/turku/#", 1)) == [
            1,
            0x80,
        ]
        assert (await unit.login("veh1", secret("veh1"))).body[1] == 0
        for vehicle in ("veh2", "veh1"):
            unit.publish(f"fleet/v1/helsinki/{vehicle}/presence", vehicle.encode(), 1)
            await unit.expect(PUBACK)
        assert (await gateway.message()).payload == b"veh1"
        answer = await stranger.login("veh2", "wrong")
        assert (answer.kind, answer.body[1]) == (CONNACK, 5)
    finally:
        for client in (gateway, unit, stranger):
            await client.aclose()
        await broker.shutdown()


def test_settle_runs_what_does_not_wait_and_refuses_what_does() -> None:
    async def answer() -> int:
        return 7

    async def wait() -> None:
        await asyncio.sleep(0)

    async def fail() -> None:
        raise ValueError("x")

    assert settle(answer()) == 7
    with pytest.raises(PluginWaitsError):
        settle(wait())
    with pytest.raises(ValueError, match="x"):
        settle(fail())
