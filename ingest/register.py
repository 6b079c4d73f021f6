"""The presence register in the database: rows to registrations and back, and the transactions on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from fleetcell.contract.messages import PresenceState, encode
from fleetcell.contract.presence import (
    Change,
    Reason,
    Registration,
    Timers,
    blind,
    expire,
    returned,
    revoke,
)
from ingest.database import statement
from ingest.folding import Ear, lived, take

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Container

    import asyncpg

    from ingest.claims import Heard, Sign
    from ingest.database import Connection
    from ingest.folding import Return

PART: Final = 1000  # registrations in one transaction
Event = tuple["Held", Registration, Change]  # as it is after a change, and as it was before
_DEAF: Final = (PresenceState.ONLINE, PresenceState.SUSPECT)
_BLIND: Final = (*_DEAF, PresenceState.ASLEEP, PresenceState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Held:
    """A row of the register, locked."""

    vehicle_id: int
    vehicle: str
    registration: Registration


@dataclass(slots=True)
class Outcome:
    """What a transaction did: registrations as they are now, whom to answer by id, whom to page."""

    now: dict[str, Registration] = field(default_factory=dict)
    answer: set[int] = field(default_factory=set)  # vehicles that wait to see their claim in `state`
    page: list[str] = field(default_factory=list)
    told: set[int] = field(default_factory=set)  # of the gateway's blindness, by `take`
    changes: int = 0
    stale: int = 0
    more: bool = False
    last_id: int = 0


async def database_time(connection: Connection) -> datetime:
    """The time as the database's clock has it, also within a transaction that began earlier."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return now


def from_row(row: asyncpg.Record) -> Registration:
    """A row of fleet.registration."""
    return Registration(
        state=PresenceState(row["state"]),
        reason=row["reason"],
        since=row["since"],
        evidence=msgspec.json.decode(row["evidence"]),
        deadline=row["deadline"],
        epoch=row["epoch"],
        n=row["n"],
        lost=row["lost"],
        ended=row["ended"],
        region=row["region"],
        cell=row["cell"],
        address=row["address"],
        seen_address=row["seen_address"],
        update_interval_s=row["update_interval_s"],
        keep_alive_s=row["keep_alive_s"],
        sleep_s=row["sleep_s"],
        flaps=row["flaps"],
        flaps_since=row["flaps_since"],
        flapped_at=row["flapped_at"],
        cursor=row["cursor"],
    )


