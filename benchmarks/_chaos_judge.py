"""What the units of one schedule did, against what the database holds. Nothing here waits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges, from_multirange
from vehicle_sim.score.readings import Account, Ledger, Rows, Stored, account
from vehicle_sim.spool import Spool
from vehicle_sim.truth.records import Boot, add, block_of, checksum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks._chaos_units import News
    from ingest.database import Connection

LON: Final = 24.94  # where all units are
TELEMETRY: Final = """
    SELECT v.name AS vehicle, replace(t.boot::text, '-', '') AS boot, t.seq, t.lat, t.lon,
           coalesce((t.extra->>'$device_time_ms')::float8::bigint,
                    round(extract(epoch FROM t.time) * 1000)::bigint) AS time_ms
    FROM fleet.telemetry AS t JOIN fleet.vehicle AS v ON v.id = t.vehicle_id WHERE v.name = ANY ($1)
"""
EVENTS: Final = """
    SELECT v.name AS vehicle, replace(e.boot::text, '-', '') AS boot, e.seq
    FROM fleet.event AS e JOIN fleet.vehicle AS v ON v.id = e.vehicle_id WHERE v.name = ANY ($1)
"""
LEDGERS: Final = """
    SELECT v.name AS vehicle, replace(l.boot::text, '-', '') AS boot, l.claimed, l.duplicates,
           l.received::text, l.evicted::text, l.quarantined::text, l.dead::text
    FROM fleet.ledger AS l JOIN fleet.vehicle AS v ON v.id = l.vehicle_id WHERE v.name = ANY ($1)
