"""The presence fold: an example of each transition."""

from __future__ import annotations

import pytest

from fleetcell.contract.messages import Claim
from fleetcell.contract.presence import (
    Registration,
    Timers,
    blind,
    evidence,
    expire,
    fold,
    returned,
    to_state,
)
from tests.fleetcell.contract.presence_claims import NOW, TIMERS, after, claim, later, will


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
