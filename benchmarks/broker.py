"""The embedded broker against stock amqtt on uvloop, Mosquitto and aedes, each under the same load.

All brokers run at the same time, each with a load generator of its own, and are measured in turns, so that
what disturbs the machine disturbs all. Ratios are of one turn; figures are medians over the turns. Beside the
rate stands the CPU time that the broker took for a message: where the generator is busier than the broker, or
the machine is shared, that is the better measure.

Fan-in: 1,000 units publish to their own telemetry topics, one gateway gets it all. At QoS 1 a unit publishes
again when its last ten messages, in one write, are acknowledged; "one by one" when its last message is. With
ten the broker is the limit, one by one the round trips between two processes are. Fan-out: the gateway
publishes to 1,000 units. Payloads have 200 bytes. Idle clients subscribe to their own command topic.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks._brokers import BROKERS, IDLE, ours, versions
from benchmarks._clients import LoadError
from benchmarks._load import MEMBERS, UNDER_WAY, Generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks._brokers import Running, Starter
    from benchmarks._load import Rate

ABOUT = "broker: messages/s, connects and memory against Mosquitto, aedes and stock amqtt on uvloop"

TURNS: Final = 3
LEAST_S: Final = 0.2  # of one measurement
IDLE_LEVELS: Final = (0, 1_000, IDLE)
MOST_IDLE: Final = {"stock": 1_000}  # stock amqtt takes minutes to connect 5,000
SLOW: Final = {"aedes", "stock"}  # they get a tenth of the messages under way, and three times the time
REST_S: Final = 1.0


class Shape(NamedTuple):
    """A way to load a broker."""

    fan_in: bool
    qos: int
    burst: int = 1

    def __str__(self) -> str:
        text = f"{'in' if self.fan_in else 'out'}_qos{self.qos}"
        return text if self.burst == 1 else f"{text}_by{self.burst}"


SHAPES: Final = (Shape(True, 0), Shape(True, 1), Shape(True, 1, 10), Shape(False, 0), Shape(False, 1))
QOS1: Final = Shape(True, 1, 10)
ONE_BY_ONE: Final = Shape(True, 1)


class Cell(NamedTuple):
    """What was measured."""

    ws: bool
    idle: int
    shape: Shape

    def __str__(self) -> str:
        return f"{'ws' if self.ws else 'tcp'}_{self.shape}_idle{self.idle}"


@dataclass
class Rates:
    """Rates of each broker in each turn."""

    found: dict[Cell, dict[str, list[Rate]]] = field(default_factory=dict)

    def add(self, cell: Cell, name: str, rate: Rate) -> None:
        self.found.setdefault(cell, {}).setdefault(name, []).append(rate)

    def ratio(self, cell: Cell, peer: str) -> float | None:
        """Our rate over a peer's, the median of the turns."""
        pairs = self._pairs(cell, peer)
        return _median([_rate_ratio(mine, its) for mine, its in pairs])

    def cpu_ratio(self, cell: Cell, peer: str) -> float | None:
        """A peer's CPU time of a message over ours, likewise."""
        pairs = self._pairs(cell, peer)
        return _median([_cpu_ratio(mine, its) for mine, its in pairs])

    def _pairs(self, cell: Cell, peer: str) -> list[tuple[Rate, Rate]]:
        rates = self.found.get(cell, {})
        return list(zip(rates.get("ours", []), rates.get(peer, []), strict=False))

    def table(self) -> dict[str, dict[str, object]]:
        """A row a cell: messages a second and microseconds of CPU a message, of each broker."""
        return {
            str(cell): {
                name: {
                    "per_s": round(statistics.median(map(per_s, rates))),
                    "cpu_us": round(statistics.median(map(cpu_us, rates)), 1),
                    "generator_load": round(max(rate.generator_cpu_s / rate.seconds for rate in rates), 2),
                    "lost": sum(rate.lost for rate in rates),
                }
                for name, rates in names.items()
            }
            for cell, names in self.found.items()
        }


def per_s(rate: Rate) -> float:
    return rate.messages / rate.seconds


def cpu_us(rate: Rate) -> float:
    return 1e6 * rate.broker_cpu_s / max(rate.messages, 1)


def _rate_ratio(mine: Rate, its: Rate) -> float:
    return per_s(mine) / max(per_s(its), 1)  # a load generator that got no processor measures nothing


def _cpu_ratio(mine: Rate, its: Rate) -> float:
    return cpu_us(its) / max(cpu_us(mine), 0.01)


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


@contextlib.contextmanager
def generator(broker: Running) -> Iterator[Generator]:
    under_way = UNDER_WAY // 10 if broker.name in SLOW else UNDER_WAY
    with Generator(broker.mqtt_port, broker.ws_port, broker.pid, broker.secret, under_way) as found:
        yield found


async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]:
    slice_s = max(LEAST_S, seconds / 20)
    figures: dict[str, object] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions(),
    }
    figures |= connections(say)
    figures |= flat(slice_s, say)
    rates = measure(slice_s, say)
    for key, ws, peer in (
        ("vs_stock", True, "stock"),
        ("vs_mosquitto_ws_qos1", True, "mosquitto"),
        ("vs_mosquitto_tcp_qos1", False, "mosquitto"),
        ("vs_aedes_ws_qos1", True, "aedes"),
    ):
        figures[key] = rates.ratio(Cell(ws, 0, QOS1), peer)
        figures[f"{key}_by_cpu"] = rates.cpu_ratio(Cell(ws, 0, QOS1), peer)
        figures[f"{key}_one_by_one"] = rates.ratio(Cell(ws, 0, ONE_BY_ONE), peer)
        figures[f"{key}_one_by_one_by_cpu"] = rates.cpu_ratio(Cell(ws, 0, ONE_BY_ONE), peer)
    figures["vs_stock_idle_1000"] = rates.ratio(Cell(True, 1_000, QOS1), "stock")
    least = {str(cell): rates.ratio(cell, "aedes") for cell in rates.found}
    cell, ratio = min(least.items(), key=lambda item: item[1] or 0.0)
    figures["vs_aedes_least"], figures["vs_aedes_least_in"] = ratio, cell
    figures["rates"] = rates.table()
    return figures


