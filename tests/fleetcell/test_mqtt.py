"""The MQTT bridge against a real Mosquitto: messages, and connections that are lost."""

import asyncio
import itertools
import threading
import time

import pytest

from fleetcell.mqtt import Message, MqttBridge, NotConnectedError, Will
from tests.fleetcell.mqtt_bridges import PATIENCE_S, QUICK, Inbox, Losses, running
from tests.mosquitto_server import Mosquitto


@pytest.fixture(params=["mqtt", "ws"])
def url(request: pytest.FixtureRequest, mosquitto: Mosquitto) -> str:
    return mosquitto.ws_url if request.param == "ws" else mosquitto.mqtt_url


async def test_a_session_subscribes_to_more_and_less(url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="follower", subscriptions=[("kept", 0)], receive=inbox)
    assert not bridge.subscribe_nowait([("more/#", 0)])  # not connected yet
    async with running(bridge):
        assert bridge.subscribe_nowait([("more/1", 0), ("more/2", 0)])
        for topic in ("more/1", "more/2"):
            await bridge.publish(topic, topic.encode())
        await inbox.until(2)
        assert bridge.unsubscribe_nowait(["more/1"])
        for topic in ("more/1", "more/2", "kept"):
            await bridge.publish(topic, topic.encode())
        assert [message.topic for message in await inbox.until(4)] == ["more/1", "more/2", "more/2", "kept"]


@pytest.mark.both_loops
async def test_messages_go_round(url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="a", subscriptions=[("t/#", 1)], receive=inbox)
    big = bytes(range(256)) * 80  # Mosquitto's WebSocket takes 4 kB each 0.1 s
    async with running(bridge):
        await bridge.publish("t/small", b"1", qos=1)
        await bridge.publish("t/empty", b"")
        await bridge.publish("t/big", big, qos=1)
        assert bridge.publish_nowait("t/kept", b"k", qos=1, retain=True)
        received = await inbox.until(4)
        late = Inbox()
        async with running(MqttBridge(url, client_id="b", subscriptions=[("t/#", 0)], receive=late)):
            await late.until(1)
    assert received == [
        Message("t/small", b"1", 1, retain=False),
        Message("t/empty", b"", 0, retain=False),
        Message("t/big", big, 1, retain=False),
        Message("t/kept", b"k", 1, retain=False),
    ]
    assert late.messages == [Message("t/kept", b"k", 0, retain=True)]
    assert not bridge.connected


async def test_an_echo_comes_after_all_that_was_sent_before_it(mosquitto: Mosquitto, url: str) -> None:
    inbox = Inbox()
    client = MqttBridge(url, client_id="client", subscriptions=[("numbers", 1)], receive=inbox)
    with pytest.raises(NotConnectedError):
        await client.echo()
    async with running(client):
        for number in range(50):
            await client.publish("numbers", b"%d" % number, qos=1)
            await client.echo()
            assert len(inbox.messages) == number + 1
        mosquitto.freeze()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.echo()
        finally:
            mosquitto.thaw()
        await asyncio.wait_for(client.echo(), PATIENCE_S)


async def test_bad_topic_is_refused_and_the_session_lives(url: str) -> None:
    bridge = MqttBridge(url, client_id="a")
    async with running(bridge):
        with pytest.raises(ValueError, match="wildcards"):
            await bridge.publish("t/#", b"", qos=1)
        await bridge.publish("t", b"", qos=1)


async def test_receive_that_raises_does_not_stop_the_next(mosquitto: Mosquitto) -> None:
    inbox = Inbox()

    def receive(message: Message) -> None:
        if message.payload == b"bad":
            raise ValueError(message)
        inbox(message)

    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", subscriptions=[("t", 1)], receive=receive)
    async with running(bridge):
        await bridge.publish("t", b"bad", qos=1)
        await bridge.publish("t", b"good", qos=1)
        await inbox.until(1)
    assert inbox.payloads == [b"good"]


# -- the connection is lost ------------------------------------------------------------------


