"""Commands: arguments, preconditions, and that their states never go back."""

from __future__ import annotations

import math
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.commands import (
    KNOWN,
    MAX_JSON,
    TERMINAL,
    CommandEvent,
    CommandState,
    Measured,
    Progress,
    UpdateConfig,
    check_command,
    check_require,
    fold,
    known_arguments,
    unmet,
)
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.messages import PresenceState, Response, ResponseState, decode, encode

E, S, R = CommandEvent, CommandState, ResponseState

events = st.lists(st.sampled_from(CommandEvent), max_size=12)
scalars = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(
    st.none() | scalars | st.just(math.nan) | st.just("\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def after(happened: list[CommandEvent]) -> list[Progress]:
    found = [Progress()]
    for event in happened:
        found.append(fold(found[-1], event))
    return found


# -- arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("ping", {}),
        ("set_interval", {"seconds": 30}),
        ("sleep", {"seconds": 0.5}),
        ("update_config", {"rate_hz": 2, "update_interval_s": 10}),
        ("update_config", {"rate_hz": 0.1}),
        ("open_trunk", {"seat": [1, {"deep": None}]}),
    ],
)
def test_good_commands(name: str, args: dict[str, Any]) -> None:
    check_command(name, args)


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("Ping", {}, "a-z, 0-9 and _"),
        ("", {}, "a letter first"),
        ("x" * 65, {}, "1 to 64"),
        ("ping\n", {}, "1 to 64"),
        ("ping", {"loud": True}, "unknown field `loud`"),
        ("ping", [], "not an object"),
        ("sleep", {}, "missing required field `seconds`"),
        ("sleep", {"seconds": 0}, "> 0"),
        ("sleep", {"seconds": True}, "seconds"),
        ("set_interval", {"seconds": 0.5}, ">= 1"),
        ("set_interval", {"seconds": "60"}, "seconds"),
        ("update_config", {}, "nothing to change"),
        ("update_config", {"rate_hz": 0}, "rate_hz"),
        ("honk", {"times": math.inf}, "not finite"),
        ("honk", {"tune": "\0"}, "NUL"),
        ("honk", {"tune": "x" * MAX_JSON}, f"at most {MAX_JSON}"),
        ("honk", {"tune": b"x"}, "NUL"),
    ],
)
def test_bad_commands_say_why(name: str, args: Any, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        check_command(name, args)


def test_known_arguments_are_typed() -> None:
    assert known_arguments("update_config", {"rate_hz": 2}) == UpdateConfig(rate_hz=2.0)
    with pytest.raises(KeyError):
        known_arguments("open_trunk", {})


@given(st.sampled_from([*KNOWN, "open_trunk"]), anything, anything)
def test_whatever_comes_it_is_taken_or_refused(name: str, args: Any, require: Any) -> None:
    try:
        check_command(name, args, require)
    except PayloadError:
        return
    assert msgspec.json.decode(msgspec.json.encode(args)) is not None


def test_a_response_names_its_session_and_an_old_one_does_not() -> None:
    assert decode(Response, b'{"id":"a","state":"failed"}').epoch is None
    answer = Response("a", R.FAILED, error="for session 4, this is 5", code="epoch", epoch=5)
    assert decode(Response, encode(answer)) == answer


# -- preconditions ------------------------------------------------------------------------------------

KNOWS = {
    "speed": Measured(0.0, 0.4),
    "ignition": Measured(False, 0.4),
    "soc": Measured(55, 0.4),
    "doors": Measured("shut", 0.4),
    "odo": Measured(1200.0, 60.0),
}


@pytest.mark.parametrize(
    "require",
    [
        {},
        {"state": "online"},
        {"speed": 0},
        {"speed": {"max": 5}},
        {"soc": {"min": 20, "max": 55}},
        {"ignition": False},
        {"doors": "shut"},
        {"state": "online", "speed": 0, "ignition": False},
    ],
)
def test_what_holds(require: dict[str, Any]) -> None:
    assert unmet(require, KNOWS, PresenceState.ONLINE) is None


@pytest.mark.parametrize(
    ("require", "reason"),
    [
        ({"state": "asleep"}, "state is online, not asleep"),
        ({"speed": 1}, "speed is 0.0, not 1"),
        ({"speed": {"min": 3}}, "speed is 0.0, below 3"),
        ({"soc": {"min": 20, "max": 54.5}}, "soc is 55, above 54.5"),
        ({"ignition": True}, "ignition is False, not True"),
        ({"fuel": {"min": 1}}, "fuel is not known"),
        ({"odo": {"min": 1}}, "odo was measured 60 s ago: too long"),
        ({"doors": {"min": 1}}, "doors is 'shut': not a number"),
        ({"mirror": True}, "mirror is not known"),
        ({"speed": {"low": 1}}, "require: speed: bounds are min, max or both"),
    ],
)
def test_what_does_not_hold_is_said(require: dict[str, Any], reason: str) -> None:
    assert unmet(require, KNOWS, PresenceState.ONLINE) == reason


def test_a_state_that_was_not_seen_holds_nothing() -> None:
    assert unmet({"state": "online"}, {}, None) == "state is not known yet, not online"


def test_one_is_not_true() -> None:
    assert unmet({"armed": True}, {"armed": Measured(1, 0)}, None) is not None
    assert unmet({"armed": 1}, {"armed": Measured(True, 0)}, None) is not None
    assert unmet({"armed": 1}, {"armed": Measured(1.0, 0)}, None) is None


def test_the_age_counts_as_it_is_asked_for() -> None:
    assert unmet({"odo": 1200}, KNOWS, None, max_age_s=60) is None
    assert unmet({"odo": 1200}, {"odo": Measured(1200, math.nan)}, None) is not None


@pytest.mark.parametrize(
    "require",
    [
        [],
        {"state": "parked"},
        {"state": ["online"]},
        {"sp eed": 0},
        {"speed": None},
        {"speed": [0]},
        {"speed": "fast"},
        {"speed": True},
        {"speed": {}},
        {"speed": {"min": "0"}},
        {"speed": {"min": 2, "max": 1}},
        {"rat": {"min": 1}},
        {"dtc": "P0300"},
        {f"k{n}": n for n in range(33)},
    ],
)
def test_bad_preconditions_are_refused(require: Any) -> None:
    with pytest.raises(PayloadError):
        check_require(require)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bounds_are_inclusive(value: float, low: float, high: float) -> None:
    signals = {"depth": Measured(value, 0.0)}
    if low > high:
        assert unmet({"depth": {"min": low, "max": high}}, signals, None) is not None
    else:
        held = unmet({"depth": {"min": low, "max": high}}, signals, None) is None
        assert held is (low <= value <= high)


# -- states -------------------------------------------------------------------------------------------

RANK = {state: min(rank, 4) for rank, state in enumerate(CommandState)}


def test_the_ordinary_way() -> None:
    states = [p.state for p in after([E.PAGED, E.SENT, E.SENT, E.ACCEPTED, E.SUCCEEDED])]
    assert states == [S.QUEUED, S.PAGED, S.SENT, S.SENT, S.DELIVERED, S.SUCCEEDED]


def test_a_late_response_changes_no_state_and_is_the_truth_of_what_happened() -> None:
    assert after([E.SENT, E.DEADLINE, E.SUCCEEDED])[-1] == Progress(S.EXPIRED, R.SUCCEEDED)
    assert after([E.SENT, E.DEADLINE, E.ACCEPTED])[-1] == Progress(S.EXPIRED, R.ACCEPTED)
    assert after([E.SENT, E.SUCCEEDED, E.DEADLINE])[-1] == Progress(S.SUCCEEDED, R.SUCCEEDED)


def test_what_was_sent_cannot_be_cancelled() -> None:
    assert after([E.CANCEL])[-1].state is S.CANCELLED
    assert after([E.PAGED, E.CANCEL])[-1].state is S.CANCELLED
    assert after([E.SENT, E.CANCEL])[-1].state is S.SENT
    assert after([E.ACCEPTED, E.CANCEL])[-1].state is S.DELIVERED


@given(events)
def test_states_never_go_back_and_the_end_is_the_end(happened: list[CommandEvent]) -> None:
    way = after(happened)
    for before, now in pairwise(way):
        assert RANK[before.state] <= RANK[now.state]
        if before.state in TERMINAL:
            assert now.state is before.state
        if before.outcome not in (None, R.ACCEPTED):
            assert now.outcome is before.outcome
        assert before.outcome is None or now.outcome is not None


@given(events, st.sampled_from(CommandEvent))
def test_a_second_time_is_no_news(happened: list[CommandEvent], event: CommandEvent) -> None:
    once = fold(after(happened)[-1], event)
    assert fold(once, event) == once


@given(events)
def test_success_is_said_only_where_the_unit_said_it(happened: list[CommandEvent]) -> None:
    end = after(happened)[-1]
    if end.state in (S.SUCCEEDED, S.FAILED):
        assert end.outcome == ResponseState(end.state)
    if end.outcome is not None:
        assert CommandEvent(end.outcome) in happened


def test_the_order_of_arrival_does_not_matter_before_the_end() -> None:
    ends = {after(list(order))[-1] for order in permutations([E.PAGED, E.SENT, E.ACCEPTED, E.SUCCEEDED])}
    assert ends == {Progress(S.SUCCEEDED, R.SUCCEEDED)}


def test_the_table_of_docs_commands_is_the_fold() -> None:
    text = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    table = text.split("checks this table -->\n")[1].split("<!-- end of states -->")[0]
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    events_ = [CommandEvent(cell.removeprefix("unit: ")) for cell in head[1:]]
    assert events_ == list(CommandEvent)
    assert [row[0] for row in rows] == list(CommandState)
    for row in rows:
        held = CommandState(row[0])
        for event, cell in zip(events_, row[1:], strict=True):
            assert fold(Progress(held), event).state == (cell or held), (held, event)
