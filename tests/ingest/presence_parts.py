"""What the world of the presence register is made of: a unit, a gateway, and what stands for the network."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from fleetcell.contract.errors import NotConnectedError
from fleetcell.contract.messages import Claim, ClaimKind
from fleetcell.contract.presence import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.commands import Commands
    from ingest.registrar import Registrar

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMERS = Timers()
KEEP_ALIVE_S = 20.0
NEVER = float("inf")
MOST_DELAY_S = 3.0  # of a message; less than the linger, or a late attach would rightly be too late
MOST_RETRY_S = 30.0  # between two repetitions of a claim that `state` does not show


class Mode(Enum):
    """What a unit really is."""

    AWAY = auto()  # no session, and it is not coming back by itself
    SEEKING = auto()  # its session ended, it is about to have the next one
    LIVE = auto()
    SLEEPING = auto()
    OFF = auto()  # it said goodbye


@dataclass
class Car:
    """A unit, and what is true of it; times are of the world."""

    name: str
    vehicle_id: int
    mode: Mode = Mode.AWAY
    since: float = 0.0  # of the mode
    region: str = ""  # of its last session
    epoch: int = 0
    n: int = 0
    interval_s: float = TIMERS.update_interval_s
    wrong_clock: timedelta = timedelta()
    hung: bool = False  # it keeps its session, and claims nothing
    shown: bool = False  # it has seen itself online in `state`
    interval_from: int | None = None  # its claims from this number on tell its interval; none has been shown
    claims_at: float = NEVER
    claimed_at: float = -NEVER
    connects_at: float = NEVER
    sleep_s: float = 0.0
    heard: dict[str, float] = field(
        default_factory=dict
    )  # of this session, and committed: kind of claim -> when heard
    heard_n: int = 0  # the highest of them
    blinded: bool = False  # registered, when its broker died
    links: int = 0  # how many it has had; an epoch may come again, after its counter was lost
    top: int = 0  # the highest epoch that it ever used
    doubtful: bool = False  # its counter was lost: this epoch may have been used before

    @property
    def settled(self) -> bool:
        """Whether it has seen that the register has it online, and knows its interval."""
        return self.shown and self.interval_from is None

    @property
    def last_alive(self) -> float:
        """When the register last heard this session's unit say that it lives."""
        return max((at for kind, at in self.heard.items() if kind in ("attach", "update")), default=-NEVER)

    def claim(self, kind: ClaimKind, now: float, **fields: Any) -> Claim:
        """The next claim of its session."""
        self.n += 1
        self.claimed_at = now
        at = START + timedelta(seconds=now) + self.wrong_clock
        return Claim(kind, self.epoch, at, n=self.n, **fields)


class Link:
    """Stands for the registrar's MQTT connection: it pages, and sends commands."""

    dropped = 0

    def __init__(self) -> None:
        self.connected = False
        self.take: Callable[[str, bytes], None] | None = None  # what is published, by topic

    def publish_nowait(self, topic: str, payload: bytes, *, qos: int) -> bool:
        assert qos == 1
        assert self.take is not None
        self.take(topic, payload)
        return True

    async def publish(self, topic: str, payload: bytes, *, qos: int) -> None:
        if not self.connected:
            raise NotConnectedError("cut")
        self.publish_nowait(topic, payload, qos=qos)

    async def echo(self) -> None:
        if not self.connected:
            raise NotConnectedError("cut")


class Board:
    """Stands for the publisher: it notes what is to be shown."""

    def __init__(self) -> None:
        self.marked: set[int] = set()
        self.woken = False

    def mark(self, vehicle_ids: set[int]) -> None:
        self.marked |= vehicle_ids
        self.woken = True

    def wake(self) -> None:
        self.woken = True

    everything = wake


class AtOnce(random.Random):
    """No jitter: the world delays pages itself."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@dataclass
class Gateway:
    """A region's broker and its ingest."""

    region: str
    link: Link = field(default_factory=Link)
    broker_up: bool = True
    sessions: dict[str, int] = field(default_factory=dict)  # vehicle -> epoch
    links: dict[str, int] = field(default_factory=dict)  # vehicle -> which link its last session is of
    registrar: Registrar | None = None
    commands: Commands | None = None  # the registrar's duty
    commands_at: float = NEVER  # when they look again, if nothing wakes them before
    commands_since: float = NEVER  # there is an ingest and a database without a break since then
    dies_in: int | None = None  # commands that are still published before the process is killed
    board: Board = field(default_factory=Board)
    links_at: float = NEVER  # when the registrar has its connection back
    turns_at: float = NEVER
    received: list[tuple[str, Claim, float]] = field(default_factory=list)  # when; and not committed yet
    serving_since: float = NEVER  # hears and commits without a break since then

    @property
    def hears(self) -> bool:
        return self.registrar is not None and self.link.connected
