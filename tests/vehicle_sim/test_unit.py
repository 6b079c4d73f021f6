"""The unit's state machine: presence claims, holding telemetry, epochs, stopping. No network, no clock."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from fleetcell.contract.messages import (
    ClaimKind,
    PresenceState,
    State,
)
from fleetcell.contract.presence import Reason
from tests.vehicle_sim.unit_in_time import BOOT, POLICY, batches, claims, new_unit, online, state, status
from vehicle_sim.actions import (
    Action,
    Leave,
    Renew,
    SendClaim,
)
from vehicle_sim.unit import Phase


def test_an_attach_is_repeated_with_backoff_until_the_register_shows_it() -> None:
    unit, _ = new_unit()
    unit.connecting(5)
    unit.connected(0.0)
    times: list[float] = []
    while len(times) < 4:
        now = unit.due
        if repeated := claims(unit.tick(now)):
            assert repeated == [(ClaimKind.ATTACH, 1)]
            times.append(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    for wait, nominal in zip(waits, (4, 8, 16), strict=True):
        assert 0.75 * nominal <= wait <= 1.25 * nominal
    unit.state(state(4, 9), times[-1])  # the session before
    assert not unit.registered
    unit.state(state(5, 1), times[-1])
    assert unit.registered
    assert unit.due == POLICY.update_interval_s


def test_an_attach_that_is_not_shown_for_long_is_a_new_sign_of_life_once_an_interval() -> None:
    """As for a link that flaps: the register took the attach, shows nothing yet, and wants to hear more."""
    unit, _ = new_unit()
    unit.connecting(5)
    unit.connected(0.0)
    heard: set[int] = set()
    while unit.due <= 200.0:
        now = unit.due
        heard |= {n for kind, n in claims(unit.tick(now)) if kind is ClaimKind.ATTACH}
    assert heard == {1, 2, 3, 4}
    unit.state(state(5, 4), 200.0)
    assert unit.registered


def test_a_unit_whose_link_flaps_waits_for_its_next_update() -> None:
    unit, _ = online()
    assert unit.state(state(5, 1, PresenceState.SUSPECT, Reason.FLAPPING), 10.0) == []
    assert not unit.registered
    assert unit.due == 60.0
    assert claims(unit.tick(60.0)) == [(ClaimKind.UPDATE, 2)]


def test_an_online_unit_updates_once_in_each_interval() -> None:
    unit, _ = online()
    assert unit.due == POLICY.update_interval_s
    assert claims(unit.tick(60.0)) == [(ClaimKind.UPDATE, 2)]
    assert unit.due == 120.0
    assert claims(unit.tick(120.0)) == [(ClaimKind.UPDATE, 3)]


def test_a_page_is_answered_at_once() -> None:
    unit, _ = online()
    assert claims(unit.page(10.0)) == [(ClaimKind.UPDATE, 2)]
    assert unit.due == 70.0


def test_a_page_before_the_attach_is_shown_brings_the_same_attach_again() -> None:
    unit, _ = new_unit()
    unit.connecting(5)
    unit.connected(0.0)
    assert claims(unit.page(1.0)) == [(ClaimKind.ATTACH, 1)]


@pytest.mark.parametrize(
    ("what", "reason"),
    [(PresenceState.SUSPECT, Reason.OVERDUE), (PresenceState.OFFLINE, Reason.TIMEOUT)],
)
def test_a_register_that_thinks_the_unit_is_gone_is_told_until_it_shows_otherwise(
    what: PresenceState, reason: str
) -> None:
    unit, _ = online()
    assert claims(unit.state(state(5, 1, what, reason), 100.0)) == [(ClaimKind.UPDATE, 2)]
    assert not unit.registered
    assert claims(unit.state(state(5, 1, what, reason), 100.5)) == []
    assert claims(unit.tick(103.0)) == [(ClaimKind.UPDATE, 2)]
    unit.state(state(5, 2), 103.1)
    assert unit.registered
    assert claims(unit.tick(130.0)) == []


def test_after_a_blind_gateway_the_fleet_answers_spread_over_some_seconds() -> None:
    dues = set()
    for seed in range(20):
        unit, _ = online()
        unit._rng.seed(seed)
        assert unit.state(state(5, 1, PresenceState.UNKNOWN, Reason.GATEWAY), 50.0) == []
        assert 51.0 <= unit.due <= 55.0
        dues.add(round(unit.due, 2))
        assert claims(unit.tick(unit.due)) == [(ClaimKind.UPDATE, 2)]
    assert len(dues) > 10


@pytest.mark.parametrize(
    "seen",
    [
        state(7, 3),
        state(5, 9),
        state(5, 1, PresenceState.SUSPECT, Reason.LOST),
        state(5, None, PresenceState.OFFLINE, Reason.LOST),
        state(5, 1, PresenceState.OFFLINE, Reason.SHUTDOWN),
        state(5, 1, PresenceState.OFFLINE, Reason.HANDOVER),
    ],
    ids=lambda seen: f"{seen.epoch}.{seen.n}-{seen.state}-{seen.reason}",
)
def test_an_epoch_that_another_session_used_or_ended_is_left_for_a_later_one(seen: State) -> None:
    unit, _ = online(5)
    assert unit.state(seen, 1.0) == [Renew(seen.epoch)]
    fresh, _ = new_unit()
    fresh.connecting(5)
    assert fresh.state(seen, 0.0) == [Renew(seen.epoch)], "retained: it comes before any claim"


def test_a_will_that_a_blind_gateway_heard_ends_the_epoch_too() -> None:
    unit, _ = online(5)
    unknown = state(5, 1, PresenceState.UNKNOWN, Reason.GATEWAY)
    assert unit.state(msgspec.structs.replace(unknown, evidence={"by": "will", "epoch": 5}), 1.0) == [
        Renew(5)
    ]


def test_a_lost_link_means_a_new_epoch_and_a_new_attach() -> None:
    unit, shelf = online(5)
    shelf.waiting.add(1)
    assert batches(unit.made(BOOT, 1, 1.0)) == [(1,)]
    unit.disconnected(2.0)
    assert (unit.phase, unit.registered, unit.due) == (Phase.DOWN, False, float("inf"))
    unit.connecting(6)
    actions = unit.connected(3.0)
    assert claims(actions) == [(ClaimKind.ATTACH, 1)]
    assert batches(actions) == [(1,)]


def test_telemetry_is_held_while_the_gateway_does_not_store() -> None:
    unit, shelf = online()
    assert unit.gateway(status(storing=False), 1.0, retained=True) == []
    shelf.waiting.add(1)
    assert unit.made(BOOT, 1, 2.0) == []
    assert unit.tick(30.0) == []
    assert claims(unit.tick(60.0)) == [(ClaimKind.UPDATE, 2)], "presence goes on"
    unit.gateway(status(storing=True), 61.0, retained=False)
    assert 61.0 <= unit.due <= 62.0, "not the whole fleet at once"
    assert batches(unit.tick(unit.due)) == [(1,)]


def test_readings_in_flight_when_the_gateway_died_are_sent_again_soon_after_it_is_back() -> None:
    unit, shelf = online()
    shelf.waiting.add(1)
    assert batches(unit.made(BOOT, 1, 1.0)) == [(1,)]
    unit.gateway(status(storing=False), 1.5, retained=False)
    assert batches(unit.tick(20.0)) == []
    unit.gateway(status(storing=True), 21.0, retained=False)
    assert 21.0 <= unit.due <= 23.0
    assert batches(unit.tick(unit.due)) == [(1,)]


def test_what_was_sent_before_the_gateway_arrived_is_sent_again_soon() -> None:
    unit, shelf = new_unit()
    shelf.waiting.add(1)
    unit.made(BOOT, 1, 0.0)
    unit.connecting(1)
    unit.connected(0.0)
    assert unit.due > 1.4
    unit.gateway(status(storing=True), 0.1, retained=False)
    sent: list[Action] = []
    while unit.due <= 2.1:
        sent += unit.tick(unit.due)
    assert claims(sent)[0] == (ClaimKind.ATTACH, 1)
    assert batches(sent) == [(1,)]


def test_a_gateway_that_was_there_before_the_unit_changes_nothing() -> None:
    unit, shelf = new_unit()
    shelf.waiting.add(1)
    unit.made(BOOT, 1, 0.0)
    unit.connecting(1)
    unit.gateway(status(storing=True), 0.0, retained=True)
    unit.connected(0.0)
    unit.state(state(1, 1), 0.1)
    due = unit.due
    unit.gateway(status(storing=True), 0.2, retained=False)
    assert unit.due == due > 4


def test_readings_of_a_unit_without_a_link_are_kept() -> None:
    unit, shelf = new_unit()
    shelf.waiting.update({1, 2})
    assert unit.made(BOOT, 1, 0.0) == []
    assert unit.made(BOOT, 2, 1.0) == []
    unit.connecting(1)
    assert batches(unit.connected(2.0)) == [(1, 2)]


def test_a_clean_stop_detaches_and_leaves_when_the_register_shows_it() -> None:
    unit, shelf = online()
    (detach,) = unit.stop(10.0)
    assert detach == SendClaim(ClaimKind.DETACH, 2, Reason.SHUTDOWN)
    shelf.waiting.add(1)
    assert unit.made(BOOT, 1, 10.1) == [], "nothing is sent after the detach"
    assert unit.state(state(5, 1), 10.2) == []
    assert unit.state(state(5, 2, PresenceState.OFFLINE, Reason.SHUTDOWN), 10.3) == [Leave()]
    assert unit.phase is Phase.GONE
    assert unit.stop(11.0) == unit.tick(99.0) == []


def test_a_clean_stop_does_not_wait_for_ever() -> None:
    unit, _ = online()
    unit.stop(10.0)
    assert claims(unit.tick(12.5)) == [(ClaimKind.DETACH, 2)]
    assert unit.tick(10.0 + POLICY.stop_wait_s) == [Leave()]


def test_a_stop_without_a_link_says_goodbye_when_one_comes_in_time() -> None:
    unit, _ = online(5)
    unit.disconnected(1.0)
    assert unit.stop(2.0) == []
    unit.connecting(6)
    assert claims(unit.connected(3.0)) == [(ClaimKind.DETACH, 1)]
    assert unit.state(state(6, 1, PresenceState.OFFLINE, Reason.SHUTDOWN), 3.1) == [Leave()]


def test_a_stop_without_a_link_gives_up_in_time() -> None:
    unit, _ = new_unit()
    assert unit.stop(2.0) == []
    assert unit.due == 2.0 + POLICY.stop_wait_s
    assert unit.tick(unit.due) == [Leave()]


def test_what_the_link_did_not_take_comes_again_shortly() -> None:
    unit, shelf = new_unit()
    unit.connecting(1)
    (attach,) = unit.connected(0.0)
    unit.not_sent(attach, 0.0)
    assert unit.due == 0.25
    assert claims(unit.tick(0.25)) == [(ClaimKind.ATTACH, 1)]
    unit.state(state(1, 1), 0.3)
    shelf.waiting.add(1)
    (sent,) = unit.made(BOOT, 1, 1.0)
    unit.not_sent(sent, 1.0)
    assert batches(unit.tick(1.25)) == [(1,)]
    (update,) = unit.page(2.0)
    unit.not_sent(update, 2.0)
    assert claims(unit.tick(2.25)) == [(ClaimKind.UPDATE, 3)]
