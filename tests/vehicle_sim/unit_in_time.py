"""A unit without network and clock, and what its tests say of its actions."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from fleetcell.contract.messages import (
    ClaimKind,
    GatewayStatus,
    PresenceState,
    State,
)
from fleetcell.contract.presence import Reason, Registration, to_state
from vehicle_sim.actions import (
    Action,
    SendBatch,
    SendClaim,
)
from vehicle_sim.delivery import Delivery, DeliveryPolicy
from vehicle_sim.unit import PresencePolicy, Unit

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
