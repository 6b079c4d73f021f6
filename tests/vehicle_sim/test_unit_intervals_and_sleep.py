"""The unit's state machine: its update interval, sleep, restart, answers, handover."""

from __future__ import annotations

import pytest

from fleetcell.contract.messages import (
    ClaimKind,
    PresenceState,
    Response,
    ResponseState,
)
from fleetcell.contract.presence import Reason
from tests.vehicle_sim.unit_in_time import BOOT, POLICY, batches, claims, new_unit, online, state, status
from vehicle_sim.actions import (
    Action,
    CalledOff,
    Leave,
    Renew,
    Rest,
    Restart,
    SendClaim,
    SendResponse,
)
from vehicle_sim.unit import Phase, Unit

# -- the update interval --------------------------------------------------------------------------------


def test_timers_are_told_by_attaches_changes_and_claims_that_are_repeated() -> None:
    unit, _ = new_unit()
    unit.connecting(5)
    (attach,) = unit.connected(0.0)
    assert isinstance(attach, SendClaim)
    assert attach.timers
    unit.state(state(5, 1), 0.1)
    assert unit.page(1.0) == [SendClaim(ClaimKind.UPDATE, 2)]
    assert unit.set_interval(10.0, 2.0) == [SendClaim(ClaimKind.UPDATE, 3, timers=True)]
    unit.state(state(5, 3), 2.1)
    assert unit.due == 12.0
    assert unit.tick(12.0) == [SendClaim(ClaimKind.UPDATE, 4)]
    assert unit.set_interval(10.0, 13.0) == [], "no change"
    (again,) = unit.state(state(5, 4, PresenceState.SUSPECT, Reason.OVERDUE), 30.0)
    assert again == SendClaim(ClaimKind.UPDATE, 5, timers=True), "the register may have missed the change"


def test_a_change_of_the_interval_that_the_link_did_not_take_comes_again_shortly() -> None:
    unit, _ = online()
    (told,) = unit.set_interval(300.0, 1.0)
    unit.not_sent(told, 1.0)
    assert unit.tick(1.25) == [told]


def test_a_change_of_the_interval_is_told_until_a_state_shows_that_the_register_took_it() -> None:
    unit, _ = online()
    (told,) = unit.set_interval(300.0, 1.0)
    assert unit.state(state(5, 1, reason=Reason.TELEMETRY), 1.1) == [], "online, and yet of an older claim"
    assert unit.tick(unit.due) == [told]
    (later,) = unit.set_interval(200.0, 8.0)
    assert later == SendClaim(ClaimKind.UPDATE, 3, timers=True)
    unit.state(state(5, 2), 8.1)
    assert unit.tick(unit.due) == [later], "this state knows of 300 s"
    unit.state(state(5, 3), 30.0)
    assert unit.due == 208.0
    assert unit.tick(208.0) == [SendClaim(ClaimKind.UPDATE, 4)]


def test_a_change_of_the_interval_whose_claim_a_sleep_may_overtake_is_told_by_the_sleep() -> None:
    unit, _ = online()
    unit.set_interval(300.0, 1.0)
    assert unit.sleep(60.0, 2.0) == [SendClaim(ClaimKind.SLEEP, 3, sleep_s=60.0, timers=True)]


def test_a_change_of_the_interval_without_a_link_is_told_by_the_next_attach() -> None:
    unit, _ = new_unit()
    assert unit.set_interval(300.0, 1.0) == []
    unit.connecting(1)
    assert unit.connected(2.0) == [SendClaim(ClaimKind.ATTACH, 1, timers=True)]
    unit.state(state(1, 1), 2.1)
    assert unit.due == 302.0


# -- sleep ----------------------------------------------------------------------------------------------


def asleep(until: float = 100.0) -> Unit:
    """A unit that went to sleep at time 10."""
    unit, _ = online()
    assert unit.sleep(until - 10.0, 10.0) == [SendClaim(ClaimKind.SLEEP, 2, sleep_s=until - 10.0)]
    assert unit.state(state(5, 2, PresenceState.ASLEEP, Reason.SLEEP), 10.5) == [Rest()]
    unit.disconnected(10.6)
    assert (unit.phase, unit.registered) == (Phase.ASLEEP, False)
    return unit


