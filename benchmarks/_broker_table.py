"""The figures of the broker benchmark as tables of docs/benchmarks.md.

python -m benchmarks broker --json > broker.json
python -m benchmarks._broker_table broker.json [--write]
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks._documents import put

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- broker: begin -->\n", "<!-- broker: end -->\n"
NAMES: Final = {"ours": "ours", "mosquitto": "Mosquitto", "aedes": "aedes", "stock": "stock amqtt + uvloop"}
SHAPES: Final = {
    "in_qos0": "fan-in, QoS 0, one by one",
    "in_qos1": "fan-in, QoS 1, one by one",
    "in_qos1_by10": "fan-in, QoS 1, ten at a time",
    "out_qos0": "fan-out, QoS 0",
    "out_qos1": "fan-out, QoS 1",
}
GENERATOR_FULL: Final = 0.95  # of a core: then the load generator is the limit, not the broker


class Rate(msgspec.Struct):
    """One broker under one load."""

    per_s: int
    cpu_us: float
    generator_load: float
    lost: int


class Connecting(msgspec.Struct):
    """One broker while clients connect."""

    clients: int
    bytes_ws: int
    connect_ws_s: float
    storm_ws_s: float
    bytes_tcp: int
    connect_tcp_s: float
    storm_tcp_s: float


class Figures(msgspec.Struct):
    """What of the benchmark's JSON the tables are made of."""

    date: str
    machine: str
    python: str
    versions: dict[str, str]
    load_average: float
    seconds: float
    flat_5000: float | None
    flat_5000_by_cpu: float | None
    vs_mosquitto_ws_qos1: float | None
    vs_mosquitto_ws_qos1_by_cpu: float | None
    vs_mosquitto_ws_qos1_one_by_one: float | None
    vs_mosquitto_ws_qos1_one_by_one_by_cpu: float | None
    vs_mosquitto_tcp_qos1: float | None
    vs_mosquitto_tcp_qos1_by_cpu: float | None
    vs_mosquitto_tcp_qos1_one_by_one: float | None
    vs_mosquitto_tcp_qos1_one_by_one_by_cpu: float | None
    vs_stock: float | None
    vs_stock_by_cpu: float | None
    vs_stock_one_by_one: float | None
    vs_stock_one_by_one_by_cpu: float | None
    vs_aedes_least: float | None
    vs_aedes_least_in: str
    connect_5000_s: float
    bytes_per_connection_ws: float
    bytes_per_connection_tcp: float
    connections: dict[str, Connecting]
    rates: dict[str, dict[str, Rate]]


class Target(NamedTuple):
    """A row of the first table; `wanted` is the least, or with `most` the most; None: not measured."""

    text: str
    found: float | None
    wanted: float
    by_cpu: float | None = None
    most: bool = False

    @property
    def reached(self) -> bool:
        if self.found is None:
            return False
        return self.found <= self.wanted if self.most else self.found >= self.wanted


def targets(found: Figures) -> list[Target]:
    """What is wanted, and what was measured."""
    ws, tcp = "fan-in QoS 1 over WebSocket, of Mosquitto's rate", "over TCP likewise"
    kib = 1024
    return [
        Target(
            "5,000 idle clients, of the rate with none", found.flat_5000, 0.9, found.flat_5000_by_cpu
        ),
        Target(f"{ws}: ten at a time", found.vs_mosquitto_ws_qos1, 1.0, found.vs_mosquitto_ws_qos1_by_cpu),
        Target(
            f"{ws}: one by one",
            found.vs_mosquitto_ws_qos1_one_by_one, 1.0, found.vs_mosquitto_ws_qos1_one_by_one_by_cpu,
        ),
        Target(f"{tcp}: ten at a time", found.vs_mosquitto_tcp_qos1, 0.9, found.vs_mosquitto_tcp_qos1_by_cpu),
        Target(
            f"{tcp}: one by one",
            found.vs_mosquitto_tcp_qos1_one_by_one, 0.9, found.vs_mosquitto_tcp_qos1_one_by_one_by_cpu,
        ),
        Target("stock amqtt on uvloop: ten at a time", found.vs_stock, 10.0, found.vs_stock_by_cpu),
        Target(
            "stock amqtt on uvloop: one by one",
            found.vs_stock_one_by_one, 10.0, found.vs_stock_one_by_one_by_cpu,
        ),
        Target(f"aedes, the least ({label(found.vs_aedes_least_in)})", found.vs_aedes_least, 1.0),
        Target("5,000 connects over WebSocket, s", found.connect_5000_s, 3.0, most=True),
        Target("KiB a WebSocket connection", found.bytes_per_connection_ws / kib, 40.0, most=True),
        Target("KiB a TCP connection", found.bytes_per_connection_tcp / kib, 10.0, most=True),
    ]  # fmt: skip