def connections(say: Callable[[str], None]) -> dict[str, object]:
    """Connecting, memory, and a reconnect storm."""
    figures: dict[str, object] = {}
    times: dict[str, dict[str, object]] = {}
    for name, start in BROKERS.items():
        try:
            times[name] = _connections_of(name, start, say)
        except LoadError as error:
            say(f"{name} fails: {error}")
            if name == "ours":
                raise
    own = times["ours"]
    figures["connect_5000_s"] = own["connect_ws_s"]
    figures["bytes_per_connection_ws"] = own["bytes_ws"]
    figures["bytes_per_connection_tcp"] = own["bytes_tcp"]
    figures["reconnect_storm_5000_s"] = own["storm_ws_s"]
    figures["connections"] = times
    return figures


def _connections_of(name: str, start: Starter, say: Callable[[str], None]) -> dict[str, object]:
    count = min(IDLE, MOST_IDLE.get(name, IDLE))
    row: dict[str, object] = {"clients": count}
    for ws in (True, False):
        kind = "ws" if ws else "tcp"
        say(f"{name}: {count} connections, {kind}")
        with _folder() as folder, start(folder) as broker, generator(broker) as load:
            before = broker.memory()
            took = [load.idle(count, ws=ws)]
            time.sleep(REST_S)
            row[f"bytes_{kind}"] = (broker.memory() - before) // count
            while len(took) < (TURNS if name == "ours" else 1):
                load.leave()
                time.sleep(REST_S)
                took.append(load.idle(count, ws=ws))
            row[f"connect_{kind}_s"] = round(statistics.median(took), 2)
            load.leave()
            time.sleep(REST_S)
            row[f"storm_{kind}_s"] = round(load.storm(count, ws=ws), 2)
    return row


def flat(slice_s: float, say: Callable[[str], None]) -> dict[str, object]:
    """The rate with 5,000 idle clients over that with none: two brokers of ours, in turns."""
    say(f"ours with {IDLE} idle clients and with none")
    with contextlib.ExitStack() as stack:
        pair = []
        for count in (IDLE, 0):
            broker = stack.enter_context(ours(stack.enter_context(_folder())))
            load = stack.enter_context(generator(broker))
            load.join(ws=True)
            if count:
                load.idle(count, ws=True)
            pair.append(load)
        turns = [[load.fan_in(1, QOS1.burst, slice_s) for load in pair] for _ in range(3 * TURNS)]
    return {
        "flat_5000": _median([_rate_ratio(many, none) for many, none in turns]),
        "flat_5000_by_cpu": _median([_cpu_ratio(many, none) for many, none in turns]),
    }


def measure(slice_s: float, say: Callable[[str], None]) -> Rates:
    """All brokers, in turns."""
    rates = Rates()
    for ws in (True, False):
        with contextlib.ExitStack() as stack:
            loads = {}
            for name, start in BROKERS.items():
                broker = stack.enter_context(start(stack.enter_context(_folder())))
                loads[name] = stack.enter_context(generator(broker))
            for name in list(loads):
                try:
                    loads[name].join(ws=ws)
                except LoadError as error:
                    _fails(loads, name, f"{MEMBERS} clients", error, say)
            before = 0
            for idle in IDLE_LEVELS:
                loads = {name: load for name, load in loads.items() if idle <= MOST_IDLE.get(name, idle)}
                say(f"{'WebSocket' if ws else 'TCP'}, {idle} idle clients: {', '.join(loads)}")
                _idle(loads, idle - before, ws, say)
                before = idle
                for _ in range(TURNS):
                    for shape in SHAPES:
                        _turn(loads, Cell(ws, idle, shape), slice_s, rates, say)
    return rates


def _idle(loads: dict[str, Generator], count: int, ws: bool, say: Callable[[str], None]) -> None:
    """More idle clients for each broker; one that does not take them is out of the rest."""
    for name, load in list(loads.items()):
        try:
            load.idle(count, ws=ws)
        except LoadError as error:
            _fails(loads, name, f"{count} idle clients", error, say)


def _fails(
    loads: dict[str, Generator], name: str, what: str, error: LoadError, say: Callable[[str], None]
) -> None:
    say(f"{name} fails in {what}: {error}")
    if name == "ours":
        raise error
    del loads[name]


def _turn(
    loads: dict[str, Generator], cell: Cell, slice_s: float, rates: Rates, say: Callable[[str], None]
) -> None:
    """Each broker once; one that fails is out of the rest."""
    for name, load in list(loads.items()):
        try:
            time_s = 3 * slice_s if name in SLOW else slice_s
            rates.add(cell, name, _load(load, cell.shape, time_s))
        except LoadError as error:
            _fails(loads, name, str(cell), error, say)


def _load(load: Generator, shape: Shape, slice_s: float) -> Rate:
    if shape.fan_in:
        return load.fan_in(shape.qos, shape.burst, slice_s)
    return load.fan_out(shape.qos, slice_s)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
