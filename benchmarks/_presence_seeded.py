"""10,000 take-overs, handovers and late wills against the real register, on a clock of its own.

Each unit goes through episodes whose order and delays come from the seed. In all of them it has a session, or
is about to have the next one before the linger is over: whatever the register hears in whatever order, no
vehicle may ever become offline, and in the end all are online with their last epoch in their last region.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from fleetcell.contract.messages import Claim, ClaimKind
from fleetcell.contract.presence import Reason, Timers
from ingest.claims import Heard
from ingest.database import connect
from ingest.register import Register

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.database import Connection

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
TIMERS: Final = Timers()
REGIONS: Final = ("north", "south")
TICK_S: Final = 0.5
DELAY_S: Final = 4.0  # the most that a claim is under way
KEEP_ALIVE_S: Final = 20.0
KINDS: Final = ("take-over", "handover", "late will")
OFFLINE: Final = """
    SELECT count(*) FROM fleet.presence_event AS p JOIN fleet.vehicle AS v ON v.id = p.vehicle_id
    WHERE p.state = 'offline' AND v.name = ANY ($1)
"""
SETTLED: Final = """
    SELECT v.name, r.state, r.epoch, r.region FROM fleet.registration AS r
    JOIN fleet.vehicle AS v ON v.id = r.vehicle_id WHERE v.name = ANY ($1)
"""


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A claim of a vehicle reaches a region's registrar."""

    at: float
    number: int
    region: str
    vehicle: str
    claim: Claim


class Script:
    """What all units claim, and when each claim arrives.

    Attributes:
        arrivals: a heap.
        last: the epoch and the region in which each vehicle ends.
        ends: when all has arrived.
        counts: episodes by kind.
    """

    def __init__(self, vehicles: list[str], episodes: int, seed: int) -> None:
        self.arrivals: list[Arrival] = []
        self.last: dict[str, tuple[int, str]] = {}
        self.counts = dict.fromkeys(KINDS, 0)
        self._rng = random.Random(seed)
        share, more = divmod(episodes, len(vehicles))
        done = {
            vehicle: self._write(vehicle, share + (index < more)) for index, vehicle in enumerate(vehicles)
        }
        self.ends = max(done.values()) + 3 * TIMERS.update_interval_s
        for vehicle, at in done.items():  # all stay until the end
            self._session(vehicle, *self.last[vehicle], at, self.ends - DELAY_S, n=10**5)

    def _write(self, vehicle: str, episodes: int) -> float:
        rng = self._rng
        at, epoch, region = rng.uniform(0.0, 60.0), 1, rng.choice(REGIONS)
        self._session(vehicle, epoch, region, at, at + 60.0)
        at += 60.0
        for _ in range(episodes):
            kind = rng.choice(KINDS)
            self.counts[kind] += 1
            other = REGIONS[1 - REGIONS.index(region)]
            lasts = rng.uniform(5.0, 90.0)
            match kind:
                case "take-over":  # the broker publishes the old session's will when it sees the new one
                    self._arrive(at, vehicle, region, will(epoch), delay_s=2 * TIMERS.linger_s)
                case "handover":
                    goodbye = Claim(ClaimKind.DETACH, epoch, when(at), n=10**6, reason=Reason.HANDOVER)
                    self._arrive(at, vehicle, region, goodbye)
                    region = other
                case (
                    _
                ):  # nothing reaches the broker until its keep-alive runs out; the unit is back, or nearly
                    noticed = at + 1.5 * KEEP_ALIVE_S
                    self._arrive(noticed, vehicle, region, will(epoch))
                    at += rng.uniform(0.0, 1.5 * KEEP_ALIVE_S + TIMERS.linger_s - DELAY_S)
                    region = rng.choice(REGIONS)
            epoch += 1
            self._session(vehicle, epoch, region, at, at + lasts)
            at += lasts
        self.last[vehicle] = epoch, region
        return at

    def _session(self, vehicle: str, epoch: int, region: str, at: float, until: float, n: int = 0) -> None:
        """The claims of a session until a moment."""
        kind = ClaimKind.UPDATE if n else ClaimKind.ATTACH
        while at < until:
            n += 1
            self._arrive(at, vehicle, region, Claim(kind, epoch, when(at), n=n))
            kind = ClaimKind.UPDATE
            at += TIMERS.update_interval_s

    def _arrive(self, at: float, vehicle: str, region: str, claim: Claim, delay_s: float = DELAY_S) -> None:
        for _ in range(1 + (self._rng.random() < 0.1)):  # one in ten comes twice
            due = at + self._rng.uniform(0.0, delay_s)
            heapq.heappush(self.arrivals, Arrival(due, len(self.arrivals), region, vehicle, claim))


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it: times that a vehicle became offline, and vehicles that did not end as they should."""

    counts: dict[str, int]
    false_offline: int
    unsettled: int


async def play(dsn: str, vehicles: int, episodes: int, seed: int, say: Callable[[str], None]) -> Result:
    """Play a script; the vehicles are added to the database."""
    names = [f"seeded-{number:05}" for number in range(vehicles)]
    script = Script(names, episodes, seed)
    connection = await connect(dsn)
    try:
        await connection.execute("SELECT api.provision($1, $2)", names, ["0" * 64] * vehicles)
        rows = await connection.fetch("SELECT id, name FROM fleet.vehicle WHERE name = ANY ($1)", names)
        await _play(connection, script, {row["name"]: row["id"] for row in rows}, say)
        false_offline = await connection.fetchval(OFFLINE, names)
        ended = {
            row["name"]: (row["state"], row["epoch"], row["region"])
            for row in await connection.fetch(SETTLED, names)
        }
    finally:
        await connection.close()
    unsettled = sum(ended.get(name) != ("online", *last) for name, last in script.last.items())
    return Result(script.counts, false_offline, unsettled)


class Clock:
    """The virtual time, also the database's."""

    def __init__(self) -> None:
        self.now = 0.0

    async def database_time(self, _connection: Connection) -> datetime:
        return when(self.now)

    def age_s(self, at: float) -> float:
        return self.now - at


async def _play(
    connection: Connection, script: Script, ids: dict[str, int], say: Callable[[str], None]
) -> None:
    clock, ends, told = Clock(), script.ends + TICK_S, 0.0
    registers = [Register(region, TIMERS, clock.database_time) for region in REGIONS]
    while clock.now < ends:
        clock.now += TICK_S
        heard = {region: Heard() for region in REGIONS}
        while script.arrivals and script.arrivals[0].at <= clock.now:
            arrival = heapq.heappop(script.arrivals)
            heard[arrival.region].add(arrival.vehicle, arrival.claim, arrival.at)
        for register in registers:
            if claims := heard[register.region]:
                await register.take(
                    connection,
                    claims,
                    {name: ids[name] for name in claims.names()},
                    age_s=clock.age_s,
                    address=lambda _: None,
                    blind_window=False,
                )
            while (await register.sweep(connection, lambda _: None, age_s=clock.age_s)).more:
                pass
        if clock.now - told >= 200.0:
            told = clock.now
            say(f"seeded episodes: {clock.now:.0f} of {ends:.0f} s of virtual time")


def will(epoch: int) -> Claim:
    return Claim(ClaimKind.DETACH, epoch, START, reason=Reason.LOST)


def when(at: float) -> datetime:
    return START + timedelta(seconds=at)
