"""What a batch means for one row of the delivery ledger: which numbers are new, and what is settled now.

Pure: the row is given as it stood under its lock, and given back as it has to be written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from fleetcell.contract.ledger import EMPTY, Ranges, from_numbers, settled_up_to, subtract, union
from fleetcell.contract.messages import Ack
from ingest.quality import EARLIEST_US, FUTURE_US, LATE_US

if TYPE_CHECKING:
    from ingest.decode import StoredEvent, Upload

MAX_ALSO: Final = 256  # ranges in one ack; what is left out is said when it is asked for again


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The sets of one (vehicle, boot). `quarantined` is part of `received`; the others are apart."""

    received: Ranges = EMPTY
    evicted: Ranges = EMPTY
    quarantined: Ranges = EMPTY
    dead: Ranges = EMPTY

    @property
    def settled(self) -> Ranges:
        """What the unit need not keep."""
        return union(union(self.received, self.dead), self.evicted)


class Fresh(NamedTuple):
    """The readings of an upload that are new: all of them, or those at `positions`."""

    upload: Upload
    positions: list[int] | None


@dataclass(slots=True)
class Settlement:
    """The outcome for one row: the sets to write, what to add to the counters, and what to store."""

    row: LedgerRow
    claimed: int = 0
    duplicates: int = 0
    late: int = 0
    max_late_us: int = 0
    fresh: list[Fresh] = field(default_factory=list)
    events: list[tuple[Upload, StoredEvent]] = field(default_factory=list)


def settle(held: LedgerRow, uploads: list[Upload]) -> Settlement:
    """Take the uploads of one (vehicle, boot) in the order they came; the first of equal numbers counts."""
    outcome = Settlement(held)
    received, quarantined = held.received, held.quarantined
    dead: list[int] = []
    evicted = held.evicted
    for upload in uploads:
        new, positions = _new(upload.seqs, received)
        received = union(received, new)
        if new:
            outcome.fresh.append(Fresh(upload, positions))
            quarantined = union(quarantined, _quarantined(upload, positions))
            _count_late(outcome, upload, positions)
        stored = len(upload.seqs) if positions is None else len(positions)
        outcome.duplicates += len(upload.seqs) - stored
        for event in upload.events:
            added, _ = _new([event.seq], received)
            if not added:
                outcome.duplicates += 1
                continue
            received = union(received, added)
            outcome.events.append((upload, event))
            if _wrong(event.time_us, upload.received_us):
                quarantined = union(quarantined, added)
        dead.extend(bad.seq for bad in upload.bad if bad.seq is not None)
        evicted = union(evicted, upload.evicted)
    letters = subtract(union(held.dead, from_numbers(dead)), received)
    outcome.row = LedgerRow(received, subtract(subtract(evicted, received), letters), quarantined, letters)
    outcome.claimed = max((ranges[-1][1] for ranges in (received, letters, evicted) if ranges), default=0)
    return outcome


def ack(boot: str, row: LedgerRow, uploads: list[Upload]) -> Ack:
    """What the units hears: everything settled, and at least its own numbers of these uploads."""
    settled = row.settled
    up_to = settled_up_to(settled)
    also = settled[1:] if up_to else settled
    if len(also) > MAX_ALSO:
        asked = from_numbers(
            seq
            for upload in uploads
            for seq in (*upload.seqs, *(e.seq for e in upload.events), *(b.seq for b in upload.bad if b.seq))
        )
        also = subtract(asked, ((1, up_to),) if up_to else EMPTY)[:MAX_ALSO]
    return Ack(boot, up_to, list(also) or None)


def _new(seqs: list[int], received: Ranges) -> tuple[Ranges, list[int] | None]:
    """The numbers not received yet, and where they are (None: everywhere)."""
    if not seqs:
        return EMPTY, None
    first, last = seqs[0], seqs[-1]
    if last - first + 1 == len(seqs) and seqs == list(range(first, last + 1)):
        run: Ranges = ((first, last),)
        new = subtract(run, received)
        if new == run:
            return new, None
    else:
        new = subtract(from_numbers(seqs), received)
    wanted = {seq for first, last in new for seq in range(first, last + 1)}
    positions: list[int] = []
    for position, seq in enumerate(seqs):
        if seq in wanted:
            wanted.remove(seq)  # a number given twice in one message counts once
            positions.append(position)
    return new, positions


def _wrong(time_us: int, received_us: int) -> bool:
    return time_us < EARLIEST_US or time_us > received_us + FUTURE_US


def _quarantined(upload: Upload, positions: list[int] | None) -> Ranges:
    times = upload.times_us
    if not (_wrong(min(times), upload.received_us) or _wrong(max(times), upload.received_us)):
        return EMPTY
    chosen = range(len(times)) if positions is None else positions
    return from_numbers(upload.seqs[i] for i in chosen if _wrong(times[i], upload.received_us))


def _count_late(outcome: Settlement, upload: Upload, positions: list[int] | None) -> None:
    times = upload.times_us
    if upload.received_us - min(times) <= LATE_US:
        return
    for i in range(len(times)) if positions is None else positions:
        lateness = upload.received_us - times[i]
        if lateness > LATE_US and times[i] >= EARLIEST_US:
            outcome.late += 1
            outcome.max_late_us = max(outcome.max_late_us, lateness)
