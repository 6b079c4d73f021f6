"""The presence fold: examples of each transition, and properties over any order of claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState
from fleetcell.contract.presence import Registration, Timers, blind, evidence, expire, fold, to_state

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMERS = Timers()


def claim(kind: str, epoch: int = 1, n: int | None = 1, **fields: object) -> Claim:
    return Claim(kind=ClaimKind(kind), epoch=epoch, n=n, at=NOW, **fields)  # type: ignore[arg-type]


def will(epoch: int = 1) -> Claim:
    return claim("detach", epoch, None, reason="lost")


def after(*claims: Claim, now: datetime = NOW) -> Registration:
    held: Registration | None = None
    for one in claims:
        held, _ = fold(held, one, now, TIMERS, region="north")
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
    gone, _ = expire(unsure, unsure.deadline, TIMERS)
    assert (gone.state, gone.reason) == ("offline", "lost")


def test_bounds_hold_what_a_vehicle_asks_for() -> None:
    wild = after(claim("attach", update_interval=30 * 86400.0), now=NOW)
    assert wild.deadline == later(86400 + 15)
    sleepy = after(claim("attach"), claim("sleep", n=2, sleep_s=31 * 86400.0))
    assert sleepy.deadline == later(31 * 86400 + 15)


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


@given(histories(), st.randoms())
def test_any_order_ends_in_the_same_state(history: list[Claim], random: Random) -> None:
    in_order = sorted(history, key=lambda c: (c.epoch, float("inf") if c.n is None else c.n))
    expected = after(*in_order)
    shuffled = list(history)
    random.shuffle(shuffled)
    found = after(*shuffled)
    assert (found.state, found.epoch, found.n, found.lost) == (
        expected.state,
        expected.epoch,
        expected.n,
        expected.lost,
    )


@given(histories())
def test_never_offline_while_a_newer_session_is_attached(history: list[Claim]) -> None:
    newest = max(c.epoch for c in history) + 1
    held = after(*history, claim("attach", newest), *history)
    assert held.state is PresenceState.ONLINE
    assert held.epoch == newest


@pytest.mark.parametrize("state", list(PresenceState))
def test_a_deadline_always_leads_out_of_its_state_or_ends(state: PresenceState) -> None:
    held = Registration(state=state, reason="gateway", deadline=NOW, since=NOW)
    moved, _ = expire(held, NOW, TIMERS)
    assert moved.state is not state or moved.deadline is None