def test_a_sleep_is_claimed_shown_and_then_slept_to_its_end() -> None:
    unit = asleep(until=100.0)
    assert unit.due == 100.0
    assert unit.tick(50.0) == []
    assert unit.state(state(5, 2, PresenceState.ASLEEP, Reason.SLEEP), 60.0) == []
    assert unit.tick(100.0) == []
    assert unit.phase is Phase.DOWN
    unit.connecting(6)
    assert claims(unit.connected(100.1)) == [(ClaimKind.ATTACH, 1)]


def test_a_sleep_that_is_not_shown_is_claimed_again_and_begins_anyway_after_a_while() -> None:
    unit, _ = online()
    unit.sleep(1000.0, 10.0)
    seen: list[Action] = []
    while unit.phase is Phase.DOZING:
        assert unit.due <= 10.0 + POLICY.sleep_wait_s
        seen += unit.tick(unit.due)
    assert claims(seen) == [(ClaimKind.SLEEP, 2)]
    assert seen[-1] == Rest()


def test_what_was_made_is_acknowledged_before_the_unit_leaves_for_its_sleep() -> None:
    unit, shelf = online()
    shelf.waiting.add(1)
    assert batches(unit.made(BOOT, 1, 9.0)) == [(1,)]
    shelf.waiting.add(2)
    unit.made(BOOT, 2, 9.5)
    unit.sleep(100.0, 9.6)
    assert unit.state(state(5, 2, PresenceState.ASLEEP, Reason.SLEEP), 9.7) == []
    shelf.waiting.remove(1)
    assert unit.acked(BOOT, 9.8) == [], "the second one is not ripe"
    assert batches(unit.tick(unit.due)) == [(2,)]
    shelf.waiting.remove(2)
    assert unit.acked(BOOT, 10.1) == [Rest()]


def test_nobody_waits_for_acknowledgements_of_a_gateway_that_does_not_store() -> None:
    unit, shelf = online()
    unit.gateway(status(storing=False), 1.0, retained=False)
    shelf.waiting.add(1)
    unit.made(BOOT, 1, 9.0)
    unit.sleep(100.0, 9.6)
    assert unit.state(state(5, 2, PresenceState.ASLEEP, Reason.SLEEP), 9.7) == [Rest()]


def test_a_unit_that_is_woken_attaches_at_once() -> None:
    unit = asleep(until=100.0)
    assert unit.wake(20.0) == []
    assert unit.phase is Phase.DOWN
    assert unit.due == float("inf")
    assert unit.wake(21.0) == []


def test_a_sleep_that_is_called_off_before_it_began_is_an_update() -> None:
    unit, _ = online()
    unit.sleep(100.0, 10.0)
    called_off, update = unit.wake(10.1)
    assert called_off == CalledOff("it was woken")
    assert update == SendClaim(ClaimKind.UPDATE, 3)
    assert claims(unit.state(state(5, 2, PresenceState.ASLEEP, Reason.SLEEP), 10.2)) == [
        (ClaimKind.UPDATE, 4)
    ], "the register took the sleep before"
    unit.state(state(5, 4, PresenceState.ONLINE, Reason.WOKE), 10.3)
    assert (unit.phase, unit.registered, unit.due) == (Phase.UP, True, 70.2)


def test_a_sleep_whose_link_is_lost_is_claimed_by_the_next_session_with_what_is_left_of_it() -> None:
    unit, _ = online(5)
    unit.sleep(100.0, 10.0)
    unit.disconnected(11.0)
    unit.connecting(6)
    assert unit.connected(40.0) == [SendClaim(ClaimKind.SLEEP, 1, sleep_s=70.0, timers=True)]
    assert unit.state(state(6, 1, PresenceState.ASLEEP, Reason.SLEEP), 40.1) == [Rest()]
    assert unit.due == 110.0


def test_a_sleep_that_could_not_be_claimed_in_its_time_is_called_off() -> None:
    unit, _ = online(5)
    unit.disconnected(1.0)
    assert unit.sleep(10.0, 2.0) == []
    assert unit.due == 12.0
    (called_off,) = unit.tick(12.0)
    assert isinstance(called_off, CalledOff)
    unit.connecting(6)
    assert claims(unit.connected(13.0)) == [(ClaimKind.ATTACH, 1)]


def test_a_sleep_is_claimed_again_by_the_session_with_a_later_epoch() -> None:
    unit, _ = online(5)
    unit.sleep(100.0, 10.0)
    assert unit.state(state(8, 1), 10.5) == [Renew(8)]
    unit.disconnected(10.6)
    unit.connecting(9)
    assert claims(unit.connected(11.0)) == [(ClaimKind.SLEEP, 1)]