@pytest.mark.both_loops
async def test_reconnects_and_subscribes_again_after_the_broker_was_killed(
    mosquitto: Mosquitto, url: str
) -> None:
    inbox, losses = Inbox(), Losses()
    bridge = MqttBridge(
        url, client_id="a", subscriptions=[("t", 1)], receive=inbox, on_disconnect=losses, backoff=QUICK
    )
    async with running(bridge):
        for round_ in (b"1", b"2"):
            mosquitto.kill()
            assert await losses.next()
            assert not bridge.connected
            assert not bridge.publish_nowait("t", b"lost", qos=1)
            with pytest.raises(NotConnectedError):
                await bridge.publish("t", b"lost", qos=1)
            mosquitto.start()
            await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)
            await bridge.publish("t", round_, qos=1)
        await inbox.until(2)
    assert inbox.payloads == [b"1", b"2"]


@pytest.mark.both_loops
async def test_publish_without_puback_fails_and_is_not_repeated(mosquitto: Mosquitto, url: str) -> None:
    inbox = Inbox()
    bridge = MqttBridge(url, client_id="a", subscriptions=[("t", 1)], receive=inbox, backoff=QUICK)
    async with running(bridge):
        mosquitto.freeze()
        pending = [asyncio.create_task(bridge.publish("t", b"unacknowledged", qos=1)) for _ in range(2000)]
        abandoned = pending.pop()
        await asyncio.sleep(0)  # each has been handed over, or waits for room
        abandoned.cancel()
        mosquitto.kill()
        outcomes = await asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), PATIENCE_S)
        assert {type(outcome) for outcome in outcomes} == {NotConnectedError}
        mosquitto.start()
        await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)
        await bridge.publish("t", b"after", qos=1)
        await inbox.until(1)
    assert inbox.payloads == [b"after"]


@pytest.mark.both_loops
async def test_will_is_asked_for_before_each_connect(url: str) -> None:
    wills = Inbox()
    epochs = itertools.count(1)
    watcher = MqttBridge(url, client_id="watcher", subscriptions=[("will", 1)], receive=wills)
    losses = Losses()
    unit = MqttBridge(
        url,
        client_id="unit",
        will=lambda: Will("will", b"%d" % next(epochs)),
        on_disconnect=losses,
        backoff=QUICK,
    )
    async with running(watcher, unit):
        for epoch in (1, 2, 3):
            await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
            unit.drop("tunnel")
            assert await losses.next() == "tunnel"
            await wills.until(epoch)
        await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
        await unit.disconnect()
        await watcher.publish("will", b"end", qos=1)
        await wills.until(4)
    assert wills.payloads == [b"1", b"2", b"3", b"end"]  # the fourth session ended cleanly


