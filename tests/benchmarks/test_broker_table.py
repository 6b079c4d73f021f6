"""The tables of the broker benchmark: written from its JSON, and the targets judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks._broker_table import BEGIN, DOCUMENT, END, Figures, document, label, main, targets
from benchmarks._documents import put

if TYPE_CHECKING:
    from pathlib import Path

RATIOS = [name for name in Figures.__struct_fields__ if name.startswith(("flat_", "vs_"))]
CONNECTING = {
    "clients": 5_000, "bytes_ws": 18_100, "connect_ws_s": 2.49, "storm_ws_s": 1.8,
    "bytes_tcp": 7_155, "connect_tcp_s": 1.38, "storm_tcp_s": 1.68,
}  # fmt: skip
FIGURES = {
    "benchmark": "broker",
    "date": "2026-01-02 03:04", "machine": "Linux x86_64, 2 CPUs", "python": "3.11.7",
    "versions": {"uvloop": "0.23.0", "Mosquitto": "2.0.11"}, "load_average": 0.31, "seconds": 540.2,
    **dict.fromkeys(RATIOS, 12.345),
    "vs_mosquitto_ws_qos1_one_by_one": 0.6, "vs_aedes_least_in": "tcp_in_qos1_idle1000",
    "connect_5000_s": 3.01, "bytes_per_connection_ws": 40 * 1024, "bytes_per_connection_tcp": 7_155,
    "connections": {"ours": CONNECTING, "stock": CONNECTING | {"clients": 1_000}},
    "rates": {
        "ws_in_qos1_by10_idle0": {
            "ours": {"per_s": 95_548, "cpu_us": 8.49, "generator_load": 0.4, "lost": 0},
            "mosquitto": {"per_s": 57_264, "cpu_us": 11.2, "generator_load": 0.96, "lost": 3},
        },
        "tcp_out_qos0_idle5000": {
            "ours": {"per_s": 1_136_397, "cpu_us": 0.9, "generator_load": 0.4, "lost": 0}
        },
    },
}  # fmt: skip


@pytest.fixture
def figures() -> Figures:
    return msgspec.json.decode(json.dumps(FIGURES), type=Figures)


def test_each_target_is_judged(figures: Figures) -> None:
    missed = [target.text for target in targets(figures) if not target.reached]
    assert missed == [
        "fan-in QoS 1 over WebSocket, of Mosquitto's rate: one by one",
        "5,000 connects over WebSocket, s",
    ]


def test_the_tables(figures: Figures) -> None:
    lines = document(figures).splitlines()
    for line in (
        "| over TCP likewise: one by one | at least 0.9 | 12.35 | 12.35 | yes |",
        "| 5,000 connects over WebSocket, s | at most 3 | 3.01 |  | **no** |",
        "| KiB a WebSocket connection | at most 40 | 40.00 |  | yes |",
        "| fan-in, QoS 1, ten at a time | 0 | 95,548 (8.5) | 57,264 (11.2)†\\* |  |  |",
        "| fan-out, QoS 0 | 5,000 | 1,136,397 (0.9) |  |  |  |",
        "| stock amqtt + uvloop | 1,000 | 2.49 s | 1.80 s | 18,100 | 1.38 s | 1.68 s | 7,155 |",
    ):
        assert line in lines, line
    assert "TCP, fan-in, QoS 1, one by one, 1,000 idle" in "\n".join(lines)


def test_they_go_into_the_document_and_nothing_else_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, file = tmp_path / "page.md", tmp_path / "broker.json"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    file.write_text(json.dumps(FIGURES))
    main([str(file)])
    printed = capsys.readouterr().out
    put(printed, page, BEGIN, END)
    assert page.read_text() == f"before\n{BEGIN}{printed}{END}after\n"
    with pytest.raises(ValueError, match="no place"):
        put(printed, file, BEGIN, END)
    assert DOCUMENT.read_text().count(BEGIN) == DOCUMENT.read_text().count(END) == 1


def test_a_cell_that_the_benchmark_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="no cell"):
        label("ws_sideways_idle0")


def test_figures_that_are_missing_are_named() -> None:
    with pytest.raises(msgspec.ValidationError, match="vs_stock"):
        msgspec.convert({k: v for k, v in FIGURES.items() if k != "vs_stock"}, Figures)
