"""The broker as a process: start, stop, crash and restart, configuration; and healthy clients of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import httpx
import pytest
from amqtt.contexts import BrokerConfig, ListenerType

from broker.app import amqtt_config, run
from broker.app import limits as limits_of
from broker.errors import BrokerError
from broker.health import Thresholds
from broker.limits import Limits
from fleetcell.mqtt import Message, MqttBridge, Will
from tests.broker.conftest import Accounts, secret
from tests.broker.raw_client import PATIENCE_S, PUBACK, RawClient
from tests.broker.raw_client import Will as RawWill
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.broker.conftest import RunningBroker

SERVE = """
import os, resource
if files := int(os.environ.get("TEST_OPEN_FILES", "0")):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
from broker.app import run
from fleetcell.service import configure_logging, run_service
from fleetcell.settings import BrokerSettings, load
configure_logging("info", json=True)
run_service(run(load(BrokerSettings)))
"""


class BrokerProcess:
    """`run()` in a process of its own, as `fleetcell broker` starts it."""

    def __init__(self, accounts: Accounts, ports: tuple[int, int, int], open_files: int = 0) -> None:
        self._ports = ports
        self._environment = {
            **os.environ,
            "TEST_OPEN_FILES": str(open_files),
            "FLEETCELL_MQTT_PORT": str(ports[0]),
            "FLEETCELL_WS_PORT": str(ports[1]),
            "FLEETCELL_METRICS_PORT": str(ports[2]),
            "FLEETCELL_CREDENTIALS_FILE": str(accounts.file),
            "FLEETCELL_CREDENTIALS_KEY_FILE": str(accounts.key_file),
        }
        self.said = ""

    async def start(self) -> None:
        """Start, and wait for the line with the addresses."""
        self.said = ""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVE, env=self._environment, stderr=asyncio.subprocess.PIPE
        )
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while "broker listening" not in self.said:
                line = await self.process.stderr.readline()
                assert line, self.said
                self.said += line.decode()

    async def end(self, number: signal.Signals) -> None:
        """Send a signal, and wait."""
        self.process.send_signal(number)
        _, said = await asyncio.wait_for(self.process.communicate(), 60)
        self.said += said.decode()


@pytest.fixture
async def process(accounts: Accounts, free_ports: tuple[int, int, int]) -> AsyncIterator[BrokerProcess]:
    broker = BrokerProcess(accounts, free_ports)
    await broker.start()
    yield broker
    if broker.process.returncode is None:
        await broker.end(signal.SIGKILL)


@pytest.fixture
def free_ports() -> tuple[int, int, int]:
    return free_port(), free_port(), free_port()


async def test_sigterm_stops_and_publishes_no_wills(
    process: BrokerProcess, free_ports: tuple[int, int, int]
) -> None:
    gateway = await RawClient.open_ws(free_ports[1])
    await gateway.login("gateway", secret("gateway"))
    await gateway.subscribe(("fleet/v1/helsinki/+/presence", 1))
    unit = await RawClient.open_tcp(free_ports[0])
    await unit.login("veh1", secret("veh1"), will=RawWill("fleet/v1/helsinki/veh1/presence"))
    await process.end(signal.SIGTERM)
    assert process.process.returncode == 0
    await unit.wait_closed()
    await gateway.wait_closed()
    assert gateway.messages == []
    for client in (gateway, unit):
        await client.aclose()
    assert "broker stopped" in process.said
    assert "Traceback" not in process.said
    assert "secret-of" not in process.said


async def test_after_sigkill_the_same_ports_serve_again_at_once(
    process: BrokerProcess, free_ports: tuple[int, int, int]
) -> None:
    clients = [await RawClient.open_tcp(free_ports[0]), await RawClient.open_ws(free_ports[1])]
    for number, client in enumerate(clients, start=1):
        await client.login(f"veh{number}", secret(f"veh{number}"))
    await process.end(signal.SIGKILL)
    await process.start()
    for client in clients:
        await client.aclose()
    again = [await RawClient.open_tcp(free_ports[0]), await RawClient.open_ws(free_ports[1])]
    for client in again:
        assert (await client.login("veh1", secret("veh1"))).body == b"\x00\x00"
        await client.aclose()


async def test_without_file_descriptors_it_waits_and_goes_on(
    accounts: Accounts, free_ports: tuple[int, int, int]
) -> None:
    broker = BrokerProcess(accounts, free_ports, open_files=48)
    await broker.start()
    try:
        assert "FLEETCELL_MAX_CONNECTIONS" in broker.said  # it said beforehand that there are too few
        unit = await RawClient.open_tcp(free_ports[0])
        await unit.login("veh1", secret("veh1"))
        # More than there can be; those that find no room wait in the system's queue.
        others = [await asyncio.open_connection("127.0.0.1", free_ports[0]) for _ in range(80)]
        assert broker.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while b"cannot accept connections" not in await broker.process.stderr.readline():
                pass
        await unit.ping()
        for _, writer in others:
            writer.close()
        again = await RawClient.open_tcp(free_ports[0])
        assert (await again.login("veh2", secret("veh2"))).body == b"\x00\x00"
        for client in (unit, again):
            await client.aclose()
    finally:
        await broker.end(signal.SIGTERM)
    assert "Traceback" not in broker.said


def test_every_limit_has_its_setting(accounts: Accounts) -> None:
    names = {field.name for field in fields(Limits)}
    assert limits_of(accounts.settings()) == Limits()
    changed = limits_of(
        accounts.settings(
            connect_timeout_s=1, max_packet=2_048, max_connections=3, max_connections_per_address=4,
            max_messages_per_s=5, max_inflight=6, max_queue_messages=7, max_queue_bytes=2_008, high_water=0.9,
            hold_s=11, max_qos0_messages=12, max_qos0_bytes=2_013, max_subscriptions=14, session_expiry_s=15,
            max_total_queue_bytes=16,
        )
    )  # fmt: skip
    assert {name for name in names if getattr(changed, name) != getattr(Limits(), name)} == names
    assert Thresholds(*(getattr(accounts.settings(), f"ready_{n}") for n in ("queue", "age_s", "lag_s"))) == (
        Thresholds()
    )


@pytest.mark.parametrize("taken", ["mqtt_port", "ws_port", "metrics_port"])
async def test_a_taken_port_is_an_error_that_says_so(
    accounts: Accounts, free_ports: tuple[int, int, int], taken: str
) -> None:
    ports = dict(zip(("mqtt_port", "ws_port", "metrics_port"), free_ports, strict=True))
    with socket.create_server(("127.0.0.1", ports[taken])):
        with pytest.raises(BrokerError, match=rf"{ports[taken]}.*in use"):
            await run(accounts.settings(**ports))
        for name in set(ports) - {taken}:  # nothing is left listening
            socket.create_server(("127.0.0.1", ports[name])).close()


async def test_metrics_and_health(process: BrokerProcess, free_ports: tuple[int, int, int]) -> None:
    unit = await RawClient.open_tcp(free_ports[0])
    await unit.login("veh1", secret("veh1"))
    stranger = await RawClient.open_tcp(free_ports[0])
    await stranger.login("veh1", "wrong")
    for topic in ("fleet/v1/helsinki/veh1/event", "fleet/v1/helsinki/veh2/event"):
        unit.publish(topic, b"{}", 1)
        await unit.expect(PUBACK)
    base = f"http://127.0.0.1:{free_ports[2]}"
    async with httpx.AsyncClient(timeout=60) as http:
        health = (await http.get(f"{base}/healthz")).json()
        metrics = (await http.get(f"{base}/metrics")).text
        missing = await http.get(f"{base}/other")
        wrong = await http.post(f"{base}/metrics")
    assert health == {"status": "ok", "connections": 1}
    for line in (
        "fleetcell_broker_connections 1.0",
        "fleetcell_broker_connects_total 1.0",
        "fleetcell_broker_auth_failures_total 1.0",
        "fleetcell_broker_messages_received_total 2.0",
        'fleetcell_broker_denied_total{reason="publish"} 1.0',
    ):
        assert line in metrics.splitlines()
    assert "fleetcell_broker_event_loop_lag_seconds" in metrics
    assert (missing.status_code, wrong.status_code) == (404, 405)
    for client in (unit, stranger):
        await client.aclose()


def test_the_configuration_is_amqtts_own(accounts: Accounts) -> None:
    config = BrokerConfig.from_dict(amqtt_config(accounts.settings(host="::1")))
    assert config.listeners["default"].type is ListenerType.TCP
    assert config.listeners["websocket"].type is ListenerType.WS
    assert config.listeners["websocket"].bind == "[::1]:0"


@pytest.mark.parametrize("scheme", ["ws", "mqtt"])
async def test_a_healthy_client_attaches_publishes_and_is_taken_over(
    running: RunningBroker, scheme: str
) -> None:
    url = (
        f"ws://127.0.0.1:{running.ws_port}/mqtt"
        if scheme == "ws"
        else f"mqtt://127.0.0.1:{running.mqtt_port}"
    )
    presence, state = "fleet/v1/helsinki/veh1/presence", "fleet/v1/helsinki/veh1/state"
    claims: asyncio.Queue[Message] = asyncio.Queue()
    states: asyncio.Queue[Message] = asyncio.Queue()
    gateway = MqttBridge(
        url,
        client_id="gateway",
        username="gateway",
        password=secret("gateway"),
        subscriptions=[("fleet/v1/helsinki/+/presence", 1)],
        receive=claims.put_nowait,
    )
    unit = MqttBridge(
        url,
        client_id="veh1",
        username="veh1",
        password=secret("veh1"),
        subscriptions=[(state, 1)],
        receive=states.put_nowait,
        will=lambda: Will(presence, b"lost"),
    )
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.run())
        await gateway.wait_connected()
        await gateway.publish(state, b"offline", qos=1, retain=True)
        tasks.create_task(unit.run())
        await unit.wait_connected()
        assert await states.get() == Message(state, b"offline", 1, True)
        await unit.publish(presence, b"attach", qos=1)
        assert (await claims.get()).payload == b"attach"
        other = await RawClient.open_tcp(running.mqtt_port)
        await other.login("veh1", secret("veh1"))
        assert (await claims.get()).payload == b"lost"
        await other.aclose()
        await unit.wait_connected()
        await unit.disconnect()
        await gateway.disconnect()
    assert claims.empty()