@pytest.mark.both_loops
async def test_cancelled_run_is_a_lost_link(mosquitto: Mosquitto) -> None:
    wills, losses = Inbox(), Losses()
    watcher = MqttBridge(mosquitto.mqtt_url, client_id="w", subscriptions=[("will", 1)], receive=wills)
    unit = MqttBridge(
        mosquitto.mqtt_url, client_id="u", will=lambda: Will("will", b"gone"), on_disconnect=losses
    )
    async with running(watcher):
        task = asyncio.create_task(unit.run())
        await asyncio.wait_for(unit.wait_connected(), PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wills.until(1)
    assert not unit.connected
    assert await losses.next() == "stopped"


async def test_idle_session_is_kept_alive(mosquitto: Mosquitto, url: str) -> None:
    bridge = MqttBridge(url, client_id="idle", keep_alive=1, on_disconnect=(losses := Losses()))
    async with running(bridge):
        while mosquitto.log_file.read_text().count("Received PINGREQ from idle") < 2:
            await asyncio.sleep(0.05)
        assert losses.reasons.empty()


async def test_silent_broker_is_given_up(mosquitto: Mosquitto, url: str) -> None:
    losses = Losses()
    bridge = MqttBridge(url, client_id="a", keep_alive=1, on_disconnect=losses, backoff=QUICK)
    async with running(bridge):
        mosquitto.freeze()
        assert await losses.next() == "the broker was silent for 1.5 s"
        mosquitto.thaw()
        await asyncio.wait_for(bridge.wait_connected(), PATIENCE_S)


async def test_a_process_that_stood_still_asks_before_it_gives_its_broker_up(mosquitto: Mosquitto) -> None:
    losses = Losses()
    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", keep_alive=60, on_disconnect=losses)
    async with running(bridge):
        session = bridge._session
        assert session is not None
        wire, client = session._wire, session._client

        def pass_by(seconds: float) -> None:
            """As if this process had been stopped for so long."""
            for holder, names in (
                (wire, ("last_received", "last_sent")),
                (client, ("_last_msg_out",)),
                (session, ("_pinged", "_awake_since")),
            ):
                for name in names:
                    setattr(holder, name, getattr(holder, name) - seconds)

        pass_by(100)  # the last byte is older than 1.5 keep-alives, but the timer is 40 s late
        asked = time.monotonic()
        session._keep_alive_due(asked - 40)
        async with asyncio.timeout(PATIENCE_S):
            while wire.last_received < asked:  # it has asked, and the broker has answered
                await asyncio.sleep(0.01)
        assert losses.reasons.empty()
        mosquitto.freeze()
        for late_s in (40, 0):
            pass_by(100)
            session._keep_alive_due(time.monotonic() - late_s)
            assert session.closed.done() == (late_s == 0)
        assert await losses.next() == "the broker was silent for 90 s"
        mosquitto.thaw()


async def test_a_process_that_is_always_late_gives_a_silent_broker_up_too(mosquitto: Mosquitto) -> None:
    losses = Losses()
    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", keep_alive=1, on_disconnect=losses)
    async with running(bridge):
        session = bridge._session
        assert session is not None
        mosquitto.freeze()
        async with asyncio.timeout(PATIENCE_S):
            while losses.reasons.empty():
                session._keep_alive_due(0.0)
                await asyncio.sleep(0.05)
        assert await losses.next() == "the broker was silent for 1.5 s"
        mosquitto.thaw()


@pytest.mark.both_loops
async def test_full_connection_makes_publishers_wait(mosquitto: Mosquitto) -> None:
    inbox = Inbox()
    payload = bytes(100_000)
    bridge = MqttBridge(mosquitto.mqtt_url, client_id="a", subscriptions=[("t", 0)], receive=inbox)
    async with running(bridge):
        mosquitto.freeze()
        sent = 0
        while bridge.publish_nowait("t", payload):
            sent += 1
            assert sent < 1000, "100 MB were buffered for a broker that does not read"
        waiting = [asyncio.create_task(bridge.publish("t", b"waited", qos=qos)) for qos in (0, 1, 0)]
        done, _ = await asyncio.wait(waiting, timeout=0.1)
        assert not done
        mosquitto.thaw()
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
        await inbox.until(sent + 3)
    assert inbox.payloads[-3:] == [b"waited"] * 3


async def test_inbox_overflow_is_counted(mosquitto: Mosquitto) -> None:
    received: list[bytes] = []
    total = 2000

    def slow(message: Message) -> None:
        time.sleep(0.001)
        received.append(message.payload)

    bridge = MqttBridge(
        mosquitto.mqtt_url, client_id="slow", subscriptions=[("t", 0)], receive=slow, inbox_size=10
    )
    sender = MqttBridge(mosquitto.mqtt_url, client_id="sender")
    async with running(bridge, sender), asyncio.timeout(PATIENCE_S):
        for number in range(total):
            await sender.publish("t", b"%d" % number)
        while len(received) + bridge.dropped < total:
            await asyncio.sleep(0.01)
    assert bridge.dropped > 0
    numbers = [int(payload) for payload in received]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 10


# -- many ------------------------------------------------------------------------------------


@pytest.mark.both_loops
async def test_two_hundred_clients_need_no_threads(url: str) -> None:
    inboxes = [Inbox() for _ in range(200)]
    bridges = [
        MqttBridge(url, client_id=f"unit-{i}", subscriptions=[(f"t/{i}", 1)], receive=inbox)
        for i, inbox in enumerate(inboxes)
    ]
    async with running(*bridges):
        await asyncio.gather(
            *(bridge.publish(f"t/{i}", b"%d" % i, qos=1) for i, bridge in enumerate(bridges))
        )
        await asyncio.gather(*(inbox.until(1) for inbox in inboxes))
        assert threading.active_count() < 20  # asyncio resolves names in a small pool
    assert [inbox.payloads for inbox in inboxes] == [[b"%d" % i] for i in range(200)]
