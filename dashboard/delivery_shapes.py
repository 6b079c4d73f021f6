"""What the API answers of delivery. A number is a sequence number of a boot; ranges are inclusive pairs."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations

import msgspec


class Gap(msgspec.Struct, frozen=True):
    """Numbers of one boot that are no stored readings, and why; `first` and `last` are inclusive."""

    boot: str
    first: int
    last: int
    count: int
    reason: str
    explanation: str


class Lateness(msgspec.Struct, frozen=True):
    """How many readings and events arrived so late: up to `up_to_s` seconds, more than the entry before."""

    up_to_s: float | None
    count: int


class Flag(msgspec.Struct, frozen=True):
    """Something that does not happen to a unit that keeps to the contract.

    kind: `number_used_twice`, `shared_identity` or `number_jump`. boots: those that it was seen in.
    count: numbers, or pairs of boots. last_at: when it was seen last; null: not known.
    """

    kind: str
    boots: list[str]
    count: int
    last_at: datetime | None
    explanation: str


class BootDelivery(msgspec.Struct, frozen=True):
    """The ledger of one boot. `quarantined` and `corrected` are stored too: parts of `received`.

    conflicts: other readings under a number that was taken. started_at: when it began, by the unit's uptime.
    measured_from, measured_until: of readings with a believed clock.
    """

    boot: str
    claimed: int
    received: list[list[int]]
    pending: list[list[int]]
    evicted: list[list[int]]
    quarantined: list[list[int]]
    dead_lettered: list[list[int]]
    unexplained: list[list[int]]
    duplicates: int
    late: int
    max_late_s: float
    first_at: datetime
    last_at: datetime
    corrected: list[list[int]]
    conflicts: int
    lateness: list[Lateness]
    started_at: datetime | None
    measured_from: datetime | None
    measured_until: datetime | None


class Delivery(msgspec.Struct, frozen=True):
    """What became of every number that the vehicle used, newest boot first; totals are of all boots."""

    vehicle: str
    boots: list[BootDelivery]
    received: int
    pending: int
    unexplained: int
    gaps: list[Gap]
    evicted: int
    quarantined: int
    corrected: int
    dead_lettered: int
    duplicates: int
    conflicts: int
    late: int
    lateness: list[Lateness]
    flags: list[Flag]
