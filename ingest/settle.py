"""What a batch means for one row of the delivery ledger: which numbers are new, and what is settled now.

Pure: the row is given as it stood under its lock, and given back as it has to be written.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fleetcell.contract.ledger import (
    EMPTY,
    LATENESS_S,
    Ranges,
    contains,
    from_numbers,
    settled_up_to,
    subtract,
    union,
)
from fleetcell.contract.messages import Ack
from ingest.clock import Dated, date, earliest, origin_of
from ingest.quality import LATE_US, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.decode import StoredEvent, Upload

MAX_ALSO: Final = 256  # ranges in one ack; what is left out is said when it is asked for again
_LATENESS_US: Final = tuple(round(bound * 1_000_000) for bound in LATENESS_S)
_NEVER_US: Final = 2**63  # later than any time


class LedgerRow(msgspec.Struct, frozen=True):
    """The sets of one (vehicle, boot).

    `quarantined` and `corrected` are part of `received`; the others are apart.
    origin_us: when the unit's uptime was 0, as far as is known; µs since 1970, as everywhere here.
    """

    received: Ranges = EMPTY
    evicted: Ranges = EMPTY
    quarantined: Ranges = EMPTY
    dead: Ranges = EMPTY
    corrected: Ranges = EMPTY
    origin_us: int | None = None

    @property
    def settled(self) -> Ranges:
        """What the unit need not keep."""
        return union(union(self.received, self.dead), self.evicted)


class Fresh(NamedTuple):
    """Readings of an upload, with their times: all of them, or those at `positions`."""

    upload: Upload
    positions: Sequence[int] | None
    dated: Dated


class FreshEvent(NamedTuple):
    """An event that is new, its time, and whether its clock was believed."""

    upload: Upload
    event: StoredEvent
    time_us: int
    quality: Quality


@dataclass(slots=True)
class Settlement:
    """The outcome for one row: the sets to write, what to add to the counters, and what to store.

    lateness: how many readings and events arrived within each of LATENESS_S of being measured, and later.
    measured_us: the first and the last time of what is new, without those that are quarantined.
    repeated, repeated_events: duplicates with a believed clock, to be compared with what is stored.
    """

    row: LedgerRow
    claimed: int = 0
    duplicates: int = 0
    max_late_us: int = 0
    lateness: list[int] = field(default_factory=lambda: [0] * (len(LATENESS_S) + 1))
    measured_us: tuple[int, int] | None = None
    fresh: list[Fresh] = field(default_factory=list)
    events: list[FreshEvent] = field(default_factory=list)
    repeated: list[Fresh] = field(default_factory=list)
    repeated_events: list[FreshEvent] = field(default_factory=list)


def dated(upload: Upload, held_us: int | None) -> Dated:
    """The readings of an upload with their times; `held_us`: the origin that the ledger holds."""
    origin = held_us
    if upload.sent_ms is not None:
        origin = origin_of(held_us, upload.received_us, upload.sent_ms)
    return date(upload.times_us, upload.ups_ms, upload.received_us, origin)


def settle(held: LedgerRow, uploads: list[Upload]) -> Settlement:
    """Take the uploads of one (vehicle, boot) in the order they came; the first of equal numbers counts."""
    return _Settling(held).take(uploads)


class _Settling:
    """The sets of a row while uploads are taken."""

    def __init__(self, held: LedgerRow) -> None:
        self._held = held
        self._received, self._evicted = held.received, held.evicted
        self._quarantined, self._corrected = held.quarantined, held.corrected
        self._dead: list[int] = []
        self._origin = held.origin_us
        self._first, self._last = _NEVER_US, -_NEVER_US
        self._outcome = Settlement(held)
        self._lateness = self._outcome.lateness

    def take(self, uploads: list[Upload]) -> Settlement:
        for upload in uploads:
            if upload.seqs:
                self._take_readings(upload)
            for event in upload.events:
                self._take_event(upload, event)
            if upload.bad:
                self._dead.extend(bad.seq for bad in upload.bad if bad.seq is not None)
            if upload.evicted:
                self._evicted = union(self._evicted, upload.evicted)
            if upload.sent_ms is not None:
                self._origin = earliest(self._origin, upload.received_us, upload.sent_ms)
        received, outcome = self._received, self._outcome
        if self._first <= self._last:
            outcome.measured_us = self._first, self._last
        dead = union(self._held.dead, from_numbers(self._dead)) if self._dead else self._held.dead
        letters = subtract(dead, received)
        outcome.row = LedgerRow(
            received,
            subtract(subtract(self._evicted, received), letters),
            self._quarantined,
            letters,
            self._corrected,
            self._origin,
        )
        outcome.claimed = max(
            (ranges[-1][1] for ranges in (received, letters, outcome.row.evicted) if ranges), default=0
        )
        return outcome

    def _take_readings(self, upload: Upload) -> None:
        found = dated(upload, self._origin)
        new, positions = _new(upload.seqs, self._received)
        if positions is not None:
            self._repeat(upload, found, positions)
        if not new:
            return
        self._received = union(self._received, new)
        self._outcome.fresh.append(Fresh(upload, positions, found))
        times = found.times_us
        if found.quarantined or found.corrected:
            chosen = set(range(len(times)) if positions is None else positions)
            quarantined = [position for position in found.quarantined if position in chosen]
            corrected = [position for position in found.corrected if position in chosen]
            self._quarantined = union(self._quarantined, from_numbers(upload.seqs[i] for i in quarantined))
            self._corrected = union(self._corrected, from_numbers(upload.seqs[i] for i in corrected))
            times = [times[i] for i in sorted(chosen.difference(quarantined))]
        elif positions is not None:
            times = [times[i] for i in positions]
        self._measured(times, upload.received_us)

    def _repeat(self, upload: Upload, found: Dated, fresh: list[int]) -> None:
        """Of what is not new, keep what can be compared: not where another clock may be believed now."""
        known = set(fresh)
        repeated = [position for position in range(len(upload.seqs)) if position not in known]
        self._outcome.duplicates += len(repeated)
        wrong = {*found.quarantined, *found.corrected}
        compared = [i for i in repeated if i not in wrong and not self._redated(upload.seqs[i])]
        if compared:
            self._outcome.repeated.append(Fresh(upload, compared, found))

    def _take_event(self, upload: Upload, event: StoredEvent) -> None:
        origin = origin_of(self._origin, upload.received_us, upload.sent_ms)
        found = date([event.time_us], [event.up_ms], upload.received_us, origin)
        quality = Quality.CLOCK if found.quarantined else Quality.GOOD
        quality = Quality.CORRECTED if found.corrected else quality
        fresh = FreshEvent(upload, event, found.times_us[0], quality)
        added, _ = _new([event.seq], self._received)
        if not added:
            self._outcome.duplicates += 1
            if quality is Quality.GOOD and not self._redated(event.seq):
                self._outcome.repeated_events.append(fresh)
            return
        self._received = union(self._received, added)
        self._outcome.events.append(fresh)
        if quality is Quality.CLOCK:
            self._quarantined = union(self._quarantined, added)
            return
        if quality is Quality.CORRECTED:
            self._corrected = union(self._corrected, added)
        self._measured(found.times_us, upload.received_us)

    def _redated(self, seq: int) -> bool:
        return contains(self._quarantined, seq) or contains(self._corrected, seq)

    def _measured(self, times: Sequence[int], received_us: int) -> None:
        """Count how late these are, and note when they were measured."""
        if not times:
            return
        first, last = (times[0], times[0]) if len(times) == 1 else (min(times), max(times))
        self._first, self._last = min(self._first, first), max(self._last, last)
        latest, soonest = received_us - first, received_us - last
        if latest <= _LATENESS_US[0]:
            self._lateness[0] += len(times)
            return
        place = bisect_left(_LATENESS_US, latest)
        if place == bisect_left(_LATENESS_US, soonest):
            self._lateness[place] += len(times)
        else:
            for moment in times:
                self._lateness[bisect_left(_LATENESS_US, received_us - moment)] += 1
        if latest > LATE_US:
            self._outcome.max_late_us = max(self._outcome.max_late_us, latest)


def ack(boot: str, settled: Ranges, uploads: list[Upload]) -> Ack:
    """What the unit hears: everything settled, and at least its own numbers of these uploads."""
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


def _new(seqs: Sequence[int], received: Ranges) -> tuple[Ranges, list[int] | None]:
    """The numbers not received yet, and where they are (None: everywhere)."""
    if not seqs:
        return EMPTY, None
    first, last = seqs[0], seqs[-1]
    if len(seqs) == 1 or (last - first + 1 == len(seqs) and list(seqs) == list(range(first, last + 1))):
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
