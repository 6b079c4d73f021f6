"""The presence fold: who took over or was revoked, whose clock is wrong, who is silent, whose link flaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState
from fleetcell.contract.presence import (
    Reason,
    Registration,
    Timers,
    blind,
    evidence,
    expire,
    fold,
    revoke,
)
from tests.fleetcell.contract.presence_claims import NOW, STEADY, TIMERS, after, claim, later, will

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
