"""The unit's state machine: presence claims, holding telemetry, epochs, stopping. No network, no clock."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcell.contract.messages import (
    Claim,
    ClaimKind,
    GatewayStatus,
    PresenceState,
    Response,
    ResponseState,
    State,
)
from fleetcell.contract.presence import Reason, Registration, Timers, expire, fold, to_state
from vehicle_sim.actions import (
    Action,
    CalledOff,
    Leave,
    Renew,
    Rest,
    Restart,
    SendBatch,
    SendClaim,
    SendResponse,
)
from vehicle_sim.delivery import Delivery, DeliveryPolicy
from vehicle_sim.unit import Phase, PresencePolicy, Unit

BOOT = "b" * 32
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
POLICY = PresencePolicy()


class Shelf:
    """A spool whose readings all wait."""

    def __init__(self) -> None:
        self.waiting: set[int] = set()

    def size(self, boot: str, seq: int) -> int:
        return 10 if seq in self.waiting else 0

    def is_event(self, boot: str, seq: int) -> bool:
        return False

    def evicted(self, boot: str) -> tuple[tuple[int, int], ...]:
        return ()


def new_unit() -> tuple[Unit, Shelf]:
    shelf = Shelf()
    rng = random.Random(1)
    return Unit(Delivery(shelf, DeliveryPolicy(), rng), POLICY, rng), shelf


def state(
    epoch: int,
    n: int | None,
    what: PresenceState = PresenceState.ONLINE,
    reason: str = Reason.ATTACH,
) -> State:
    registration = Registration(what, reason, since=NOON, epoch=epoch, n=n, region="helsinki")
    return to_state("car-0001", registration, NOON)


def status(*, storing: bool) -> GatewayStatus:
    return GatewayStatus(storing, NOON)


def claims(actions: list[Action]) -> list[tuple[ClaimKind, int]]:
    return [(action.kind, action.n) for action in actions if isinstance(action, SendClaim)]


def batches(actions: list[Action]) -> list[tuple[int, ...]]:
    return [action.batch.seqs for action in actions if isinstance(action, SendBatch)]


def online(epoch: int = 5) -> tuple[Unit, Shelf]:
    """A unit that the register shows online since time 0."""
    unit, shelf = new_unit()
    unit.connecting(epoch)
    assert claims(unit.connected(0.0)) == [(ClaimKind.ATTACH, 1)]
    assert unit.state(state(epoch, 1), 0.1) == []
    assert unit.registered
    return unit, shelf


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
    assert unit.due == 12.0
    assert unit.tick(12.0) == [SendClaim(ClaimKind.UPDATE, 4)]
    assert unit.set_interval(10.0, 13.0) == [], "no change"
    (again,) = unit.state(state(5, 4, PresenceState.SUSPECT, Reason.OVERDUE), 30.0)
    assert again == SendClaim(ClaimKind.UPDATE, 5, timers=True), "the register may have missed the change"


def test_a_change_of_the_interval_that_the_link_did_not_take_is_told_with_the_next_claim() -> None:
    unit, _ = online()
    (told,) = unit.set_interval(300.0, 1.0)
    unit.not_sent(told, 1.0)
    assert unit.tick(1.25) == [SendClaim(ClaimKind.UPDATE, 3, timers=True)]


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
    assert unit.connected(40.0) == [SendClaim(ClaimKind.SLEEP, 1, sleep_s=70.0)]
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


class World:
    """A unit, a register that follows the contract's fold, and a link that loses and breaks as drawn."""

    def __init__(self, lost_counter: int) -> None:
        self.unit, _ = new_unit()
        self.now = 0.0
        self.counter = lost_counter
        self.used: list[int] = []
        self.held = Registration(PresenceState.OFFLINE, Reason.LOST, since=NOON, epoch=6, n=4, lost=True)

    def connect(self) -> None:
        self.counter += 1
        self.used.append(self.counter)
        self.unit.connecting(self.counter)
        self.hear_state()  # retained
        if self.unit.epoch == self.counter:
            self.do(self.unit.connected(self.now), lossy=False)

    def connect_if_awake(self) -> None:
        if self.unit.phase is Phase.DOWN:
            self.connect()

    def hear_state(self) -> None:
        self.do(self.unit.state(to_state("car", self.held, NOON), self.now), lossy=False)

    def do(self, actions: list[Action], *, lossy: bool) -> None:
        for action in actions:
            if isinstance(action, Renew):
                self.counter = max(self.counter, action.epoch)
                self.unit.disconnected(self.now)
                self.connect()
                return
            if isinstance(action, SendClaim) and not lossy:
                said = Claim(
                    action.kind,
                    self.unit.epoch,
                    NOON,
                    n=action.n,
                    reason=action.reason,
                    sleep_s=action.sleep_s,
                )
                self.take(said)
            if isinstance(action, Rest | Restart):
                self.unit.disconnected(self.now)
                if self.unit.phase is Phase.DOWN:
                    self.connect()
                return

    def take(self, claim: Claim) -> None:
        moment = NOON + timedelta(seconds=self.now)
        self.held, change = fold(self.held, claim, moment, Timers(), region="helsinki")
        if change is not None or claim.epoch < self.held.epoch:
            self.hear_state()


@settings(max_examples=60)
@given(st.data())
def test_however_links_break_and_claims_are_lost_the_unit_ends_up_online(data: Any) -> None:
    world = World(lost_counter=data.draw(st.integers(0, 8)))
    world.connect()
    for _ in range(data.draw(st.integers(0, 15))):
        world.now += data.draw(st.floats(0, 100))
        match data.draw(
            st.sampled_from(
                ["tick", "tick, claim lost", "break", "break, will", "deadline", "sleep", "wake", "restart"]
            )
        ):
            case "tick":
                world.do(world.unit.tick(world.now), lossy=False)
            case "sleep":
                world.do(world.unit.sleep(data.draw(st.floats(0.5, 500)), world.now), lossy=False)
            case "wake":
                world.do(world.unit.wake(world.now), lossy=False)
            case "restart":
                world.do(world.unit.restart(world.now), lossy=False)
            case "tick, claim lost":
                world.do(world.unit.tick(world.now), lossy=True)
            case "deadline":
                world.held, change = expire(world.held, NOON + timedelta(seconds=world.now), Timers())
                if change is not None:
                    world.hear_state()
            case how if world.unit.phase is not Phase.ASLEEP:
                epoch = world.unit.epoch
                world.do(world.unit.disconnected(world.now), lossy=False)
                world.connect()
                if how == "break, will":  # an old session's will comes late
                    world.take(Claim(ClaimKind.DETACH, epoch, NOON, reason=Reason.LOST))
        world.connect_if_awake()
    world.do(world.unit.wake(world.now), lossy=False)
    world.connect_if_awake()
    for _ in range(20):  # from here on, nothing is lost
        world.now = max(world.now, min(world.unit.due, world.now + 120))
        world.do(world.unit.tick(world.now), lossy=False)
    assert world.held.state is PresenceState.ONLINE
    assert world.held.epoch == world.unit.epoch
    assert world.used == sorted(set(world.used)), "an epoch is used once"


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
