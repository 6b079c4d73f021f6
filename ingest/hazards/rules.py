"""What a report changes: a new hazard, an update, an end, or nothing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetcell.contract.hazards import Report


class Change(StrEnum):
    """What becomes of a report."""

    NEW = "new"
    UPDATE = "update"
    CANCELLED = "cancelled"
    NEGATED = "negated"
    REPEATED = "repeated"  # known already
    STALE = "stale"  # older than what is known
    UNKNOWN = "unknown"  # the end of something that nobody told
    FULL = "full"  # no room for another hazard


WRITTEN = frozenset({Change.NEW, Change.UPDATE, Change.CANCELLED, Change.NEGATED})


@dataclass(frozen=True, slots=True)
class Held:
    """The newest hazard of a station and sequence number, as it is stored.

    over: it was ended, or its time has passed.
    """

    id: int
    reference_ms: int
    over: bool


def fold(held: Held | None, report: Report) -> Change:
    """What this report means for what is held under its station and sequence number.

    Messages repeat, and they may come in any order: the later reference time holds. A hazard that is over
    stays so, whatever comes again; a later message under its name is another hazard.
    """
    if held is None or (held.over and report.reference_ms > held.reference_ms):
        return Change.UNKNOWN if report.ending is not None else Change.NEW
    if held.over or report.reference_ms < held.reference_ms:
        return Change.STALE
    if report.ending is not None:  # of the same time too: repetitions keep the reference time
        return Change(report.ending.value)
    return Change.REPEATED if report.reference_ms == held.reference_ms else Change.UPDATE
