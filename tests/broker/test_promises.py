"""The promises that stock amqtt 0.12.1 breaks and this broker keeps.

Run once against amqtt's own broker (`FLEETCELL_TEST_BROKER=stock`): each number has a test here that fails
there, but for those that docs/broker.md names. The numbers are those of its list.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from amqtt.contexts import BaseContext
from amqtt.plugins.base import BasePlugin

from broker.limits import Limits
from tests.broker.conftest import STOCK, Clients, RunningBroker, secret
from tests.broker.raw_client import (
    CONNACK,
    PATIENCE_S,
    PINGREQ_PACKET,
    PUBACK,
    RawClient,
    Will,
    connect_packet,
    frame,
    publish_packet,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Accounts

PRESENCE = "fleet/v1/helsinki/veh1/presence"
COMMAND = "fleet/v1/helsinki/veh1/command"
ALL_PRESENCE = "fleet/v1/helsinki/+/presence"


@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_1_a_silent_client_is_closed_at_one_and_a_half_keep_alives(clients: Clients, ws: bool) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    start = time.monotonic()
    silent = await clients.login("veh1", ws=ws, keep_alive=1, will=Will(PRESENCE, b"lost"))
    await silent.wait_closed()
    assert time.monotonic() - start >= 1.4
    assert (await gateway.message()).payload == b"lost"


async def test_2_take_over_of_a_clean_session_closes_the_old_socket_and_its_will_comes_once(
    clients: Clients,
) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    old = await clients.login("veh1", will=Will(PRESENCE, b"will of the old"))
    new = await clients.login("veh1", will=Will(PRESENCE, b"will of the new"))
    await old.wait_closed()
    new.publish(PRESENCE, b"online", 1)
    await new.expect(PUBACK)
    payloads = [message.payload for message in await gateway.all_messages()]
    assert payloads == [b"will of the old", b"online"]  # and nothing after the new one's claim
    await new.ping()


async def test_3_take_over_of_a_kept_session_publishes_the_old_will_and_still_delivers(
    clients: Clients,
) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    old = await clients.login("veh1", (COMMAND, 1), clean=False, will=Will(PRESENCE, b"will of the old"))
    new = await clients.login("veh1", clean=False, will=Will(PRESENCE, b"will of the new"))
    await old.wait_closed()
    assert (await gateway.message()).payload == b"will of the old"
    gateway.publish(COMMAND, b"honk", 1)
    await gateway.expect(PUBACK)
    assert (await new.message()).payload == b"honk"
    new.abort()
    assert (await gateway.message()).payload == b"will of the new"


@pytest.mark.parametrize("password", [None, "guessed"], ids=["no password", "wrong password"])
async def test_4_a_wrong_credential_changes_nothing_of_the_victim(
    clients: Clients, password: str | None
) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    victim = await clients.login(
        "veh1", (COMMAND, 1), clean=False, will=Will(PRESENCE, b"will of the victim")
    )
    for clean in (True, False):
        stranger = await clients.tcp()
        will = Will("fleet/v1/helsinki/veh2/presence", b"forged")
        stranger.send(connect_packet("veh1", "veh1", password, clean=clean, will=will))
        assert (await stranger.expect(CONNACK)).body[1] == 5
        await stranger.wait_closed()
    gateway.publish(COMMAND, b"honk", 1)
    await gateway.expect(PUBACK)
    assert (await victim.message()).payload == b"honk"
    assert await gateway.all_messages() == []


async def test_5_retained_messages_come_by_subscription_and_by_right_only(clients: Clients) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/state", 1))
    for vehicle in ("veh1", "veh2"):
        gateway.publish(f"fleet/v1/helsinki/{vehicle}/state", vehicle.encode(), 1, retain=True)
        await gateway.expect(PUBACK)
    unit = await clients.login("veh1")
    await asyncio.sleep(0.3)  # stock amqtt sends them after the CONNACK, unasked
    assert await unit.all_messages() == []
    assert await unit.subscribe(("fleet/v1/helsinki/+/state", 1), ("fleet/v1/helsinki/veh1/state", 1)) == [
        0x80,
        1,
    ]
    found = await unit.all_messages()
    assert [(message.topic, message.payload, message.retain) for message in found] == [
        ("fleet/v1/helsinki/veh1/state", b"veh1", True)
    ]


async def test_6_what_was_not_acknowledged_comes_again(clients: Clients) -> None:
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1), clean=False)
    gateway.publish(COMMAND, b"honk", 1)
    assert (await unit.message()).payload == b"honk"
    unit.abort()  # its PUBACK was lost
    await asyncio.sleep(0.3)
    again = await clients.login("veh1", clean=False)
    message = await again.message()
    assert (message.payload, message.dup) == (b"honk", True)


async def test_7_what_was_queued_is_not_marked_as_retained(clients: Clients) -> None:
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1), clean=False)
    await unit.disconnect()
    gateway.publish(COMMAND, b"honk", 1)
    await gateway.expect(PUBACK)
    await asyncio.sleep(0.3)  # stock amqtt queues it after its PUBACK
    again = await clients.login("veh1", clean=False)
    message = await again.message()
    assert (message.payload, message.retain) == (b"honk", False)


async def test_8_a_message_comes_at_the_lower_qos(clients: Clients) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    unit = await clients.login("veh1")
    unit.publish(PRESENCE, b"x", 0)
    assert (await gateway.message()).qos == 0


async def test_8_subscribing_again_brings_the_new_qos(clients: Clients) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    assert await gateway.subscribe((ALL_PRESENCE, 0)) == [0]
    unit = await clients.login("veh1")
    unit.publish(PRESENCE, b"x", 1)
    assert (await gateway.message()).qos == 0


@pytest.mark.parametrize("topic", ["$SYS/x", "$x"])
async def test_9_a_publish_to_a_dollar_topic_does_not_break_the_link(clients: Clients, topic: str) -> None:
    unit = await clients.login("veh1")
    unit.publish(topic, b"x")
    await unit.ping()


@pytest.mark.parametrize("topic", ["#", "fleet/+/x"])
async def test_9_a_publish_to_a_wildcard_ends_the_link_with_its_will(clients: Clients, topic: str) -> None:
    gateway = await clients.login("gateway", (ALL_PRESENCE, 1))
    unit = await clients.login("veh1", will=Will(PRESENCE, b"lost"))
    unit.publish(topic, b"x")
    await unit.wait_closed()
    assert (await gateway.message()).payload == b"lost"


async def test_10_nothing_is_lost_while_others_connect_and_subscribe(clients: Clients) -> None:
    await clients.login("gateway", ("fleet/v1/helsinki/#", 0), client_id="first")
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 0))
    unit = await clients.login("veh1")
    total = 400
    stop = asyncio.Event()

    async def churn(number: int) -> None:
        filters = (f"fleet/v1/region-{number}-{n}/+/state" for n in itertools.count())
        while not stop.is_set():
            other = await clients.login("dashboard", client_id=f"dashboard-{number}")
            for topic_filter in itertools.islice(filters, 20):
                await other.subscribe((topic_filter, 0))
            await other.disconnect()

    others = [asyncio.create_task(churn(number)) for number in range(4)]
    for number in range(total):
        unit.publish("fleet/v1/helsinki/veh1/telemetry", b"%d" % number, 1)
        await unit.expect(PUBACK)
    stop.set()
    await asyncio.gather(*others)
    found = [int(message.payload) for message in await gateway.all_messages()]
    assert found == list(range(total))


async def test_11_the_retain_flag_of_a_will_is_that_of_the_last_connect(clients: Clients) -> None:
    topic = "fleet/v1/helsinki/gateway"
    first = await clients.login("gateway", client_id="g", clean=False, will=Will(topic, b"1"))
    await first.disconnect()
    second = await clients.login("gateway", client_id="g", clean=False, will=Will(topic, b"2", retain=True))
    watcher = await clients.login("dashboard", ("fleet/v1/+/gateway", 1))
    second.abort()
    assert (await watcher.message()).payload == b"2"
    late = await clients.login("dashboard", ("fleet/v1/+/gateway", 1), client_id="late")
    message = await late.message()
    assert (message.payload, message.retain) == (b"2", True)


@pytest.mark.parametrize(
    "configure",
    [lambda found: found["listeners"]["default"].update(max_connections=2)],
    ids=["two at a time"],
)
async def test_12_a_full_listener_refuses_at_once(clients: Clients) -> None:
    await clients.login("veh1")
    await clients.login("veh2")
    third = await clients.tcp()
    await third.wait_closed()


async def test_12_a_client_that_does_not_acknowledge_costs_no_tasks(
    clients: Clients, running: RunningBroker
) -> None:
    gateway = await clients.login("gateway")
    await clients.login("veh1", (COMMAND, 1))
    before = running.do(lambda: len(asyncio.all_tasks()))
    for _ in range(300):
        gateway.publish(COMMAND, b"x", 1)
        await gateway.expect(PUBACK)
    assert running.do(lambda: len(asyncio.all_tasks())) < before + 30


@pytest.mark.parametrize("limits", [Limits(connect_timeout_s=1)], ids=["1 s"])
@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
@pytest.mark.parametrize("sent", [b"", b"\x10", b"\x10\x20\x00\x04MQ"], ids=["nothing", "a byte", "half"])
async def test_13_a_socket_without_connect_is_closed(clients: Clients, ws: bool, sent: bytes) -> None:
    start = time.monotonic()
    client = await (clients.ws() if ws else clients.tcp())
    if sent:
        client.send(sent)
    await client.wait_closed()
    assert time.monotonic() - start >= 0.9


async def test_14_a_packet_that_is_never_completed_is_not_published(clients: Clients) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 1))
    unit = await clients.login("veh1", ws=True, keep_alive=60)
    # The payload looks like PINGREQs, so that a broker that reads on past the end finds packets there.
    whole = publish_packet("fleet/v1/helsinki/veh1/telemetry", PINGREQ_PACKET * 625)
    head = len(whole) - 1250
    for piece in (whole[:head], whole[head : head + 300]):
        unit.send(piece)
        await unit.writer.drain()
        await asyncio.sleep(0.05)  # two reads at the broker
    unit.writer.write(frame(b"\x03\xe8", 8))  # a WebSocket close, code 1000
    await unit.wait_closed()
    await unit.aclose()
    await asyncio.sleep(0.3)
    assert await gateway.all_messages() == []


async def test_14_a_claim_of_a_huge_packet_is_refused_at_once(
    clients: Clients, running: RunningBroker
) -> None:
    healthy = await clients.login("veh2")
    unit = await clients.login("veh1", ws=True)
    # PUBLISH of 20 MB, of which one byte comes.
    unit.writer.write(frame(b"\x30\x80\xda\xc4\x09\x00"))
    await unit.wait_closed()
    await healthy.ping()
    if not STOCK:
        assert running.do(lambda: running.broker.counters.ended["protocol error"]) == 1


async def test_15_a_will_to_a_topic_that_is_not_ones_own_is_refused(clients: Clients) -> None:
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/#", 1))
    stranger = await clients.tcp()
    will = Will("fleet/v1/helsinki/veh2/presence", b"forged")
    answer = await stranger.login("veh1", secret("veh1"), will=will)
    assert answer.body[1] == 5
    stranger.abort()
    await asyncio.sleep(0.3)
    assert await gateway.all_messages() == []


async def test_15_a_foreign_origin_may_not_connect(clients: Clients, running: RunningBroker) -> None:
    for origin, status in (("https://evil.example", 403), ("null", 403), ("https://fleet.example", 101)):
        client, found = await RawClient.upgrade(running.ws_port, Origin=origin)
        clients.keep(client)
        assert found == status, origin


async def test_16_a_message_costs_no_task_however_many_others_have_subscribed(
    clients: Clients, running: RunningBroker
) -> None:
    for number in range(30):
        await clients.login("dashboard", ("fleet/v1/+/+/state", 0), client_id=f"idle-{number}")
    gateway = await clients.login("gateway", ("fleet/v1/helsinki/+/telemetry", 0))
    unit = await clients.login("veh1")
    made = 0

    def count(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    running.do(lambda: asyncio.get_running_loop().set_task_factory(count))
    for _ in range(200):
        unit.publish("fleet/v1/helsinki/veh1/telemetry", b"x", 1)
        await unit.expect(PUBACK)
        await gateway.message()
    running.do(lambda: asyncio.get_running_loop().set_task_factory(None))
    assert made < 20  # of the test itself


@pytest.mark.parametrize("username", ["veh1", None], ids=["user name", "none"])
async def test_18_an_mqtt_5_client_is_refused_at_once_by_its_return_code(
    clients: Clients, username: str | None
) -> None:
    client = await clients.tcp()
    client.send(connect_packet("veh1", username, secret("veh1") if username else None, level=5))
    answer = await client.expect(CONNACK)
    assert answer.body == b"\x00\x01"
    await client.wait_closed()


def _websocket_by_default(found: dict[str, Any]) -> None:
    tcp, websocket = found["listeners"]["default"], found["listeners"]["websocket"]
    found["listeners"] = {"default": websocket, "plain": tcp}


@pytest.mark.parametrize("configure", [_websocket_by_default], ids=["default is ws"])
async def test_19_a_listener_is_of_the_type_it_was_given(clients: Clients, running: RunningBroker) -> None:
    client = clients.keep(await RawClient.open_tcp(running.port("plain")))
    assert (await client.login("veh1", secret("veh1"))).body == b"\x00\x00"


@pytest.mark.parametrize(
    "configure",
    [lambda found: found["plugins"].update({"amqtt.plugins.authentication.AnonymousAuthPlugin": {}})],
    ids=["amqtt's anonymous plugin beside ours"],
)
async def test_20_who_has_logged_in_gets_what_was_queued_whatever_other_plugins_say(clients: Clients) -> None:
    stranger = await clients.tcp()
    stranger.send(connect_packet("veh2", None, None))
    assert (await stranger.expect(CONNACK)).body[1] == 5
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1), clean=False)
    await unit.disconnect()
    gateway.publish(COMMAND, b"honk", 1)
    await gateway.expect(PUBACK)
    await asyncio.sleep(0.3)  # stock amqtt queues it after its PUBACK
    again = await clients.login("veh1", clean=False)
    assert (await again.message()).payload == b"honk"


class FailingPlugin(BasePlugin[BaseContext]):
    """Fails at each event."""

    async def on_broker_client_connected(self, **_: Any) -> None:
        raise RuntimeError("the disk of the plugin is full")


@pytest.mark.parametrize(
    "configure",
    [lambda found: found["plugins"].update({f"{__name__}.FailingPlugin": {}})],
    ids=["a plugin that fails"],
)
async def test_21_what_goes_wrong_in_a_plugin_is_said(
    clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = await clients.login("veh1")
    said = ""
    async with asyncio.timeout(60):
        while "FailingPlugin" not in said or "the disk of the plugin is full" not in said:
            await unit.ping()
            part = capsys.readouterr()
            said += part.out + part.err
    await unit.ping()


async def test_17_a_restart_loses_what_was_in_memory_and_says_so(accounts: Accounts, tmp_path: Path) -> None:
    """What it loses is told by session present; nothing half of it comes back."""
    state = "fleet/v1/helsinki/veh1/state"
    files = names(tmp_path)
    for present, retained in ((0, 1), (0, 0)):
        running = RunningBroker(accounts, Limits(connect_timeout_s=PATIENCE_S))
        running.start()
        clients = Clients(running)
        try:
            gateway = await clients.login("gateway")
            unit = await clients.tcp()
            assert (await unit.login("veh1", secret("veh1"), clean=False)).body == bytes((present, 0))
            if retained:
                gateway.publish(state, b"online", 1, retain=True)
                await gateway.expect(PUBACK)
            await unit.subscribe((state, 1))
            assert len(await unit.all_messages()) == retained
            await unit.disconnect()
            gateway.publish(state, b"queued", 1)
            await gateway.expect(PUBACK)
        finally:
            await clients.close()
            running.stop()
    assert names(tmp_path) == files


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
