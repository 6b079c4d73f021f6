"""The presence fold: what holds for any claims in any order."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, PresenceState
from fleetcell.contract.presence import (
    Change,
    Reason,
    Registration,
    blind,
    evidence,
    expire,
    fold,
    revoke,
)
from tests.fleetcell.contract.presence_claims import (
    NOW,
    STEADY,
    TIMERS,
    after,
    claim,
    claims,
    histories,
    later,
)


@given(histories(), st.integers(0, 12))
def test_an_older_epoch_never_changes_anything(history: list[Claim], cut: int) -> None:
    held = after(*history)
    for old in history[:cut]:
        if old.epoch < held.epoch:
            assert fold(held, old, later(1), TIMERS, region="south") == (held, None)


@given(histories())
def test_a_duplicate_changes_nothing(history: list[Claim]) -> None:
    held = after(*history)
    for again in history:
        same, change = fold(held, again, later(1), TIMERS, region="north")
        assert change is None
        assert same is held


def by_number(history: list[Claim]) -> list[Claim]:
    return sorted(history, key=lambda c: (c.epoch, float("inf") if c.n is None else c.n))


@given(histories(), st.randoms(), st.data())
def test_any_order_and_duplication_end_in_the_same_state(
    history: list[Claim], random: Random, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=6))
    shuffled = [*history, *again]
    random.shuffle(shuffled)
    found, expected = after(*shuffled, timers=STEADY), after(*by_number(history), timers=STEADY)
    for held in (found, expected):
        assert held.state is not PresenceState.UNKNOWN
    assert outcome(found) == outcome(expected)


def outcome(held: Registration) -> tuple[object, ...]:
    """All that the order of arrival does not decide; the reason of online tells what was observed."""
    reason = None if held.state is PresenceState.ONLINE else held.reason
    return held.state, reason, held.epoch, held.n, held.lost, held.ended, held.deadline


@given(histories(), st.randoms())
def test_with_hysteresis_the_order_decides_only_whether_a_link_flaps(
    history: list[Claim], random: Random
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)
    plain = after(*shuffled, timers=STEADY)
    found = after(*shuffled)
    assert outcome(found)[2:6] == outcome(plain)[2:6]
    if (found.state, found.reason) != (plain.state, plain.reason):
        allowed = (Reason.LOST, Reason.ATTACH, Reason.UPDATE, Reason.REPLACED, Reason.WOKE, Reason.HANDOVER)
        assert found.reason in (Reason.FLAPPING, *allowed)
        assert found.state in (PresenceState.SUSPECT, PresenceState.ONLINE)


@given(histories(), st.integers(0, 40))
def test_never_offline_while_a_newer_session_is_attached(history: list[Claim], seconds: int) -> None:
    newest = max(c.epoch for c in history) + 1
    held, _ = fold(after(*history), claim("attach", newest), later(seconds), TIMERS, region="north")
    for old in history:
        assert fold(held, old, later(seconds + 1), TIMERS, region="south") == (held, None)
    assert expire(held, later(seconds + 74), TIMERS) == (held, None)
    assert held.epoch == newest
    assert held.state is PresenceState.ONLINE or held.reason == Reason.FLAPPING


steps = st.lists(
    st.tuples(
        st.floats(0, 300),
        claims
        | st.sampled_from(["deadline", "blind", "revoke"])
        | st.integers(1, 4),  # telemetry of that epoch
    ),
    max_size=25,
)


def walk(history: list[tuple[float, object]]) -> list[tuple[Registration, Registration, Change | None]]:
    """Before, after and change of each step; time goes on by the seconds of each."""
    held, now, found = Registration(), NOW, []
    for seconds, what in history:
        now += timedelta(seconds=seconds)
        match what:
            case Claim():
                taken, change = fold(held, what, now, TIMERS, region="north")
            case "deadline":
                taken, change = expire(held, now, TIMERS)
            case "blind":
                taken, change = blind(held, now, TIMERS, since=now - timedelta(seconds=100))
            case "revoke":
                taken, change = revoke(held, now)
            case _:
                assert isinstance(what, int)
                taken, change = evidence(held, what, now, TIMERS)
        found.append((held, taken, change))
        held = taken
    return found


@given(steps)
def test_changes_are_dated_in_order_and_since_is_the_last_change_of_state(
    history: list[tuple[float, object]],
) -> None:
    last = None
    for before, now, change in walk(history):
        if change is None:
            assert (before.state, before.since) == (now.state, now.since)
            continue
        assert (change.before, change.after, change.reason) == (before.state, now.state, now.reason)
        if change.before is not change.after or before.since is None:
            assert last is None or change.at >= last
            assert now.since == change.at
            last = change.at
        assert now.since == last


@given(steps)
def test_what_waits_has_a_deadline_and_what_ended_has_none(history: list[tuple[float, object]]) -> None:
    for _, now, _ in walk(history):
        waits = now.state in (PresenceState.ONLINE, PresenceState.SUSPECT, PresenceState.ASLEEP)
        assert (now.deadline is not None) == (waits or now.reason == Reason.GATEWAY)
