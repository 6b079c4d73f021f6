"""The relay between real MQTT clients and a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from fleetcell.contract.errors import ConfigError
from fleetcell.mqtt import Backoff, Message, MqttBridge, Will
from vehicle_sim.links import load
from vehicle_sim.links.air import Change
from vehicle_sim.links.errors import LinkError
from vehicle_sim.links.faults import Fault, PlannedFault
from vehicle_sim.links.relay import Relay, RelayOptions
from vehicle_sim.links.serve import ListenError, relay_options, serve_relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.mosquitto_server import Mosquitto

PATIENCE_S = 60.0


@asynccontextmanager
async def relaying(port: int, profile: str, faults: Sequence[PlannedFault] = ()) -> AsyncIterator[Relay]:
    """A relay to a port of this machine."""
    relay = Relay(load(profile, seed=3), RelayOptions("127.0.0.1", 0, "127.0.0.1", port, faults))
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


@asynccontextmanager
async def client(url: str, name: str, **options: Any) -> AsyncIterator[MqttBridge]:
    """A connected client; it is cut off in the end."""
    bridge = MqttBridge(url, client_id=name, backoff=Backoff(0.01, 0.05), **options)
    task = asyncio.create_task(bridge.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bridge.wait_connected()
        yield bridge
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
async def test_any_mqtt_client_works_through_it(
    mosquitto: Mosquitto, transport: Literal["tcp", "websockets"]
) -> None:
    """Paho as others use it: its own sockets, its own thread."""
    port = mosquitto.mqtt_port if transport == "tcp" else mosquitto.ws_port
    payloads = [b"%d " % number * 700 for number in range(20)]
    got, complete = [], threading.Event()

    def subscribe(found: paho.Client, *_: object) -> None:
        found.subscribe("echo", qos=1)

    def publish(found: paho.Client, *_: object) -> None:
        for payload in payloads:
            found.publish("echo", payload, qos=1)

    def receive(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        got.append(message.payload)
        if len(got) == len(payloads):
            complete.set()

    async with relaying(port, "lte") as relay:
        found = paho.Client(CallbackAPIVersion.VERSION2, "thing", transport=transport)
        found.on_connect, found.on_subscribe, found.on_message = subscribe, publish, receive
        found.connect_async("127.0.0.1", relay.port)
        found.loop_start()
        try:
            assert await asyncio.to_thread(complete.wait, PATIENCE_S)
        finally:
            found.disconnect()
            await asyncio.to_thread(found.loop_stop)
        told = relay.statistics().to_dict()
    assert got == payloads
    size = sum(map(len, payloads))
    assert told["connections"] == 1
    assert told["up"]["bytes"] > size
    assert told["down"]["bytes"] > size
    assert told["up"]["delay_mean_s"] >= 0.030
    assert told["changes"]["promoted"] >= 1


async def test_a_black_hole_is_seen_by_nobody_at_once_and_the_will_comes_by_keep_alive(
    mosquitto: Mosquitto,
) -> None:
    wills: list[Message] = []
    came, lost = asyncio.Event(), asyncio.Event()

    def receive(message: Message) -> None:
        wills.append(message)
        came.set()

    will = Will("will", b"gone")
    async with (
        client(mosquitto.mqtt_url, "watcher", subscriptions=[("will", 1)], receive=receive),
        relaying(mosquitto.mqtt_port, "perfect") as relay,
        client(
            f"mqtt://127.0.0.1:{relay.port}",
            "unit",
            keep_alive=1,
            will=lambda: will,
            on_disconnect=lambda _: lost.set(),
        ),
    ):
        relay._begin(PlannedFault(Fault.BLACK_HOLE, 0.0, 0.5))
        assert relay.statistics().open == 1
        assert (wills, lost.is_set()) == ([], False)
        await until(lost)  # the client's own keep-alive
        await until(came)  # the broker's
        told = relay.statistics()
    assert [message.payload for message in wills][:1] == [b"gone"]
    assert told.changes[Change.BLACK_HOLE] == 1
    assert told.vanished_bytes > 0


async def test_after_a_reset_the_client_comes_back_on_the_same_modem(mosquitto: Mosquitto) -> None:
    lost: list[str] = []
    async with relaying(mosquitto.mqtt_port, "lte") as relay:
        url = f"mqtt://127.0.0.1:{relay.port}"
        async with client(url, "unit", on_disconnect=lost.append) as bridge:
            relay._begin(PlannedFault(Fault.RESET, 0.0, 0.0))
            async with asyncio.timeout(PATIENCE_S):
                while not lost:
                    await asyncio.sleep(0.01)
                await bridge.wait_connected()
            told = relay.statistics()
    assert lost
    assert told.connections == 2
    assert told.modems == 1
    assert told.changes[Change.RESET] == 1


async def test_planned_faults_come_at_their_time() -> None:
    faults = [
        PlannedFault(Fault.RESET, 0.01, 0.0),
        PlannedFault(Fault.BLACK_HOLE, 0.02, 0.01),
        PlannedFault(Fault.SIM, 0.03, 0.01),
    ]
    async with relaying(9, "perfect", faults) as relay:
        relay._switch_on()
        async with asyncio.timeout(PATIENCE_S):
            while not relay.statistics().changes[Change.RESUMED]:
                await asyncio.sleep(0.01)
        events = [(event.change, event.at) for event in relay._modems[0].link.events]
    assert [change for change, _ in events] == [
        Change.RESET,
        Change.BLACK_HOLE,
        Change.SIM_SUSPENDED,
        Change.RESUMED,
    ]
    assert all(at >= due - 0.002 for (_, at), due in zip(events, (0.01, 0.02, 0.03, 0.04), strict=True))


async def test_who_connects_in_a_black_hole_hears_nothing(mosquitto: Mosquitto) -> None:
    async with relaying(mosquitto.mqtt_port, "perfect") as relay:
        relay._begin(PlannedFault(Fault.BLACK_HOLE, 0.0, 3600.0))
        relay._begin(PlannedFault(Fault.SIM, 0.0, 3600.0))
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
        assert relay.statistics().changes[Change.SIM_SUSPENDED] == 1
        writer.close()


async def test_a_broker_that_is_not_there_refuses_the_client(mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    async with relaying(mosquitto.mqtt_port, "perfect") as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read(1) == b""
        writer.close()
        async with asyncio.timeout(PATIENCE_S):
            while relay.statistics().open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("listen", "to", "faults", "said"),
    [
        ("1884", "mqtt://b", [], "--listen 1884: use HOST:PORT"),
        ("h:99999", "mqtt://b", [], "--listen h:99999: use HOST:PORT"),
        ("h:1", "http://b", [], "--to http://b: broker URL must start with"),
        ("h:1", "mqtt://b", ["flood@1"], "--fault flood@1: use black-hole"),
    ],
)
def test_bad_addresses_are_refused(listen: str, to: str, faults: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        relay_options(listen, to, faults)


def test_addresses_are_read() -> None:
    options = relay_options("[::1]:0", "wss://broker.example/mqtt", ["reset@2"])
    assert (options.listen_host, options.listen_port) == ("::1", 0)
    assert (options.to_host, options.to_port) == ("broker.example", 443)
    assert options.faults == [PlannedFault(Fault.RESET, 2, 0)]


async def test_what_cannot_be_served_is_said(mosquitto: Mosquitto) -> None:
    options = relay_options(f"127.0.0.1:{mosquitto.mqtt_port}", mosquitto.mqtt_url, [])
    with pytest.raises(ListenError, match=r"cannot listen on 127\.0\.0\.1:"):
        await serve_relay(options, "lte", 1, None, print)
    with pytest.raises(LinkError, match="no link profile"):
        await serve_relay(options, "2g", 1, None, print)
    with pytest.raises(ConfigError, match="--duration 0"):
        await serve_relay(options, "lte", 1, 0, print)


async def test_the_command_relays_until_it_is_told_to_stop_and_prints_what_the_links_did(
    mosquitto: Mosquitto,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetcell", "sim", "link", "--listen", "127.0.0.1:0"),
        *("--to", mosquitto.mqtt_url, "--link", "5g", "--seed", "8"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        line = (await process.stderr.readline()).decode()
        found = re.fullmatch(r"relay on 127\.0\.0\.1:(\d+) to localhost:(\d+), 5g, seed 8\n", line)
        assert found, line
        async with client(f"mqtt://127.0.0.1:{found[1]}", "unit"):
            process.send_signal(signal.SIGINT)
            output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told = json.loads(output)
    assert (told["link"], told["seed"], told["connections"], told["open"]) == ("5g", 8, 1, 1)
    assert told["up"]["packets"] >= 2
