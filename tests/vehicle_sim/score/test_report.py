"""The score as a whole: JSON, rows, a page; and the record that it is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleetcell.contract.errors import ConfigError
from vehicle_sim.score import html
from vehicle_sim.score.goals import Tolerances
from vehicle_sim.score.platform import ScoreError, claims_of
from vehicle_sim.score.presence import Shown, State
from vehicle_sim.score.readings import Ledger, Rows
from vehicle_sim.score.report import Claims, Report, report
from vehicle_sim.score.rows import rows
from vehicle_sim.truth import store
from vehicle_sim.truth.records import Boot, Bytes, Change, Errors, Fault, Happened, Ordered, Reach, Run
from vehicle_sim.truth.store import Store, TruthError

BEGAN = 1_700_000_000.0


def run_of(**more: object) -> Run:
    always = {"kind": "run", "link": "<storm>", "seed": 7, "api_url": "http://127.0.0.1:9", "began_at": BEGAN}
    return Run(keep_alive_s=20, update_interval_s=60, **always, **more)  # type: ignore[arg-type]


def whole() -> tuple[Run, list[Boot], list[Happened], Claims]:
    """A run of two vehicles, one of which made nothing."""
    errors = Errors({"1 to 2 s": {10: 3, 200: 1}}, {"1 to 2 s": 52.5}, [(10.0, 0.2, 50.0, 4)])
    run = run_of(
        ended_at=BEGAN + 100, vehicles=["car", "van"], errors=errors, up=Bytes(3, 600, 100, 50, 5, 200, True)
    )
    claims = Claims(asked_at=BEGAN + 101)
    stored = Rows()
    for seq in (1, 2):
        stored.add(seq, 0, None, None, noted=True)
    claims.rows["car", "b"] = stored.stored()
    claims.ledgers["car", "b"] = Ledger(received=((1, 2),))
    claims.shown["car"] = [Shown(BEGAN + 1, State.ONLINE, "attach", 1, "here")]
    happened: list[Happened] = [
        Change("car", BEGAN, Reach.REACHABLE, "first", 1),
        Ordered("car", BEGAN + 3, "c1", "ping"),
        Fault(BEGAN + 5, "broker", "broker-kill"),
    ]
    return run, [Boot("car", "b", 3)], happened, claims


def judged() -> Report:
    return report(*whole(), Tolerances())


def test_a_report_is_json_with_what_it_came_to() -> None:
    found = json.loads(json.dumps(judged().to_dict()))
    assert (found["vehicles"], found["duration_s"], found["complete"], found["faultless"]) == (
        2,
        100.0,
        True,
        False,
    )
    assert (found["readings"]["stored"], found["readings"]["lost"], found["readings"]["unexplained"]) == (
        2,
        1,
        1,
    )
    assert found["presence"]["delays"]["online: first"]["delay_s"]["p50"] == 1.0
    assert found["position"]["overall"] == {
        "n": 4,
        "p50_m": pytest.approx(0.23),
        "p95_m": 52.01,
        "max_m": 52.5,
    }
    assert found["up"]["total"] == 950
    assert (found["up"]["per_reading"], found["down"]["per_reading"]) == (475.0, 0.0)
    assert found["down"]["overhead"] is None
    assert (found["commands"]["unknown"], found["faults"]) == (1, {"broker-kill": 1})


def test_rows_have_units_and_leave_out_what_did_not_happen() -> None:
    found = dict(rows(judged()))
    assert found["  lost"] == found["  unexplained"] == "1"
    assert found["position error of the live view"].endswith("max 52.5 m, n 4")
    assert "  evicted, the spool was full" not in found
    assert found["wrong state"] == "0.0 s of 100 vehicle s (0.000 %)"
    assert found["uplink"].startswith("475 B a reading; 950 B: payload 600, MQTT 100")


def test_a_run_without_anything_is_told_too() -> None:
    empty = report(run_of(), [], [], Claims(), Tolerances())
    found = dict(rows(empty))
    assert not empty.complete
    assert found["the record is cut off"]
    assert found["position error of the live view"] == "no position was shown"
    assert found["uplink"].startswith("no reading stored; 0 B")
    assert empty.faultless


def test_the_page_needs_nothing_else_and_takes_no_markup_from_names() -> None:
    run, _, happened, claims = whole()
    found = html.page(judged(), run, happened, claims)
    assert found.count("<svg") == 5
    assert "<storm>" not in found
    assert "&lt;storm&gt;" in found
    assert "Readings are lost" in found
    assert "<script" not in found
    empty = report(run_of(), [], [], Claims(), Tolerances())
    assert "<svg" not in html.page(empty, run_of(), [], Claims())


def test_without_the_extra_the_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'fleetcell\[report\]'"):
        html.check()


async def test_a_platform_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vehicle_sim.score.platform._PATIENCE_S", 0.1)
    with pytest.raises(ScoreError, match=r"no answer from http://127\.0\.0\.1:9"):
        await claims_of(
            "http://127.0.0.1:9", "key", run_of(vehicles=["car"]), [Boot("car", "b", 1)], lambda *_: None
        )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    run, boots, happened, _ = whole()
    kept = Store(tmp_path / "a" / "record")
    kept.open()
    for one in happened:
        kept.note(one)
    kept.replace(run, boots)
    kept.close()
    found = store.read(kept.folder)
    assert (found.run, found.boots, found.happened) == (run, boots, happened)
    with (kept.folder / store.HAPPENED).open("ab") as file:
        file.write(b'{"what":"fault","at":1')
    assert store.read(kept.folder).happened == happened, "the last line was cut off by a kill"
    with (kept.folder / store.HAPPENED).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(TruthError, match=r"happened.ndjson:4: damaged"):
        store.read(kept.folder)


def test_what_is_no_record_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match=r"has no run.json: not the record"):
        store.read(tmp_path)
    (tmp_path / store.RUN).write_text("{}")
    with pytest.raises(TruthError, match=r"run.json: damaged"):
        store.read(tmp_path)