class Register:
    """The register of one region; the caller holds the region's advisory lock on the connection.

    Args:
        region: whose vehicles.
        timers: the fleet-wide timers.
        now: the time that deadlines are made from and compared with: the database's, one clock for all.
    """

    def __init__(
        self,
        region: str,
        timers: Timers,
        now: Callable[[Connection], Awaitable[datetime]] = database_time,
    ) -> None:
        self.region = region
        self.timers = timers
        self._now = now

    async def take(
        self,
        connection: Connection,
        heard: Heard,
        ids: dict[str, int],
        *,
        age_s: Callable[[float], float],
        address: Callable[[str], str | None],
        blind_window: bool,
        back: Return | None = None,
    ) -> Outcome:
        """Fold claims and signs of life, all in one transaction, each dated by when it was heard.

        Args:
            connection: outside of a transaction.
            heard: of vehicles in `ids` only are taken, and not of those that were revoked meanwhile.
            ids: vehicle ids by name.
            age_s: seconds since a monotonic time.
            address: where a vehicle connects from, as the broker sees it.
            blind_window: whether the gateway came back less than an update interval ago.
            back: what is still to do since then: who has not been told of the blindness is told first.
        """
        outcome = Outcome()
        async with connection.transaction():
            await self._raise_claimed(connection, heard, ids)
            rows = await self._lock(connection, sorted(ids.values()), heard, ids)
            now = await self._now(connection)
            ear = Ear(
                self.region, self.timers, lambda at: now - timedelta(seconds=age_s(at)), back, blind_window
            )
            written: list[Held] = []
            events: list[Event] = []
            for held in rows:
                taken = take(
                    held.registration,
                    heard.claims.get(held.vehicle, ()),
                    heard.signs.get(held.vehicle),
                    ear,
                    seen_address=address(held.vehicle),
                    due=back is not None and back.is_due(held.vehicle_id),
                )
                outcome.now[held.vehicle] = taken.registration
                outcome.stale += taken.stale
                if taken.answer:
                    outcome.answer.add(held.vehicle_id)
                if taken.told:
                    outcome.told.add(held.vehicle_id)
                    if _unsettled(taken.registration):
                        outcome.page.append(held.vehicle)
                if taken.registration is not held.registration:
                    written.append(replace_registration(held, taken.registration))
                events += [
                    (replace_registration(held, after), before, change)
                    for before, after, change in taken.changes
                ]
            await self._write(connection, written, events, outcome)
        return outcome

    async def sweep(
        self,
        connection: Connection,
        last_sign: Callable[[str], Sign | None],
        *,
        age_s: Callable[[float], float],
        waiting: Container[str] = (),
    ) -> Outcome:
        """Let deadlines that have passed take effect, up to PART of them.

        Args:
            connection: outside of a transaction.
            last_sign: of a vehicle. One that came too soon after another was not written; it counts now.
            age_s: seconds since a monotonic time.
            waiting: vehicles with claims that are to be taken first. They may have come while the database
                let the sweep itself wait.
        """

        def step(held: Held, now: datetime) -> tuple[Registration, Change | None]:
            registration = held.registration
            if held.vehicle in waiting:
                return registration, None
            if (sign := last_sign(held.vehicle)) is not None:
                heard_at = now - timedelta(seconds=age_s(sign.at))
                found, change = lived(registration, sign, heard_at, self.timers)
                if found.deadline is not None and found.deadline > now:
                    return found, change
            return expire(registration, now, self.timers)

        async with connection.transaction():
            now = await self._now(connection)
            rows = await connection.fetch(statement("due_registrations"), self.region, now, PART)
            return await self._each(connection, rows, step)

    async def deaf(self, connection: Connection, after: int, *, for_s: float = 0) -> Outcome:
        """The gateway hears nothing, for so many seconds by now: nobody is known to be online or suspect.

        A part of the vehicles: those after the id `after`.
        """

        def step(held: Held, now: datetime) -> tuple[Registration, Change | None]:
            since = now - timedelta(seconds=for_s)
            return blind(held.registration, now, self.timers, since=since)

        return await self._part(connection, _DEAF, after, step)

    async def returned(
        self,
        connection: Connection,
        after: int,
        *,
        for_s: float = 0,
        spoken: Collection[int] = (),
    ) -> Outcome:
        """The gateway hears again: whom it lost sight of has time to speak up, and is to be paged.

        A part of the vehicles, as in `deaf`; `for_s` is how long it did not hear, `spoken` who was heard
        since and has been told by `take`.
        """
        page: list[str] = []

        def step(held: Held, now: datetime) -> tuple[Registration, Change | None]:
            if held.vehicle_id in spoken:
                return held.registration, None
            since = now - timedelta(seconds=for_s)
            registration, change = returned(held.registration, now, self.timers, since=since)
            if _unsettled(registration):
                page.append(held.vehicle)
            return registration, change

        outcome = await self._part(connection, _BLIND, after, step)
        outcome.page = page
        return outcome

    async def blind_vehicles(self, connection: Connection) -> int:
        """How many vehicles `returned` has to look at."""
        names = [state.value for state in _BLIND]
        found: int = await connection.fetchval(statement("count_region"), self.region, names)
        return found

    async def revoked(self, connection: Connection) -> Outcome:
        """Put whose credential an operator has ended offline, up to PART of them."""

        def step(held: Held, now: datetime) -> tuple[Registration, Change | None]:
            return revoke(held.registration, now)

        async with connection.transaction():
            rows = await connection.fetch(statement("lock_revoked"), self.region, Reason.REVOKED.value, PART)
            return await self._each(connection, rows, step)

    async def next_deadline_s(self, connection: Connection) -> float | None:
        """Seconds until the region's next deadline; None where there is none."""
        deadline: datetime | None = await connection.fetchval(statement("next_deadline"), self.region)
        return None if deadline is None else (deadline - await self._now(connection)).total_seconds()

    async def _part(
        self,
        connection: Connection,
        states: tuple[PresenceState, ...],
        after: int,
        step: Callable[[Held, datetime], tuple[Registration, Change | None]],
    ) -> Outcome:
        async with connection.transaction():
            names = [state.value for state in states]
            rows = await connection.fetch(statement("lock_region"), self.region, names, after, PART)
            return await self._each(connection, rows, step)

    async def _each(
        self,
        connection: Connection,
        rows: list[asyncpg.Record],
        step: Callable[[Held, datetime], tuple[Registration, Change | None]],
    ) -> Outcome:
        outcome = Outcome(more=len(rows) == PART)
        if not rows:
            return outcome
        now = await self._now(connection)
        written: list[Held] = []
        events: list[Event] = []
        for row in rows:
            held = Held(row["vehicle_id"], row["vehicle"], from_row(row))
            registration, change = step(held, now)
            outcome.now[held.vehicle] = registration
            outcome.last_id = max(outcome.last_id, held.vehicle_id)
            if registration is not held.registration:
                written.append(replace_registration(held, registration))
            if change is not None:
                events.append((replace_registration(held, registration), held.registration, change))
        await self._write(connection, written, events, outcome)
        return outcome

    async def _raise_claimed(self, connection: Connection, heard: Heard, ids: dict[str, int]) -> None:
        rows = sorted((ids[name], boot, last) for (name, boot), last in heard.claimed.items() if name in ids)
        if rows:
            await connection.execute(
                statement("raise_claimed"),
                [row[0] for row in rows],
                [UUID(row[1]) for row in rows],
                [row[2] for row in rows],
            )

    async def _lock(
        self, connection: Connection, vehicle_ids: list[int], heard: Heard, ids: dict[str, int]
    ) -> list[Held]:
        claiming = sorted(ids[name] for name in heard.claims if name in ids)
        if claiming:
            await connection.execute(statement("open_registrations"), claiming, self.region)
        rows = await connection.fetch(statement("lock_registrations"), vehicle_ids)
        return [Held(row["vehicle_id"], row["vehicle"], from_row(row)) for row in rows]

    async def _write(
        self,
        connection: Connection,
        written: list[Held],
        events: list[Event],
        outcome: Outcome,
    ) -> None:
        """The rows, and as the last statement the events: their cursors become visible in order."""
        if written:
            rows = [_columns(held) for held in written]
            await connection.execute(statement("write_registrations"), encode(rows).decode())
        if events:
            documents = [_event(held, before, change) for held, before, change in events]
            await connection.fetch(statement("append_presence_events"), encode(documents).decode())
        outcome.changes = len(events)
        outcome.page += [held.vehicle for held, _, change in events if change.page]


