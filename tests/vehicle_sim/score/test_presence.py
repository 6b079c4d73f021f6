"""What is shown of vehicles is judged by what really happened to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vehicle_sim.score.goals import Tolerances, goals, tolerances
from vehicle_sim.score.presence import Goal, Shown, State, delays, judge
from vehicle_sim.score.report import judge_presence
from vehicle_sim.truth.records import Change, Reach

ALLOWED = Tolerances()


def truth(*changes: tuple[float, Reach], link: bool = False) -> list[Change]:
    return [Change("car", at, reach, "test", 1, link) for at, reach in changes]


def shown(*changes: tuple[float, State]) -> dict[str, list[Shown]]:
    return {"car": [Shown(at, state, "why", 1, "here") for at, state in changes]}


UP, CUT, DOWN, ASLEEP, GONE = Reach.REACHABLE, Reach.CUT, Reach.DOWN, Reach.ASLEEP, Reach.GONE
DAY = truth((0.0, UP), (100.0, DOWN), (200.0, UP), (300.0, ASLEEP), (400.0, UP), (500.0, GONE))
RIGHT = shown(
    (0.2, State.ONLINE),
    (100.1, State.SUSPECT),
    (110.1, State.OFFLINE),
    (200.2, State.ONLINE),
    (300.2, State.ASLEEP),
    (400.3, State.ONLINE),
    (500.1, State.OFFLINE),
)


def test_a_platform_that_is_right_has_delays_and_nothing_wrong() -> None:
    found = judge_presence(DAY, RIGHT, 600.0, ALLOWED)
    assert (found.judged_s, found.wrong_s, found.unknown_s) == (600.0, 0.0, 0.0)
    assert (found.false_offline, found.false_online) == (0, 0)
    assert {kind: noticed.n for kind, noticed in found.delays.items()} == {
        "asleep": 1, "away: test": 1, "goodbye": 1, "online: test": 3
    }  # fmt: skip
    online = found.delays["online: test"].delay_s
    assert online is not None
    assert (online.p50, online.max) == (0.2, 0.3)


def test_offline_while_reachable_is_false() -> None:
    seen = shown((0.2, State.ONLINE), (50.0, State.OFFLINE), (52.0, State.ONLINE))
    found = judge_presence(truth((0.0, UP)), seen, 100.0, ALLOWED)
    assert (found.false_offline, found.wrong_s) == (1, 2.0)
    assert found.wrong_by_state == {"offline (why)": 2.0}


def test_offline_long_after_a_short_outage_is_false() -> None:
    outage = truth((0.0, UP), (20.0, CUT), (23.0, UP), link=True)
    seen = shown((0.2, State.ONLINE), (60.0, State.OFFLINE), (61.0, State.ONLINE))
    assert judge_presence(outage, seen, 100.0, ALLOWED).false_offline == 1
    at_once = shown((0.2, State.ONLINE), (22.0, State.OFFLINE), (23.5, State.ONLINE))
    assert judge_presence(outage, at_once, 100.0, ALLOWED).false_offline == 0


def test_an_outage_of_no_time_may_have_been_seen() -> None:
    on, off = frozenset({State.ONLINE}), frozenset({State.OFFLINE})
    wanted = [Goal(0.0, on, 5.0), Goal(20.0, off, 5.0), Goal(20.0, on, 5.0)]
    (seen,) = shown((0.0, State.ONLINE), (21.0, State.OFFLINE), (22.0, State.ONLINE)).values()
    assert judge(wanted, seen, 100.0).false_offline == 0
    assert judge(wanted[:1], seen, 100.0).false_offline == 1


def test_online_while_away_is_false_once_it_could_be_known() -> None:
    away = truth((0.0, UP), (20.0, CUT), link=True)
    seen = shown((0.2, State.ONLINE))
    assert judge_presence(away, seen, 54.0, ALLOWED).false_online == 0
    found = judge_presence(away, seen, 65.0, ALLOWED)
    assert (found.false_online, found.wrong_s) == (1, 10.0)
    assert found.delays["away: test"].never == 1


def test_a_cut_that_ends_in_a_lost_session_counts_from_the_cut() -> None:
    wanted = goals(truth((0.0, UP), (20.0, CUT), (45.0, DOWN), link=True), ALLOWED)
    assert [(goal.at, goal.window_s) for goal in wanted] == [(0.0, 5.0), (20.0, 35.0), (70.0, 0.0)]


def test_a_return_takes_back_that_it_must_be_offline() -> None:
    wanted = goals(truth((0.0, UP), (20.0, DOWN), (22.0, UP)), ALLOWED)
    assert [goal.at for goal in wanted] == [0.0, 20.0, 22.0]
    assert judge(wanted, shown((0.1, State.ONLINE))["car"], 100.0).wrong_s == 0.0


TRIED = [Change("car", at, reach, "test", epoch, link=True) for at, reach, epoch in (
    (0.0, UP, 4), (20.0, CUT, 4), (50.0, DOWN, 4), (200.0, UP, 7)
)]  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "state", "until", "wrong_s"),
    [
        (5, State.SUSPECT, 130.0, 0.0),  # a session that it asked for and never had
        (6, State.SUSPECT, 130.0, 0.0),
        (6, State.SUSPECT, 145.0, 10.0),  # for longer than the linger
        (4, State.SUSPECT, 130.0, 10.0),  # that one was over
        (7, State.SUSPECT, 130.0, 10.0),  # that one came later
        (5, State.ONLINE, 130.0, 10.0),  # it was never there
        (5, State.ASLEEP, 130.0, 10.0),
    ],
)
def test_a_session_without_an_answer_may_be_seen_to_end(
    epoch: int, state: State, until: float, wrong_s: float
) -> None:
    changes = [
        (0.1, State.ONLINE, 4),
        (50.1, State.SUSPECT, 4),
        (60.1, State.OFFLINE, 4),
        (120.0, state, epoch),
        (until, State.OFFLINE, epoch),
        (200.1, State.ONLINE, 7),
    ]
    seen = {"car": [Shown(at, shown, "lost", number, "here") for at, shown, number in changes]}
    found = judge_presence(TRIED, seen, 300.0, ALLOWED)
    assert found.wrong_s == wrong_s
    assert found.false_online == (state is State.ONLINE)


def test_who_had_one_session_after_the_other_tried_nothing_between() -> None:
    next_one = [*TRIED[:3], Change("car", 200.0, UP, "test", 5, link=True)]
    assert [list(goal.tried) for goal in goals(next_one, ALLOWED)] == [[], [], [], []]
    assert [list(goal.tried) for goal in goals(TRIED, ALLOWED)] == [[], [], [5, 6], []]


def test_unknown_is_told_apart_from_wrong() -> None:
    found = judge_presence(truth((0.0, UP)), {}, 30.0, ALLOWED)
    assert (found.wrong_s, found.unknown_s) == (0.0, 25.0)
    assert found.wrong_by_state == {"unknown (never heard)": 25.0}


def test_an_outage_that_was_shown_already_has_no_delay() -> None:
    wanted = goals(truth((0.0, UP), (20.0, DOWN)), ALLOWED)
    seen = shown((0.1, State.ONLINE), (19.0, State.SUSPECT))["car"]
    assert [delay.kind for delay in delays(wanted, seen, 25.0)] == ["online: test"]


def test_a_goodbye_over_a_link_may_come_as_a_loss() -> None:
    left = truth((0.0, UP), (20.0, GONE), link=True)
    seen = shown((0.1, State.ONLINE), (50.0, State.SUSPECT), (60.0, State.OFFLINE))
    found = judge_presence(left, seen, 200.0, ALLOWED)
    assert (found.wrong_s, found.false_offline) == (0.0, 0)
    assert judge_presence(truth((0.0, UP), (20.0, GONE)), seen, 200.0, ALLOWED).wrong_s > 0


def test_the_tolerances_follow_the_timers() -> None:
    assert tolerances(20, 10.0) == Tolerances(silent_s=35.0, linger_s=15.0)


SECONDS = st.lists(st.floats(1.0, 50.0), max_size=8)


@given(SECONDS, st.data())
def test_a_mirror_of_the_truth_is_never_wrong_and_a_false_offline_always_found(
    gaps: list[float], data: st.DataObject
) -> None:
    at, changes, seen = 0.0, [(0.0, UP)], [(0.0, State.ONLINE)]
    as_shown = {UP: State.ONLINE, DOWN: State.OFFLINE, ASLEEP: State.ASLEEP}
    for gap in gaps:
        at += 6.0 + gap
        reach = data.draw(st.sampled_from([DOWN, ASLEEP] if changes[-1][1] is UP else [UP]))
        changes.append((at, reach))
        seen.append((at, as_shown[reach]))
    until = at + 30.0
    found = judge_presence(truth(*changes), shown(*seen), until, ALLOWED)
    assert (found.wrong_s, found.false_offline, found.false_online) == (0.0, 0, 0)
    if changes[-1][1] is UP:
        liar = shown(*seen, (at + 10.0, State.OFFLINE))
        assert judge_presence(truth(*changes), liar, until, ALLOWED).false_offline == 1
    else:
        liar = shown(*seen[:-1])
        assert judge_presence(truth(*changes), liar, until + 100.0, ALLOWED).false_online == 1
