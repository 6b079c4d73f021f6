"""The score of a run."""

from __future__ import annotations

import json

from vehicle_sim.tally import Tally, score


def test_pending_is_what_was_made_or_left_and_is_not_accounted_for() -> None:
    tally = Tally(made=100, backlog=20, evicted=5, rejected=1)
    tally.settled(60, 4.0, backlog=False)
    tally.settled(20, 5.0, backlog=True)
    assert tally.pending == 34


def test_a_score_tells_rates_and_attach_times() -> None:
    tally = Tally(made=100)
    tally.settled(100, 12.0, backlog=False)
    for number in range(11):
        tally.attached(f"car-{number}", number / 10)
    tally.attached("car-0", 99)  # after a lost link: not the first time
    result = score(tally, kind="run", vehicles=11, resent=3, began=10.0, ended=15.0, seed=7)
    assert result.complete
    assert (result.duration_s, result.rows_per_s) == (5.0, 50.0)
    assert (result.attached, result.attach_p50_s, result.attach_max_s) == (11, 0.5, 1.0)
    assert json.loads(json.dumps(result.to_dict()))["complete"] is True


def test_a_score_is_not_complete_while_anything_is_missing() -> None:
    def complete(tally: Tally, problem: str | None = None) -> bool:
        return score(
            tally, kind="replay", vehicles=1, resent=0, began=0.0, ended=1.0, problem=problem
        ).complete

    assert complete(Tally())
    assert not complete(Tally(made=1))
    assert not complete(Tally(refused=1))
    assert not complete(Tally(), problem="interrupted")
    assert score(Tally(), kind="run", vehicles=0, resent=0, began=1.0, ended=1.0).rows_per_s == 0


def test_a_score_is_told_to_people_with_units_and_without_what_did_not_happen() -> None:
    tally = Tally(made=1500, evicted=3)
    tally.settled(1497, 12.0, backlog=False)
    tally.attached("car-1", 0.25)
    rows = dict(score(tally, kind="run", vehicles=1, resent=0, began=10.0, ended=13.0).to_rows())
    assert rows["readings made"] == "1,500"
    assert rows["attach time, longest"] == "0.25 s"
    assert rows["duration"] == "3.0 s"
    assert rows["evicted, the spool was full"] == "3"
    assert "rejected by the gateway" not in rows
    assert "seed" not in rows