def label(cell: str) -> str:
    """The words for `ws_in_qos1_by10_idle0`."""
    kind, shape, idle = _parts(cell)
    transport = "WebSocket" if kind == "ws" else "TCP"
    return f"{transport}, {SHAPES[shape]}" + (f", {idle:,} idle" if idle else "")


def document(found: Figures) -> str:
    """All tables, with how they came about."""
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    how = (
        f"{found.date} UTC, {found.machine}, Python {found.python}, {versions}. Load average at the start: "
        f"{found.load_average:.1f}. The run took {found.seconds / 60:.0f} minutes.\n"
    )
    legend = (
        "\nMessages a second, and in brackets the broker's CPU time of a message in µs. `†`: the load\n"
        "generator was at its limit: the CPU times compare. `*`: some did not come in half a second.\n"
    )
    rows = [
        [
            target.text,
            f"{'at most' if target.most else 'at least'} {target.wanted:g}",
            f"{target.found:.2f}" if target.found is not None else "not measured",
            f"{target.by_cpu:.2f}" if target.by_cpu is not None else "",
            "yes" if target.reached else "**no**",
        ]
        for target in targets(found)
    ]
    parts = [
        how,
        _table(["target", "wanted", "by rate", "by CPU time", "reached"], rows),
        legend,
        _rates(found, "ws"),
        "",
        _rates(found, "tcp"),
        "\nConnections (a storm: all clients are lost at once, with wills, and come back at once):\n",
        _connections(found),
    ]
    return "\n".join(parts) + "\n"


def _parts(cell: str) -> tuple[str, str, int]:
    matched = re.fullmatch(r"(ws|tcp)_(\w+)_idle(\d+)", cell)
    if matched is None or matched[2] not in SHAPES:
        raise ValueError(f"no cell of the benchmark: {cell}")
    return matched[1], matched[2], int(matched[3])


def _rates(found: Figures, transport: str) -> str:
    rows = []
    for cell, rates in found.rates.items():
        kind, shape, idle = _parts(cell)
        if kind == transport:
            rows.append([SHAPES[shape], f"{idle:,}", *(_rate(rates.get(name)) for name in NAMES)])
    title = "WebSocket" if transport == "ws" else "TCP"
    return _table([title, "idle", *NAMES.values()], rows)


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return ""
    marks = ("†" if rate.generator_load >= GENERATOR_FULL else "") + ("\\*" if rate.lost else "")
    return f"{rate.per_s:,} ({rate.cpu_us:.1f}){marks}"


def _connections(found: Figures) -> str:
    head = ["", "clients"]
    for transport in ("WebSocket", "TCP"):
        head += [f"{transport}: connect", "storm", "bytes a connection"]
    rows = [
        [
            NAMES[name],
            f"{row.clients:,}",
            *(f"{row.connect_ws_s:.2f} s", f"{row.storm_ws_s:.2f} s", f"{row.bytes_ws:,}"),
            *(f"{row.connect_tcp_s:.2f} s", f"{row.storm_tcp_s:.2f} s", f"{row.bytes_tcp:,}"),
        ]
        for name, row in found.connections.items()
    ]
    return _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks._broker_table")
    parser.add_argument("file", type=Path, help="what `python -m benchmarks broker --json` printed")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md, too")
    options = parser.parse_args(arguments)
    text = document(msgspec.json.decode(options.file.read_bytes(), type=Figures))
    sys.stdout.write(text)
    if options.write:
        put(text, DOCUMENT, BEGIN, END)


if __name__ == "__main__":
    main()
