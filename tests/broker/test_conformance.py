"""MQTT 3.1.1 beyond tests/conformance: malformed packets, and what is fleetcell's own.

Section numbers are those of the standard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from broker.identity import PluginAccess
from tests.broker.conftest import secret
from tests.broker.raw_client import (
    CONNACK,
    DISCONNECT_PACKET,
    PUBACK,
    SUBACK,
    Message,
    Will,
    connect_packet,
    packet,
    publish_packet,
    string,
    subscribe_packet,
)

if TYPE_CHECKING:
    from tests.broker.conftest import Clients, RunningBroker
    from tests.broker.raw_client import RawClient

STATE = "fleet/v1/helsinki/veh1/state"
STATES = "fleet/v1/helsinki/+/state"
COMMAND = "fleet/v1/helsinki/veh1/command"
PRESENCE = "fleet/v1/helsinki/veh1/presence"
PRESENCES = "fleet/v1/helsinki/+/presence"


@pytest.fixture
def open_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every authenticated client may do everything: for topics that the contract does not have."""
    monkeypatch.setattr(PluginAccess, "may", lambda *_: True)
    monkeypatch.setattr(PluginAccess, "may_retain", lambda *_: True)


async def published(client: RawClient, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Publish at QoS 1, and wait for the PUBACK."""
    client.publish(topic, payload, 1, retain=retain)
    await client.expect(PUBACK)


# -- connecting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_connect_publish_and_disconnect(clients: Clients, ws: bool) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1), ws=ws)
    unit = await clients.login("veh1", ws=ws, will=Will(PRESENCE))
    await published(unit, PRESENCE, b"here")
    await unit.disconnect()
    assert [message.payload for message in await gateway.all_messages()] == [b"here"]  # 3.14.4.3: no will


@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
@pytest.mark.parametrize(("name", "level"), [("MQTT", 5), ("MQTT", 3), ("MQIsdp", 3)])
async def test_another_protocol_version_gets_return_code_1(
    clients: Clients, ws: bool, name: str, level: int
) -> None:
    client = await (clients.ws() if ws else clients.tcp())
    client.send(connect_packet("veh1", "veh1", secret("veh1"), name=name, level=level))
    assert (await client.expect(CONNACK)).body == b"\x00\x01"
    await client.wait_closed()


async def test_an_empty_client_id_is_for_clean_sessions_of_services(clients: Clients) -> None:
    await clients.login("dashboard", client_id="")
    kept = await clients.tcp()
    assert (await kept.login("dashboard", secret("dashboard"), client_id="", clean=False)).body[1] == 2
    await kept.wait_closed()
    unit = await clients.tcp()
    assert (await unit.login("veh1", secret("veh1"), client_id="")).body[1] == 5


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(subscribe_packet([(STATE, 0)]), id="no CONNECT first"),
        pytest.param(b"\xf0\x00", id="reserved type"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n" + bytes(80), id="HTTP"),  # a PUBACK of 69 bytes
        pytest.param(b"\x10\xff\xff\xff\xff\x01", id="five bytes of length"),
        pytest.param(packet(0x10, string("MQTT") + b"\x04\x03\x00\x00" + string("veh1")), id="reserved flag"),
        pytest.param(
            packet(0x10, string("MQTT") + b"\x04\x02\x00\x00" + string(b"\xff\xfe")), id="not UTF-8"
        ),
        pytest.param(
            packet(0x10, string("MQTT") + b"\x04\x02\x00\x00" + string("veh1") + b"x"), id="trailing bytes"
        ),
    ],
)
async def test_a_malformed_beginning_closes_the_connection(clients: Clients, sent: bytes) -> None:
    client = await clients.tcp()
    client.send(sent)
    await client.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(connect_packet("veh1", "veh1", secret("veh1")), id="a second CONNECT"),
        pytest.param(publish_packet("fleet/+/x", b""), id="PUBLISH with a wildcard"),
        pytest.param(publish_packet("", b""), id="PUBLISH without a topic"),
        pytest.param(publish_packet(b"\xff", b""), id="PUBLISH not UTF-8"),
        pytest.param(publish_packet("a\0b", b""), id="PUBLISH with NUL"),
        pytest.param(packet(0x36, string("a") + b"\x00\x01"), id="PUBLISH at QoS 3"),
        pytest.param(packet(0x32, string("a") + b"\x00\x00"), id="packet id 0"),
        pytest.param(packet(0x30, b"\x00\x09abc"), id="PUBLISH cut short"),
        pytest.param(packet(0x80, b"\x00\x01" + string("a") + b"\x00"), id="SUBSCRIBE with wrong flags"),
        pytest.param(packet(0x82, b"\x00\x01"), id="SUBSCRIBE without a filter"),
        pytest.param(subscribe_packet([("a/#/b", 0)]), id="SUBSCRIBE to a filter that is none"),
        pytest.param(packet(0x82, b"\x00\x01" + string("a") + b"\x03"), id="SUBSCRIBE at QoS 3"),
        pytest.param(packet(0xA2, b"\x00\x01"), id="UNSUBSCRIBE without a filter"),
        pytest.param(packet(0x40, b"\x00"), id="PUBACK cut short"),
        pytest.param(packet(0x20, b"\x00\x00"), id="CONNACK to a server"),
        pytest.param(packet(0xC0, b"x"), id="PINGREQ with a body"),
    ],
)
async def test_breaking_the_protocol_ends_the_connection_with_its_will(clients: Clients, sent: bytes) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1))
    unit = await clients.login("veh1", will=Will(PRESENCE, b"lost"))
    unit.send(sent)
    await unit.wait_closed()
    assert (await gateway.message()).payload == b"lost"


async def test_what_follows_a_disconnect_is_not_read(clients: Clients) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1))
    unit = await clients.login("veh1")
    unit.send(publish_packet(PRESENCE, b"1") + DISCONNECT_PACKET + publish_packet(PRESENCE, b"2"))
    await unit.wait_closed()
    assert [message.payload for message in await gateway.all_messages()] == [b"1"]


# -- QoS ------------------------------------------------------------------------------------------------


async def test_messages_of_a_publisher_keep_their_order(clients: Clients) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1))
    unit = await clients.login("veh1", ws=True)
    unit.send(b"".join(publish_packet(PRESENCE, b"%d" % n, 1, packet_id=n + 1) for n in range(500)))
    found: list[Message] = []
    while len(found) < 500:
        found.append(await gateway.message())
        gateway.acknowledge(found[-1])
    assert [int(message.payload) for message in found] == list(range(500))
    assert len({message.packet_id for message in found}) == 500


# -- kept sessions ----------------------------------------------------------------------------------------


async def test_a_kept_session_repeats_and_delivers_what_it_missed(
    clients: Clients, running: RunningBroker
) -> None:
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1), clean=False)
    await published(gateway, COMMAND, b"unacknowledged")
    first = await unit.message()
    unit.abort()
    await running.until(lambda: running.broker.core.sessions["veh1"].link is None)
    for payload in (b"missed 1", b"missed 2"):
        await published(gateway, COMMAND, payload)
    gateway.publish(COMMAND, b"QoS 0 is not kept")
    await gateway.ping()
    again = await clients.tcp()
    assert (await again.login("veh1", secret("veh1"), clean=False)).body == b"\x01\x00"  # session present
    repeated, *missed = await again.all_messages()
    assert (repeated.payload, repeated.dup, repeated.packet_id) == (first.payload, True, first.packet_id)
    assert [(m.payload, m.dup, m.retain) for m in missed] == [
        (b"missed 1", False, False),
        (b"missed 2", False, False),
    ]


async def test_a_clean_connect_forgets_the_kept_session(clients: Clients) -> None:
    gateway = await clients.login("gateway")
    unit = await clients.login("veh1", (COMMAND, 1), clean=False)
    await unit.disconnect()
    await published(gateway, COMMAND, b"missed")
    again = await clients.tcp()
    assert (await again.login("veh1", secret("veh1"))).body == b"\x00\x00"
    await published(gateway, COMMAND, b"not subscribed any more")
    assert await again.all_messages() == []


# -- retained messages --------------------------------------------------------------------------------------


async def test_retained_messages(clients: Clients) -> None:
    gateway = await clients.login("gateway", (STATES, 1))
    await published(gateway, STATE, b"first", retain=True)
    await published(gateway, STATE, b"second", retain=True)
    live = await gateway.all_messages()
    assert [message.retain for message in live] == [False, False]  # 3.3.1.3: not to those already there
    unit = await clients.login("veh1", (STATE, 0))
    (message,) = await unit.all_messages()
    assert (message.payload, message.retain, message.qos) == (b"second", True, 0)
    assert await unit.subscribe((STATE, 1)) == [1]  # 3.8.4: once more, and at the new QoS
    (message,) = await unit.all_messages()
    assert (message.payload, message.retain, message.qos) == (b"second", True, 1)
    unit.acknowledge(message)
    await published(gateway, STATE, b"", retain=True)
    (empty,) = await unit.all_messages()
    assert (empty.payload, empty.retain) == (b"", False)
    late = await clients.login("dashboard", (STATES, 1))
    assert await late.all_messages() == []


# -- wills --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ws", [False, True], ids=["tcp", "ws"])
async def test_a_will_comes_when_the_connection_breaks(clients: Clients, ws: bool) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1))
    unit = await clients.login("veh1", ws=ws, will=Will(PRESENCE, b"lost", qos=1))
    unit.abort()
    message = await gateway.message()
    assert (message.topic, message.payload, message.qos, message.retain) == (PRESENCE, b"lost", 1, False)


async def test_a_will_of_a_kept_session_is_that_of_its_last_connect(clients: Clients) -> None:
    gateway = await clients.login("gateway", (PRESENCES, 1))
    unit = await clients.login("veh1", clean=False, will=Will(PRESENCE, b"epoch 1"))
    await unit.disconnect()
    unit = await clients.login("veh1", clean=False, will=Will(PRESENCE, b"epoch 2"))
    unit.abort()
    assert (await gateway.message()).payload == b"epoch 2"
    unit = await clients.login("veh1", clean=False)
    unit.abort()
    await clients.login("veh1", clean=False)
    assert await gateway.all_messages() == []


# -- subscriptions --------------------------------------------------------------------------------------


async def test_a_refused_filter_does_not_spoil_the_others(clients: Clients) -> None:
    unit = await clients.login("veh1")
    unit.send(subscribe_packet([("#", 0), (STATE, 1), (STATES, 1), (COMMAND, 0)], 5))
    assert (await unit.expect(SUBACK)).body == b"\x00\x05" + bytes((0x80, 1, 0x80, 0))


@pytest.mark.usefixtures("open_access")
async def test_dollar_topics_come_only_by_name_and_clients_cannot_publish_them(
    clients: Clients, running: RunningBroker
) -> None:
    subscriber = await clients.login("gateway", ("#", 1), ("+/b", 1), ("$t/#", 1))
    unit = await clients.login("veh1")
    await published(unit, "$t/b", b"forged", retain=True)  # acknowledged, dropped, and the link stays
    await unit.ping()
    running.do(lambda: running.broker.core.publish("$t/b", b"true", 1, retain=True))
    assert [message.payload for message in await subscriber.all_messages()] == [b"true"]
    late = await clients.login("dashboard", ("#", 1), ("+/b", 1))
    assert await late.all_messages() == []
    assert await late.subscribe(("$t/+", 1)) == [1]
    assert [message.payload for message in await late.all_messages()] == [b"true"]
    stranger = await clients.tcp()
    assert (await stranger.login("veh2", secret("veh2"), will=Will("$t/b"))).body[1] == 5


@pytest.mark.usefixtures("open_access")
async def test_a_large_message_passes_and_a_larger_one_does_not(clients: Clients) -> None:
    gateway = await clients.login("gateway", ("big", 1), ws=True)
    unit = await clients.login("veh1", ws=True)
    payload = bytes(262_144 - 7)
    await published(unit, "big", payload)
    assert (await gateway.message()).payload == payload
    unit.publish("big", payload + b"x", 1)
    await unit.wait_closed()
