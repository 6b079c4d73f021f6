"""The presence fold: examples of each transition, and properties over any order of claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState
from fleetcell.contract.presence import (
    Change,
    Reason,
    Registration,
    Timers,
    blind,
    evidence,
    expire,
    fold,
    returned,
    revoke,
    to_state,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMERS = Timers()
STEADY = Timers(hysteresis_s=0)  # no link flaps


def claim(kind: str, epoch: int = 1, n: int | None = 1, **fields: object) -> Claim:
    return Claim(kind=ClaimKind(kind), epoch=epoch, n=n, at=NOW, **fields)  # type: ignore[arg-type]


def will(epoch: int = 1) -> Claim:
    return claim("detach", epoch, None, reason="lost")


def after(*claims: Claim, now: datetime = NOW, timers: Timers = TIMERS) -> Registration:
    held: Registration | None = None
    for one in claims:
        held, _ = fold(held, one, now, timers, region="north")
    assert held is not None
    return held


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_attach_makes_online_until_the_update_is_overdue() -> None:
    held = after(claim("attach", cell="c", address="10.0.0.1"))
    assert (held.state, held.reason, held.region, held.cell) == ("online", "attach", "north", "c")
    assert held.deadline == later(60 + 15)
    assert expire(held, later(74.9), TIMERS) == (held, None)
    suspect, change = expire(held, later(75), TIMERS)
    assert (suspect.state, suspect.reason) == ("suspect", "overdue")
    assert change is not None
    assert change.page
    assert suspect.deadline == later(75 + 240)
    offline, _ = expire(suspect, later(75 + 240), TIMERS)
    assert (offline.state, offline.reason, offline.deadline) == ("offline", "timeout", None)


def test_a_deadline_that_is_seen_late_dates_the_change_and_the_page_has_its_whole_time() -> None:
    suspect, change = expire(after(claim("attach")), later(75 + 300), TIMERS)
    assert change is not None
    assert (change.at, suspect.since) == (later(75), later(75))
    assert suspect.deadline == later(75 + 300 + 240)
    offline, change = expire(suspect, later(2000), TIMERS)
    assert change is not None
    assert change.at == offline.since == later(75 + 300 + 240)


def test_an_update_moves_the_deadline_and_is_no_change() -> None:
    held = after(claim("attach"))
    again, change = fold(held, claim("update", n=2, update_interval=10), later(5), TIMERS, region="north")
    assert change is None
    assert again.since == held.since
    assert (again.n, again.deadline) == (2, later(5 + 10 + 15))
    assert again.reason == "attach"


def test_a_lost_link_is_suspect_at_once_and_offline_after_the_linger() -> None:
    held = after(claim("attach"), will())
    assert (held.state, held.reason, held.deadline) == ("suspect", "lost", later(10))
    offline, change = expire(held, later(10), TIMERS)
    assert (offline.state, offline.reason) == ("offline", "lost")
    assert change is not None
    for zombie in (claim("update", n=5), claim("attach", n=6)):
        kept, change = fold(offline, zombie, later(11), TIMERS, region="north")
        assert change is None
        assert kept.state == "offline"
    assert evidence(offline, 1, later(12), TIMERS) == (offline, None)
    back, change = fold(offline, claim("attach", epoch=2), later(13), TIMERS, region="north")
    assert change is not None
    assert (back.state, back.since) == ("online", later(13))


def test_the_will_of_an_old_session_does_not_touch_the_new_one() -> None:
    held = after(claim("attach", 1), claim("attach", 2))
    assert fold(held, will(1), NOW, TIMERS, region="north") == (held, None)


def test_a_goodbye_is_offline_at_once_with_its_reason() -> None:
    held = after(claim("attach"), claim("detach", n=2, reason="shutdown"))
    assert (held.state, held.reason, held.deadline) == ("offline", "shutdown", None)
    lost, change = fold(held, will(), NOW, TIMERS, region="north")
    assert change is None
    assert lost.state == "offline"
    assert evidence(held, 1, NOW, TIMERS) == (held, None)


def test_a_will_after_sleep_stays_asleep_in_either_order() -> None:
    sleep = claim("sleep", n=2, sleep_s=600)
    for held in (after(claim("attach"), sleep, will()), after(claim("attach"), will(), sleep)):
        assert (held.state, held.reason, held.deadline) == ("asleep", "sleep", later(600 + 15))
    overslept, _ = expire(held, later(615), TIMERS)
    assert (overslept.state, overslept.reason) == ("suspect", "overslept")


@pytest.mark.parametrize(
    "first", [claim("sleep", n=0, sleep_s=60.0), claim("detach", n=0, reason="shutdown")]
)
def test_back_from_sleep_or_goodbye_and_then_lost_is_lost_in_either_order(first: Claim) -> None:
    attach = claim("attach", n=1)
    for held in (after(first, attach, will()), after(first, will(), attach)):
        assert (held.state, held.reason, held.deadline) == ("suspect", "lost", later(10))


def test_waking_says_so() -> None:
    held = after(claim("attach"), claim("sleep", n=2, sleep_s=600), claim("attach", epoch=2))
    assert (held.state, held.reason) == ("online", "woke")


def test_handover_lingers() -> None:
    held = after(claim("attach"), claim("detach", n=2, reason="handover"))
    assert (held.state, held.reason, held.deadline) == ("suspect", "handover", later(10))
    offline, _ = expire(held, later(10), TIMERS)
    assert (offline.state, offline.reason) == ("offline", "handover")


def test_who_says_where_it_hands_over_to_is_no_outage_of_a_region_with_a_register_of_its_own() -> None:
    held = after(claim("attach"), claim("detach", n=2, reason="handover", to="south"))
    assert (held.state, held.reason, held.evidence["to"]) == ("suspect", "handover", "south")
    assert blind(held, later(5), TIMERS) == (held, None)
    away, change = expire(held, later(10), TIMERS)
    assert change is not None
    assert not change.page
    assert (away.state, away.reason, away.evidence["to"]) == ("unknown", "handover", "south")
    assert away.deadline is None
    assert blind(away, later(20), TIMERS) == (away, None)
    assert fold(away, claim("attach", n=1), later(20), TIMERS, region="north") == (away, None)
    back, _ = fold(away, claim("attach", epoch=5), later(90), TIMERS, region="north")
    assert (back.state, back.reason, back.evidence["from"]) == ("online", "handover", "south")


def test_of_one_register_a_handover_is_never_seen_as_anything_but_online() -> None:
    held = after(claim("attach", address="10.1.0.1"))
    for late in (claim("detach", n=2, reason="handover", to="south"), will()):
        moved, change = fold(held, claim("attach", epoch=2, address="10.2.0.1"), NOW, TIMERS, region="south")
        assert change is not None
        assert (moved.state, moved.reason, moved.region) == ("online", "handover", "south")
        assert (moved.evidence["from"], moved.address) == ("north", "10.2.0.1")
        assert fold(moved, late, later(1), TIMERS, region="north") == (moved, None)


def test_telemetry_is_a_sign_of_life_of_its_own_epoch() -> None:
    suspect, _ = expire(after(claim("attach")), later(75), TIMERS)
    assert evidence(suspect, 0, later(80), TIMERS) == (suspect, None)
    online, change = evidence(suspect, 1, later(80), TIMERS)
    assert change is not None
    assert (online.state, online.reason, online.since) == ("online", "telemetry", later(80))


def test_a_blind_gateway_makes_unknown_and_never_offline() -> None:
    held, change = blind(after(claim("attach")), later(5), TIMERS)
    assert change is not None
    assert change.page
    assert (held.state, held.reason) == ("unknown", "gateway")
    unsure, change = fold(held, will(), later(6), TIMERS, region="north", blind=True)
    assert change is None
    assert unsure.state == "unknown"
    settled, change = fold(unsure, claim("attach", epoch=2), later(7), TIMERS, region="north", blind=True)
    assert settled.state == "online"
    offline = after(claim("attach"), claim("detach", n=2, reason="shutdown"))
    assert blind(offline, later(5), TIMERS) == (offline, None)


def test_a_will_in_the_blind_interval_is_settled_by_the_deadline() -> None:
    online = after(claim("attach"))
    unsure, change = fold(online, will(), later(1), TIMERS, region="north", blind=True)
    assert change is not None
    assert (unsure.state, unsure.reason) == ("unknown", "gateway")
    assert unsure.deadline is not None
    late, change = expire(unsure, unsure.deadline, TIMERS)
    assert (late.state, late.reason) == ("suspect", "overdue"), "the will of a dying gateway proves nothing"
    assert change is not None
    assert change.page
    assert late.deadline is not None
    gone, _ = expire(late, late.deadline, TIMERS)
    assert (gone.state, gone.reason) == ("offline", "lost")


def test_blindness_is_dated_by_its_begin_and_never_before_the_state_it_ends() -> None:
    held = after(claim("attach"))
    unknown, change = blind(held, later(3600), TIMERS, since=later(100))
    assert change is not None
    assert (change.at, unknown.since, unknown.evidence["blind_since"]) == (
        later(100),
        later(100),
        "2026-05-01T12:01:40.000Z",
    )
    assert unknown.deadline == later(3600 + 75), "it has time to speak up"
    early, _ = blind(held, later(3600), TIMERS, since=later(-100))
    assert early.since == NOW


def test_who_was_to_wake_while_the_gateway_was_blind_is_unknown_since_then() -> None:
    asleep = after(claim("sleep", sleep_s=600.0))
    assert returned(asleep, later(614), TIMERS) == (asleep, None)
    unknown, change = returned(asleep, later(3600), TIMERS, since=later(60))
    assert change is not None
    assert (unknown.state, unknown.reason, change.at, change.page) == ("unknown", "gateway", later(615), True)
    assert unknown.deadline == later(3600 + 75)


def test_a_handover_has_its_linger_again_when_the_gateway_is_back() -> None:
    leaving = after(claim("attach"), claim("detach", n=2, reason="handover"))
    held, change = returned(leaving, later(3600), TIMERS)
    assert change is None
    assert (held.state, held.deadline) == ("suspect", later(3610))


def test_bounds_hold_what_a_vehicle_asks_for() -> None:
    wild = after(claim("attach", update_interval=30 * 86400.0), now=NOW)
    assert wild.deadline == later(86400 + 15)
    sleepy = after(claim("attach"), claim("sleep", n=2, sleep_s=31 * 86400.0))
    assert sleepy.deadline == later(31 * 86400 + 15)
    short = after(claim("sleep", sleep_s=600.0), timers=Timers(max_sleep_s=100))
    assert short.deadline == later(100 + 15)


def test_the_state_message_says_what_is_held() -> None:
    held = after(claim("attach"))
    state = to_state("car-1", held, NOW)
    assert (state.vehicle, state.state, state.epoch, state.n, state.since) == ("car-1", "online", 1, 1, NOW)
    assert to_state("car-2", Registration(), NOW).since == NOW


kinds = st.sampled_from(["attach", "update", "sleep", "detach"])
claims = st.builds(
    lambda kind, epoch, n, reason: (
        will(epoch)
        if kind == "detach" and n == 0
        else claim(
            kind,
            epoch,
            n,
            reason=reason if kind == "detach" else None,
            sleep_s=60.0 if kind == "sleep" else None,
        )
    ),
    kinds,
    st.integers(1, 4),
    st.integers(0, 6),
    st.sampled_from(["shutdown", "handover", None]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Claim]:
    """Claims as units make them: one claim a (epoch, n)."""
    made = {(c.epoch, c.n): c for c in draw(st.lists(claims, min_size=1, max_size=12))}
    return list(made.values())


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


# -- who took over, who was revoked, whose clock is wrong ----------------------------------------


def test_a_session_that_takes_over_an_open_one_replaces_it() -> None:
    held = after(claim("attach", 1), claim("attach", 2))
    assert (held.state, held.reason, held.evidence["replaced"]) == ("online", "replaced", 1)
    back = after(claim("attach", 1), will(1), claim("attach", 2))
    assert (back.state, back.reason) == ("online", "attach"), "that one had ended"


def test_attached_in_another_region_is_a_handover_before_or_after_the_goodbye() -> None:
    held = after(claim("attach"))
    goodbye = claim("detach", n=2, reason="handover", to="south")
    first, _ = fold(held, claim("attach", 2), later(1), TIMERS, region="south")
    late, change = fold(first, goodbye, later(2), TIMERS, region="north")
    assert (late, change) == (first, None)
    gone, _ = fold(held, goodbye, later(1), TIMERS, region="north")
    second, _ = fold(gone, claim("attach", 2), later(2), TIMERS, region="south")
    for found in (first, second):
        assert (found.state, found.reason, found.region) == ("online", "handover", "south")
        assert found.evidence["from"] == "north"


def test_an_address_is_of_one_region() -> None:
    held = after(claim("attach", address="10.1.0.7"))
    there, _ = fold(held, claim("attach", 2), later(1), TIMERS, region="south")
    assert there.address is None


def test_who_was_revoked_stays_offline_until_a_newer_session() -> None:
    held, change = revoke(after(claim("attach")), later(1))
    assert change is not None
    assert (held.state, held.reason, held.deadline) == ("offline", "revoked", None)
    for late in (claim("update", n=2), claim("sleep", n=3, sleep_s=60.0), will()):
        assert fold(held, late, later(2), TIMERS, region="north") == (held, None)
    assert evidence(held, 1, later(2), TIMERS) == (held, None)
    assert revoke(held, later(3)) == (held, None)
    again, _ = fold(held, claim("attach", 2), later(9), TIMERS, region="north")
    assert (again.state, again.reason) == ("online", "attach")


@pytest.mark.parametrize("measured", [datetime(1970, 1, 1, tzinfo=UTC), later(301)])
def test_a_clock_that_cannot_be_right_is_refused_and_the_claim_taken(measured: datetime) -> None:
    held, _ = fold(None, Claim(ClaimKind.ATTACH, 1, measured, n=1), NOW, TIMERS, region="north")
    assert (held.state, held.reason, held.since) == ("online", "clock", NOW)
    assert "measured" not in held.evidence
    assert datetime.fromisoformat(held.evidence["refused"]) == measured
    gone, _ = fold(
        held,
        Claim(ClaimKind.DETACH, 1, measured, n=2, reason="shutdown"),
        later(9),
        TIMERS,
        region="north",
    )
    assert (gone.state, gone.reason, gone.since) == ("offline", "shutdown", later(9))


@given(st.floats(0.001, 31 * 86400), st.floats(0.001, 31 * 86400))
def test_an_interval_counts_from_the_claim_that_told_it_within_bounds(first: float, second: float) -> None:
    held = after(claim("attach", update_interval=first))
    held, change = fold(held, claim("update", n=2, update_interval=second), later(1), TIMERS, region="north")
    assert change is None
    assert held.deadline is not None
    waited = (held.deadline - later(1)).total_seconds() - TIMERS.grace_s
    assert waited == pytest.approx(min(max(second, 1), 86400), abs=1e-5)


def test_evidence_of_telemetry_says_when_it_was_measured_and_heard() -> None:
    suspect, _ = expire(after(claim("attach")), later(75), TIMERS)
    found, _ = evidence(suspect, 1, later(80), TIMERS, measured=later(79))
    heard = {"by": "telemetry", "epoch": 1, "heard": "2026-05-01T12:01:20.000Z"}
    assert found.evidence == heard | {"measured": "2026-05-01T12:01:19.000Z"}
    wrong, _ = evidence(suspect, 1, later(80), TIMERS, measured=datetime(1980, 1, 6, tzinfo=UTC))
    assert wrong.evidence == heard | {"refused": "1980-01-06T00:00:00.000Z"}
    assert evidence(suspect, 1, later(80), TIMERS)[0].evidence == heard


# -- the keep-alive ----------------------------------------------------------------------------------


def silent_until(held: Registration) -> list[tuple[str, float]]:
    """What becomes of a vehicle of which nothing more is heard: state with reason, and seconds from NOW."""
    found = []
    while held.deadline is not None:
        moment = held.deadline
        held, change = expire(held, moment, TIMERS)
        assert change is not None
        found.append((f"{held.state} ({held.reason})", (moment - NOW).total_seconds()))
    return found


def test_nobody_is_detached_while_the_broker_may_still_hold_the_session() -> None:
    patient = after(claim("attach", keep_alive=600.0))
    assert silent_until(patient) == [("suspect (overdue)", 75), ("offline (timeout)", 75 + 900)]
    for quick in (claim("attach", keep_alive=5.0), claim("attach")):
        assert silent_until(after(quick)) == [("suspect (overdue)", 75), ("offline (timeout)", 75 + 240)]
    asleep = after(claim("attach", keep_alive=600.0), claim("sleep", n=2, sleep_s=100.0))
    assert silent_until(asleep) == [("suspect (overslept)", 115), ("offline (timeout)", 115 + 900)]


def test_a_lost_link_does_not_wait_for_the_keep_alive() -> None:
    lost = after(claim("attach", keep_alive=600.0), will())
    assert silent_until(lost) == [("offline (lost)", 10)]


def test_after_blindness_a_vehicle_settles_within_its_interval_whatever_its_keep_alive() -> None:
    held = after(claim("attach", update_interval=5.0, keep_alive=600.0))
    unknown, _ = blind(held, later(1), TIMERS)
    assert unknown.deadline == later(1 + 5 + 15)
    assert [what for what, _ in silent_until(unknown)] == ["suspect (overdue)", "offline (timeout)"]
    assert silent_until(unknown)[1][1] == 1 + 5 + 15 + 900


def test_a_keep_alive_has_a_default_and_bounds_and_zero_is_none() -> None:
    timers = Timers(keep_alive_s=100, max_keep_alive_s=1000)
    for told, seconds in ((None, 150), (40, 60), (0.1, 1.5), (1e6, 1500), (0, 1500)):
        assert timers.supervision(told) == timedelta(seconds=seconds)


@given(st.none() | st.floats(0, 31 * 86400), st.floats(0, 31 * 86400), st.floats(0.001, 31 * 86400))
def test_a_keep_alive_counts_from_the_claim_that_told_it_within_bounds(
    first: float | None, second: float, interval: float
) -> None:
    held = after(claim("attach", keep_alive=first, update_interval=interval))
    held, change = fold(held, claim("update", n=2, keep_alive=second), NOW, TIMERS, region="north")
    assert change is None
    (_, suspect_at), (gone, gone_at) = silent_until(held)
    bounded = 1.5 * min(max(second or 1200, 1), 1200)
    assert gone == "offline (timeout)"
    assert suspect_at == pytest.approx(min(max(interval, 1), 86400) + 15, abs=1e-5), "by the interval alone"
    assert gone_at - suspect_at == pytest.approx(max(240, bounded), abs=1e-5)
    again, _ = fold(held, claim("update", n=3), NOW, TIMERS, region="north")
    assert silent_until(again) == [("suspect (overdue)", suspect_at), (gone, gone_at)], "told once is enough"


def test_a_command_response_is_a_sign_of_life() -> None:
    suspect, _ = expire(after(claim("attach")), later(75), TIMERS)
    online, _ = evidence(suspect, 1, later(80), TIMERS, by=Reason.RESPONSE)
    assert (online.state, online.reason, online.evidence["by"]) == (
        "online",
        "command response",
        "command response",
    )


# -- a link that comes and goes ------------------------------------------------------------------


def flap(losses: int, every_s: float = 10, timers: Timers = TIMERS) -> tuple[Registration, int]:
    """A vehicle that was lost so often and attached again each time, and how many changes that made."""
    held, changes, number = Registration(), 0, 0
    for number in range(losses):
        for seconds, said in ((0, claim("attach", number + 1)), (every_s / 2, will(number + 1))):
            moment = later(number * every_s + seconds)
            held, change = fold(held, said, moment, timers, region="north")
            changes += change is not None
    held, change = fold(held, claim("attach", losses + 1), later(losses * every_s), timers, region="north")
    return held, changes + (change is not None)


def test_a_link_that_flaps_is_one_episode_with_its_count() -> None:
    assert (flap(2)[0].state, flap(2)[1]) == ("online", 5)
    for losses in (3, 50):
        held, changes = flap(losses)
        assert (held.state, held.reason, changes) == ("suspect", "flapping", 6)
        assert held.evidence["flaps"] == losses
        assert held.evidence["flaps_since"] == "2026-05-01T12:00:05.000Z"
        assert held.evidence["by"] == "attach", "the evidence stays true"
        assert held.deadline == later(losses * 10 + 75)


def test_losses_that_are_far_apart_are_no_episode() -> None:
    held, changes = flap(20, every_s=60)
    assert (held.state, held.reason, changes) == ("online", "attach", 41)
    assert flap(20, timers=STEADY)[0].state is PresenceState.ONLINE


def test_an_episode_ends_when_the_link_has_held() -> None:
    held, _ = flap(4)  # lost at 5, 15, 25 and 35 s
    same, change = evidence(held, 5, later(94.9), TIMERS)
    assert change is None
    online, change = evidence(same, 5, later(95), TIMERS)
    assert change is not None
    assert (online.state, online.reason, online.since) == ("online", "telemetry", later(95))
    assert online.evidence["flaps"] == 4
    lost, _ = fold(online, will(5), later(96), TIMERS, region="north")
    assert (lost.reason, lost.flaps) == ("lost", 1), "another begins anew"


def test_an_episode_ends_when_the_vehicle_stays_away() -> None:
    held, _ = flap(4)
    lost, change = fold(held, will(5), later(41), TIMERS, region="north")
    assert change is None
    assert (lost.state, lost.reason, lost.deadline) == ("suspect", "flapping", later(41 + 60))
    gone, _ = expire(lost, later(101), TIMERS)
    assert (gone.state, gone.reason, gone.evidence["flaps"]) == ("offline", "lost", 5)


def test_silence_ends_an_episode_as_it_ends_online() -> None:
    held, _ = flap(4)
    assert held.deadline is not None
    suspect, change = expire(held, held.deadline, TIMERS)
    assert change is not None
    assert change.page
    assert (suspect.state, suspect.reason) == ("suspect", "overdue")


def test_two_units_with_one_credential_are_an_episode() -> None:
    held: Registration | None = None
    changes = 0
    for epoch in range(1, 40):
        held, change = fold(held, claim("attach", epoch), later(epoch), TIMERS, region="north")
        changes += change is not None
    assert held is not None
    assert (held.state, held.reason, changes) == ("suspect", "flapping", 4)


@pytest.mark.parametrize("state", list(PresenceState))
def test_a_deadline_always_leads_out_of_its_state_or_ends(state: PresenceState) -> None:
    held = Registration(state=state, reason="gateway", deadline=NOW, since=NOW)
    moved, _ = expire(held, NOW, TIMERS)
    assert moved.state is not state or moved.deadline is None
