"""The delivery ledger, explained: why each number that a unit used is not a stored reading. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dashboard.delivery_shapes import BootDelivery, Delivery, Flag, Gap, Lateness
from fleetcell.contract import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fleetcell.contract.ledger import Ranges

SEND_WINDOW: Final = timedelta(hours=24)
JUMP: Final = 1_000_000  # numbers that were left out at once: no spool holds as many readings
EXPLANATIONS: Final = {
    "pending": "the unit has used these numbers; its readings have not arrived yet",
    "evicted": "the unit's spool was full: it gave these readings up and said so",
    "quarantined": "kept apart: the unit's clock could not be right",
    "dead_lettered": "arrived, but could not be read; see the dead letters",
    "unexplained": "a newer boot has been sending for more than a day, and these never came",
}
FLAGS: Final = {
    "number_used_twice": "other readings came under numbers that were taken: the unit's spool began again "
    "within its boot, or two units use one identity; they are dead letters",
    "shared_identity": "two boots measured and sent at the same time: two units use one identity, "
    "or the unit's clock was put back",
    "number_jump": "the unit left out more than a million numbers at once: its counter is broken, "
    "or somebody else sent them",
}


def explain(
    vehicle: str, rows: Sequence[Mapping[str, Any]], shared: Sequence[Mapping[str, Any]] = ()
) -> Delivery:
    """The ledger of a vehicle.

    Args:
        vehicle: its id.
        rows: of delivery.sql, newest boot first.
        shared: of shared_identities.sql.
    """
    boots: list[BootDelivery] = []
    gaps: list[Gap] = []
    newer: list[Mapping[str, Any]] = []
    for row in rows:
        boot, missing = _boot(row, may_still_send=_may_still_send(row, newer))
        boots.append(boot)
        gaps += missing
        newer.append(row)
    return Delivery(
        vehicle=vehicle,
        boots=boots,
        received=sum(_count(boot.received) for boot in boots),
        pending=sum(_count(boot.pending) for boot in boots),
        unexplained=sum(_count(boot.unexplained) for boot in boots),
        gaps=gaps,
        evicted=sum(_count(boot.evicted) for boot in boots),
        quarantined=sum(_count(boot.quarantined) for boot in boots),
        corrected=sum(_count(boot.corrected) for boot in boots),
        dead_lettered=sum(_count(boot.dead_lettered) for boot in boots),
        duplicates=sum(boot.duplicates for boot in boots),
        conflicts=sum(boot.conflicts for boot in boots),
        late=sum(boot.late for boot in boots),
        lateness=_lateness([row["lateness"] for row in rows]),
        flags=[*_used_twice(rows), *_shared(shared), *_jumps(gaps)],
    )


def _may_still_send(row: Mapping[str, Any], newer: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what is missing of this boot may be in the unit's spool.

    The spool outlives a boot, and old readings are sent after the link is back. Only when a newer boot
    has been arriving for a day after this one was last heard, something is wrong.
    """
    since: datetime = row["last_at"]
    return all(later["last_at"] - max(since, later["first_at"]) <= SEND_WINDOW for later in newer)


def _boot(row: Mapping[str, Any], *, may_still_send: bool) -> tuple[BootDelivery, list[Gap]]:
    received = ledger.from_multirange(row["received"])
    kinds: dict[str, Ranges] = {
        kind: ledger.from_multirange(row[kind]) for kind in ("evicted", "quarantined", "dead_lettered")
    }
    highest = max((ranges[-1][1] for ranges in (received, *kinds.values()) if ranges), default=0)
    left = ledger.gaps(received, max(row["claimed"], highest))
    reasons: dict[str, Ranges] = {}
    for kind, ranges in kinds.items():
        explained = ledger.intersect(left, ranges)
        reasons[kind] = explained
        left = ledger.subtract(left, explained)
    reasons["pending" if may_still_send else "unexplained"] = left
    boot = row["boot"].hex
    gaps = [
        Gap(boot, first, last, last - first + 1, reason, EXPLANATIONS[reason])
        for reason, ranges in reasons.items()
        for first, last in ranges
    ]
    gaps.sort(key=lambda gap: gap.first)
    return (
        BootDelivery(
            boot=boot,
            claimed=row["claimed"],
            received=ledger.to_wire(received),
            pending=ledger.to_wire(reasons.get("pending", ())),
            evicted=ledger.to_wire(kinds["evicted"]),
            quarantined=ledger.to_wire(kinds["quarantined"]),
            dead_lettered=ledger.to_wire(kinds["dead_lettered"]),
            unexplained=ledger.to_wire(reasons.get("unexplained", ())),
            duplicates=row["duplicates"],
            late=row["late"],
            max_late_s=row["max_late_s"],
            first_at=row["first_at"],
            last_at=row["last_at"],
            corrected=ledger.to_wire(ledger.from_multirange(row["corrected"])),
            conflicts=row["conflicts"],
            lateness=_lateness([row["lateness"]]),
            started_at=row["origin"],
            measured_from=row["measured_from"],
            measured_until=row["measured_until"],
        ),
        gaps,
    )


def _lateness(counts: Iterable[Sequence[int]]) -> list[Lateness]:
    bounds = (*ledger.LATENESS_S, None)
    totals = [sum(column) for column in zip(*counts, strict=True)] or [0] * len(bounds)
    return [Lateness(bound, total) for bound, total in zip(bounds, totals, strict=True)]


def _used_twice(rows: Sequence[Mapping[str, Any]]) -> list[Flag]:
    found = [row for row in rows if row["conflicts"]]
    return _flag(
        "number_used_twice",
        [row["boot"].hex for row in found],
        sum(row["conflicts"] for row in found),
        max((row["conflict_at"] for row in found), default=None),
    )


def _shared(pairs: Sequence[Mapping[str, Any]]) -> list[Flag]:
    boots = dict.fromkeys(row[key].hex for row in pairs for key in ("boot", "other_boot"))
    last = max((row["seen_at"] for row in pairs), default=None)
    return _flag("shared_identity", list(boots), len(pairs), last)


def _jumps(gaps: Sequence[Gap]) -> list[Flag]:
    found = [gap for gap in gaps if gap.reason in ("pending", "unexplained") and gap.count > JUMP]
    boots = dict.fromkeys(gap.boot for gap in found)
    return _flag("number_jump", list(boots), sum(gap.count for gap in found), None)


def _flag(kind: str, boots: list[str], count: int, last_at: datetime | None) -> list[Flag]:
    return [Flag(kind, boots, count, last_at, FLAGS[kind])] if boots else []


def _count(pairs: Sequence[Sequence[int]]) -> int:
    return sum(last - first + 1 for first, last in pairs)
