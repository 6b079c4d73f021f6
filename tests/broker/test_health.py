"""Queues by class, and a broker that says that it is not well before anything is dropped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from broker.accept import Gate
from broker.health import Thresholds, examine, measure
from broker.limits import Limits
from broker.metrics import serve_metrics
from tests.broker import raw_client as raw
from tests.broker.bench import Bench
from tests.broker.conftest import Accounts, Clients, RunningBroker

if TYPE_CHECKING:
    from broker.core import Core
    from broker.counters import Counters

COMMAND = "fleet/v1/helsinki/veh1/command"


class Looked:
    """Of the broker what its health is read from."""

    def __init__(self, bench: Bench) -> None:
        self.core: Core = bench.core
        self.counters: Counters = bench.counters
        self.gates: dict[str, Gate] = {}
        self.credentials_good = True


def behind(name: str, count: int, qos: int = 1) -> tuple[Bench, Looked]:
    """A client that takes nothing, and messages for it; its queue takes 100 of QoS 1, 50 of QoS 0."""
    bench = Bench(Limits(queue_messages=100, drop_messages=50, window=10))
    link = bench.login(name)
    bench.send(link, raw.subscribe_packet([("x", qos)]))
    link.paused = True
    bench.core.sweep(bench.now)
    for _ in range(count):
        bench.core.publish("x", bytes(10), qos)
    return bench, Looked(bench)


def test_the_queues_of_each_class() -> None:
    bench, broker = behind("gateway-1", 20)
    bench.login("unit-1")
    away = bench.login("unit-2", clean=False)
    bench.send(away, raw.subscribe_packet([("y", 1)]))
    bench.core.lost(away)
    bench.core.publish("y", b"kept", 1)
    bench.login("stranger")
    found = measure(broker, bench.now + 3)  # type: ignore[arg-type] # all that it reads is there
    gateway, unit = found["gateway"], found["unit"]
    assert (gateway.sessions, gateway.connected, gateway.waiting, gateway.inflight) == (1, 1, 20, 0)
    assert (gateway.fullest, gateway.fill) == ("gateway-1", 0.2)
    assert (gateway.slowest, gateway.oldest_s) == ("gateway-1", 3)
    assert gateway.bytes == 20 * (3 + 10)
    assert (unit.sessions, unit.connected, unit.waiting) == (2, 1, 1)
    assert (unit.fill, unit.oldest_s) == (0.0, 0.0)  # of one who is away
    assert found["other"].sessions == 1


def test_the_age_of_what_was_sent_and_not_acknowledged_counts_too() -> None:
    bench, broker = behind("gateway-1", 1)
    link = bench.core.sessions["gateway-1"].link
    assert link is not None
    bench.core.resumed(link)
    (message,) = Bench.messages(link)
    found = measure(broker, bench.now + 3)["gateway"]  # type: ignore[arg-type]
    assert (found.inflight, found.oldest_s) == (1, 3)
    bench.send(link, raw.acknowledgement_packet(raw.PUBACK, message.packet_id))
    found = measure(broker, bench.now + 3)["gateway"]  # type: ignore[arg-type]
    assert (found.inflight, found.oldest_s, found.bytes) == (0, 0.0, 0)


@pytest.mark.parametrize(
    ("name", "count", "qos", "later", "says"),
    [
        ("gateway-1", 24, 1, 0, None),
        ("gateway-1", 25, 1, 0, "queue of gateway gateway-1 is 25% full"),
        ("dashboard-1", 25, 1, 0, "queue of dashboard"),
        ("dashboard-1", 13, 0, 0, "queue of dashboard"),  # well before the first QoS 0 message is dropped
        ("gateway-1", 1, 1, 4.9, None),
        ("gateway-1", 1, 1, 5, "waits for gateway gateway-1 for 5.0 s"),
        ("unit-1", 100, 1, 60, None),  # one slow vehicle is not the broker's trouble
    ],
)
def test_when_queues_make_it_degraded(
    name: str, count: int, qos: int, later: float, says: str | None
) -> None:
    bench, broker = behind(name, count, qos)
    assert bench.core.sessions[name].dropped == 0
    reasons = examine(broker, Thresholds(), bench.now + later).reasons  # type: ignore[arg-type]
    assert (says is None) is (reasons == [])
    assert says is None or says in reasons[0]


def test_the_queues_of_all_clients_together_make_it_degraded_before_the_bound() -> None:
    bench, broker = behind("unit-1", 10)
    bench.core.stock.limit = 4 * bench.core.stock.bytes + 4
    assert examine(broker, Thresholds(), bench.now).reasons == []  # type: ignore[arg-type]
    bench.core.stock.limit = 4 * bench.core.stock.bytes
    assert examine(broker, Thresholds(), bench.now).reasons == [  # type: ignore[arg-type]
        "the queues of all clients are 25% full (from 25%)"
    ]


def test_what_else_makes_it_degraded() -> None:
    bench = Bench()
    broker = Looked(bench)
    bench.counters.loop_lag_s = 1.2
    broker.credentials_good = False
    assert examine(broker, Thresholds(), bench.now).reasons == [  # type: ignore[arg-type]
        "the event loop is 1.2 s late (from 1 s)",
        "the credentials file cannot be read",
    ]


def test_a_listener_that_is_nearly_full_makes_it_degraded() -> None:
    bench = Bench()
    broker = Looked(bench)
    gate = broker.gates["websocket"] = Gate(Limits(), bench.counters, Counter(), 20)
    broker.gates["default"] = Gate(Limits(), bench.counters, Counter(), 0)  # without a limit
    places = [gate.enter("10.0.0.1", bench.now) for _ in range(18)]
    assert examine(broker, Thresholds(), bench.now).reasons == [  # type: ignore[arg-type]
        "listener websocket has 18 of 20 connections"
    ]
    assert places[0] is not None
    places[0].leave()
    assert examine(broker, Thresholds(), bench.now).reasons == []  # type: ignore[arg-type]


async def test_readyz_and_metrics_of_a_running_broker(
    running: RunningBroker, clients: Clients, accounts: Accounts
) -> None:
    def serve() -> asyncio.Task[asyncio.Server]:
        return asyncio.ensure_future(
            serve_metrics(running.broker, Thresholds(queue=0.001, age_s=60, lag_s=60), "127.0.0.1", 0)
        )

    task = running.do(serve)
    await running.until(task.done)
    server = running.do(task.result)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    gateway = await clients.login("gateway")
    await clients.login("dashboard", ("fleet/v1/helsinki/+/state", 1))
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        good = await http.get(f"{base}/readyz")
        assert (good.status_code, good.json()) == (200, {"status": "ready", "reasons": []})
        for _ in range(1_060):  # the dashboard acknowledges none: the window, and sixty more
            gateway.publish("fleet/v1/helsinki/veh1/state", b"{}", 1)
        await gateway.ping()
        bad = await http.get(f"{base}/readyz")
        assert bad.status_code == 503
        assert bad.json()["status"] == "degraded"
        assert "dashboard" in bad.json()["reasons"][0]
        metrics = (await http.get(f"{base}/metrics")).text.splitlines()
        for line in (
            "fleetcell_broker_ready 0.0",
            "fleetcell_broker_sessions_evicted_total 0.0",
            'fleetcell_broker_waiting_messages{class="dashboard"} 1060.0',
            'fleetcell_broker_inflight_messages{class="dashboard"} 1000.0',
            'fleetcell_broker_sessions_by_class{class="gateway"} 1.0',
            'fleetcell_broker_queue_fill_ratio{class="unit"} 0.0',
            'fleetcell_broker_listener_connections{listener="default"} 2.0',
        ):
            assert line in metrics, line
        queued = next(line for line in metrics if line.startswith("fleetcell_broker_queued_bytes "))
        assert float(queued.split()[-1]) == running.broker.core.stock.bytes > 1_060 * len("{}")
        age = next(line for line in metrics if 'oldest_message_seconds{class="dashboard"}' in line)
        assert 0 < float(age.split()[-1]) < 60
        assert any(line.startswith("process_resident_memory_bytes") for line in metrics)
        accounts.file.write_bytes(b"{")
        await running.until(lambda: not running.broker.credentials_good)
        assert "credentials" in (await http.get(f"{base}/readyz")).json()["reasons"][-1]
    running.do(server.close)