"""


class Verdict(msgspec.Struct):
    """What is wrong, in readings; `why` says each in words. All counts should be 0 but `made`."""

    made: int = 0
    acked: int = 0
    acked_lost: int = 0
    duplicates: int = 0
    unexplained: int = 0
    altered: int = 0
    arrived_again: int = 0  # that is no fault: it was sent more than once, and stored once
    why: list[str] = []

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.acked_lost or self.duplicates or self.unexplained or self.altered)


@dataclass
class _Told:
    """What was told of one boot."""

    boot: Boot
    announced: set[int] = field(default_factory=set)  # and not confirmed
    acked: Ranges = EMPTY


class Truth:
    """What the units of one schedule said."""

    def __init__(self) -> None:
        self.crashes: list[str] = []
        self.refused = 0  # readings that a full disk did not take
        self._boots: dict[str, _Told] = {}

    def hear(self, news: News) -> None:
        """Take one line of news."""
        match news.what:
            case "making":
                self._of(news).announced.add(news.seq)
            case "made":
                self._made(self._of(news), news)
            case "refused":
                self.refused += 1
                self._of(news).announced.discard(news.seq)
            case "acked":
                told = self._of(news)
                told.acked = ledger.union(told.acked, news.ranges)
            case "evicted":
                told = self._of(news)
                told.boot.evicted = ledger.union(told.boot.evicted, news.ranges)
            case "crashed":
                self.crashes.append(f"{news.unit}: {news.why}")
            case _:
                pass

    def judge(self, left: dict[str, tuple[Ranges, Ranges]], held: Held) -> Verdict:
        """Compare.

        Args:
            left: by boot, what waits in the spools, and what is given up and not declared there.
            held: what the database holds.
        """
        verdict = Verdict()
        for name in sorted(self._boots.keys() | held.rows.keys()):
            told = self._boots.get(name)
            if told is None:
                self._blame(verdict, name, "nobody made this boot", held.stored(name).numbers, "unexplained")
                continue
            self._judge_boot(verdict, told, *left.get(name, (EMPTY, EMPTY)), held)
        return verdict

    # -- inside ---------------------------------------------------------------------------------------

    def _of(self, news: News) -> _Told:
        return self._boots.setdefault(news.boot, _Told(Boot(news.unit, news.boot)))

    def _made(self, told: _Told, news: News) -> None:
        told.announced.discard(news.seq)
        boot, block = told.boot, block_of(news.seq)
        boot.last_seq = max(boot.last_seq, news.seq)
        boot.sums += [0] * (block + 1 - len(boot.sums))
        if news.time_ms is None:
            boot.events = ledger.union(boot.events, ((news.seq, news.seq),))
        else:
            boot.sums[block] = add(boot.sums[block], checksum(news.seq, news.time_ms, news.lat, LON))

    def _judge_boot(
        self, verdict: Verdict, told: _Told, pending: Ranges, undeclared: Ranges, held: Held
    ) -> None:
        boot, stored = told.boot, held.stored(told.boot.boot)
        boot.pending, boot.undeclared = pending, undeclared
        # Killed between the announcement and the confirmation: it may be in the spool, or not.
        for seq in told.announced:
            found = ledger.union(ledger.union(stored.numbers, pending), boot.evicted)
            if ledger.intersect(found, ((seq, seq),)):
                boot.last_seq = max(boot.last_seq, seq)
                boot.sums = boot.sums[: block_of(seq)]  # what it held nobody knows
        known = held.ledgers.get(boot.boot, Ledger())
        waiting = ledger.union(pending, undeclared)  # where it is, is known
        known = msgspec.structs.replace(known, unexplained=ledger.subtract(known.unexplained, waiting))
        outcome = account(boot, stored, known)
        verdict.made += outcome.made
        verdict.acked += ledger.count(told.acked)
        verdict.arrived_again += outcome.arrived_again
        name = boot.boot
        unacked = ledger.subtract(told.acked, ledger.union(stored.numbers, boot.evicted))
        self._blame(verdict, name, "acknowledged, not stored", unacked, "acked_lost")
        for count, what, where in (
            (outcome.duplicates, "stored twice", "duplicates"),
            (outcome.unexplained, _words(outcome), "unexplained"),
            (outcome.altered, "stored otherwise than made, in blocks of 100", "altered"),
        ):
            if count:
                setattr(verdict, where, getattr(verdict, where) + count)
                verdict.why.append(f"{boot.vehicle}, boot {name}: {count} {what}; pending {pending}")

    def _blame(self, verdict: Verdict, boot: str, what: str, numbers: Ranges, where: str) -> None:
        if numbers:
            setattr(verdict, where, getattr(verdict, where) + ledger.count(numbers))
            verdict.why.append(f"boot {boot}: {what}: {numbers}")


def _words(outcome: Account) -> str:
    parts = {name: getattr(outcome, name) for name in ("lost", "contradicted", "invented")}
    return "unexplained: " + ", ".join(f"{count} {name}" for name, count in parts.items() if count)


class Held:
    """What the database holds of some vehicles."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, Rows] = defaultdict(Rows)
        self.ledgers: dict[str, Ledger] = {}

    def stored(self, boot: str) -> Stored:
        """The rows of a boot."""
        return self.rows[boot].stored() if boot in self.rows else Stored()

    @classmethod
    async def read(cls, connection: Connection, vehicles: Sequence[str]) -> Held:
        """Read it from the tables themselves, not from what the platform says of them."""
        held = cls()
        for row in await connection.fetch(TELEMETRY, list(vehicles)):
            held.rows[row["boot"]].add(row["seq"], row["time_ms"], row["lat"], row["lon"], noted=False)
        for row in await connection.fetch(EVENTS, list(vehicles)):
            held.rows[row["boot"]].add_event(row["seq"])
        for row in await connection.fetch(LEDGERS, list(vehicles)):
            received, evicted, quarantined, dead = (
                from_multirange(row[name]) for name in ("received", "evicted", "quarantined", "dead")
            )
            known = ledger.union(ledger.union(received, evicted), dead)
            claimed: Ranges = ((1, row["claimed"]),) if row["claimed"] else EMPTY
            held.ledgers[row["boot"]] = Ledger(
                received, evicted, quarantined, dead, ledger.subtract(claimed, known), row["duplicates"]
            )
        return held


def left_in_spools(folder: Path, vehicles: Sequence[str]) -> dict[str, tuple[Ranges, Ranges]]:
    """What waits on the disks of units that are off: by boot, the pending and the undeclared numbers."""
    left: dict[str, tuple[Ranges, Ranges]] = {}
    for vehicle in vehicles:
        spool = Spool(folder / vehicle)
        spool.open()
        for log in spool.boots:
            left[log.boot] = ledger.from_numbers(log.pending), log.evicted
        spool.close()
    return left