def _unsettled(registration: Registration) -> bool:
    """Whether a gateway lost sight of it, and it has not spoken since."""
    return registration.state is PresenceState.UNKNOWN and registration.reason == Reason.GATEWAY


def replace_registration(held: Held, registration: Registration) -> Held:
    """The same vehicle with another registration."""
    return Held(held.vehicle_id, held.vehicle, registration)


def _columns(held: Held) -> dict[str, Any]:
    r = held.registration
    return {
        "vehicle_id": held.vehicle_id,
        "state": r.state,
        "reason": r.reason,
        "since": r.since,
        "evidence": r.evidence,
        "deadline": r.deadline,
        "epoch": r.epoch,
        "n": r.n,
        "region": r.region,
        "cell": r.cell,
        "address": r.address,
        "seen_address": r.seen_address,
        "update_interval_s": r.update_interval_s,
        "keep_alive_s": r.keep_alive_s,
        "sleep_s": r.sleep_s,
        "flaps": r.flaps,
        "flaps_since": r.flaps_since,
        "flapped_at": r.flapped_at,
        "lost": r.lost,
        "ended": r.ended,
    }


def _event(held: Held, before: Registration, change: Change) -> dict[str, Any]:
    r = held.registration
    return {
        "vehicle_id": held.vehicle_id,
        "at": change.at,
        "state": r.state,
        "reason": change.reason,
        "evidence": r.evidence,
        "deadline": r.deadline,
        "epoch": r.epoch,
        "n": r.n,
        "region": r.region,
        "cell": r.cell,
        "address": r.address,
        "seen_address": r.seen_address,
        "previous_state": before.state,
        "previous_region": before.region,
    }
