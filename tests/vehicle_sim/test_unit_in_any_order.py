"""The unit's state machine against a register that follows the contract's fold, in any order of events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcell.contract.messages import (
    Claim,
    ClaimKind,
    PresenceState,
)
from fleetcell.contract.presence import Reason, Registration, Timers, expire, fold, to_state
from tests.vehicle_sim.unit_in_time import NOON, new_unit
from vehicle_sim.actions import (
    Action,
    Renew,
    Rest,
    Restart,
    SendClaim,
)
from vehicle_sim.unit import Phase


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