def test_a_sleeping_unit_that_is_stopped_says_goodbye_first() -> None:
    unit = asleep(until=100.0)
    assert unit.stop(20.0) == []
    assert unit.phase is Phase.DOWN
    unit.connecting(6)
    assert claims(unit.connected(20.1)) == [(ClaimKind.DETACH, 1)]
    assert unit.state(state(6, 1, PresenceState.OFFLINE, Reason.SHUTDOWN), 20.2) == [Leave()]


def test_a_unit_that_is_stopped_while_it_waits_to_sleep_calls_that_off() -> None:
    unit, _ = online()
    unit.sleep(100.0, 10.0)
    called_off, detach = unit.stop(10.1)
    assert isinstance(called_off, CalledOff)
    assert detach == SendClaim(ClaimKind.DETACH, 3, Reason.SHUTDOWN)
    (refused,) = unit.sleep(100.0, 10.2)
    assert isinstance(refused, CalledOff)


def test_a_page_to_a_unit_that_waits_to_sleep_brings_the_same_claim_again() -> None:
    unit, _ = online()
    unit.sleep(100.0, 10.0)
    assert claims(unit.page(10.1)) == [(ClaimKind.SLEEP, 2)]


# -- restart and answers --------------------------------------------------------------------------------


def test_a_restart_says_goodbye_and_attaches_again() -> None:
    unit, _ = online()
    assert unit.restart(10.0) == [SendClaim(ClaimKind.DETACH, 2, Reason.SHUTDOWN)]
    assert unit.state(state(5, 2, PresenceState.OFFLINE, Reason.SHUTDOWN), 10.1) == [Restart()]
    assert unit.disconnected(10.2) == []
    unit.connecting(6)
    assert claims(unit.connected(11.0)) == [(ClaimKind.ATTACH, 1)]
    assert unit.phase is not Phase.GONE


@pytest.mark.parametrize("how", ["not shown", "link lost"])
def test_a_restart_does_not_depend_on_the_register(how: str) -> None:
    unit, _ = online()
    unit.restart(10.0)
    assert unit.tick(11.0) == []
    if how == "link lost":
        assert unit.disconnected(12.0) == [Restart()]
    else:
        assert unit.tick(13.0)[-1] == Restart()
    assert unit.phase is Phase.DOWN


def test_a_stop_during_a_restart_is_a_stop() -> None:
    unit, _ = online()
    unit.restart(10.0)
    unit.stop(10.1)
    assert unit.state(state(5, 2, PresenceState.OFFLINE, Reason.SHUTDOWN), 10.2) == [Leave()]


def test_an_answer_without_a_link_is_told_after_the_next_attach() -> None:
    unit, _ = online(5)
    unit.disconnected(1.0)
    done = Response("c1", ResponseState.SUCCEEDED)
    assert unit.answer(done) == []
    unit.connecting(6)
    attach, told = unit.connected(2.0)
    assert claims([attach]) == [(ClaimKind.ATTACH, 1)]
    assert told == SendResponse(done)


def test_an_answer_that_the_link_did_not_take_comes_again_shortly() -> None:
    unit, _ = online(5)
    done = Response("c1", ResponseState.SUCCEEDED)
    (told,) = unit.answer(done)
    unit.not_sent(told, 1.0)
    assert unit.due == 1.25
    assert unit.tick(1.25) == [told]
    unit.not_sent(told, 2.0)
    unit.disconnected(2.1)
    assert unit.due == float("inf")
    unit.connecting(6)
    assert told in unit.connected(3.0)


# -- handover ------------------------------------------------------------------------------------


def test_a_unit_may_be_handed_over_unless_it_leaves_or_sleeps() -> None:
    unit, _ = online()
    assert unit.roams
    unit.disconnected(1.0)
    assert unit.roams, "its gateway may be gone"
    unit.connecting(6)
    unit.connected(2.0)
    unit.sleep(60.0, 3.0)
    assert not unit.roams
    unit.wake(4.0)
    assert unit.roams
    unit.stop(5.0)
    assert not unit.roams


def test_the_goodbye_of_a_session_that_another_replaces_is_its_last_claim() -> None:
    unit, _ = online()
    goodbye = unit.farewell(1.0)
    assert (goodbye.kind, goodbye.n, goodbye.reason) == (ClaimKind.DETACH, 2, Reason.HANDOVER)
    assert claims(unit.tick(3.0)) == [], "whoever has the link repeats it"
