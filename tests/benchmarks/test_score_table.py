"""The table of scores is made of what `sim run --score --json` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks._documents import put
from benchmarks._score_table import BEGIN, DOCUMENT, END, SCORES, document, keep, main, read


def score(link: str, **readings: int) -> str:
    air = {"messages": 1, "payload": 60, "mqtt": 10, "websocket": 10, "tcp_ip": 20, "total": 100,
           "per_reading": 100.4, "overhead": 0.4, "packets_measured": False}  # fmt: skip
    delay = {"n": 2, "p50": 1.0, "p95": 2.0, "max": 31.25}
    report = {
        "began_at": "2026-11-20T18:50:00Z",
        "link": link,
        "readings": {"made": 1000, "stored": 990, "pending": 10, **readings, "unexplained": 5},
        "presence": {
            "judged_s": 1000,
            "wrong_s": 5,
            "delays": {"away: black hole": {"n": 2, "never": 0, "delay_s": delay}},
        },
        "position": {"overall": {"n": 9, "p50_m": 5.04, "p95_m": 9, "max_m": 10}},
        "up": air,
        "down": air,
    }
    return json.dumps({"vehicles": 200, "duration_s": 601.2, "seed": 5, "report": report, "truth": "/mine"})


def test_the_tables(tmp_path: Path) -> None:
    for name, text in (
        ("storm", score("storm", lost=1)),
        ("b", score("trace:/x/b.up@7")),
        ("lte", score("lte")),
    ):
        (tmp_path / f"{name}.json").write_text(text)
    found = document(read(sorted(tmp_path.iterdir()))).splitlines()
    assert [line.split(" | ")[0] for line in found if line.startswith("| `")] == [
        "| `lte`", "| `storm`", "| `trace:b.up@7`"
    ] * 2  # fmt: skip
    assert (
        found[3] == "| `storm` | 200 vehicles, 601 s, seed 5, 2026-11-20 | 1,000 | 990 | 0 | 1 | 0 | 10 | 1 |"
    )
    assert found[9] == (
        "| `storm` | 0 | 0 | 5.0 s (0.500 %) | 1.0 / 31.2 s | 5.0 / 9.0 m | 100 B | 100 B | 40 % |"
    )


def test_what_is_no_score_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text('{"vehicles": 1}')
    with pytest.raises(ValueError, match=r"no.json is not what `sim run --score --json` prints"):
        read([tmp_path / "no.json"])


def test_scores_are_kept_without_what_names_the_machine(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(score("trace:/mine/b.up@7"))
    (kept,) = keep([tmp_path / "b.json"], tmp_path / "kept")
    assert "/mine" not in kept.read_text()
    assert document(read([kept])) == document(read([tmp_path / "b.json"]))


def test_the_document_has_the_tables_of_the_scores_in_the_repository(tmp_path: Path) -> None:
    files = sorted(SCORES.glob("*.json"))
    _, begin, rest = DOCUMENT.read_text().partition(BEGIN)
    inside, end, _ = rest.partition(END)
    assert begin
    assert end
    assert files
    assert inside == document(read(files))
    copy = tmp_path / "copy.md"
    copy.write_text(f"a\n{BEGIN}old\n{END}b\n")
    put(document(read(files)), copy, BEGIN, END)
    assert copy.read_text() == f"a\n{BEGIN}{inside}{END}b\n"
    with pytest.raises(SystemExit):
        main([])
