"""What became of each reading that was made: the truth of a boot against what the platform holds. Pure.

Rows are counted, whatever the ledger says; then the ledger is compared with the rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges
from vehicle_sim.truth.records import BLOCK, Boot, add, block_of, checksum


class Stored(msgspec.Struct, frozen=True):
    """The rows of one boot.

    numbers: those that have a row at least. copies: rows beyond the first of a number. sums: the checksums of
    the blocks that can be compared.
    """

    numbers: Ranges = EMPTY
    copies: int = 0
    sums: dict[int, int] = {}


class Rows:
    """The rows of one boot as they are read, one by one."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._sums: defaultdict[int, int] = defaultdict(int)
        self._noted: set[int] = set()  # blocks with a row that the platform has marked

    def add(self, seq: int, time_ms: int, lat: float | None, lon: float | None, *, noted: bool) -> None:
        """One row; `noted`: the platform stored something else than it was told, and says so."""
        self._times[seq] += 1
        if noted:
            self._noted.add(block_of(seq))
        if self._times[seq] == 1:
            self._sums[block_of(seq)] = add(self._sums[block_of(seq)], checksum(seq, time_ms, lat, lon))

    def add_event(self, seq: int) -> None:
        """A row of an event."""
        self._times[seq] += 1

    def stored(self) -> Stored:
        """What they come to; much smaller than the rows."""
        return Stored(
            ledger.from_numbers(self._times),
            self._times.total() - len(self._times),
            {block: total for block, total in self._sums.items() if block not in self._noted},
        )


class Ledger(msgspec.Struct, frozen=True):
    """What the platform's ledger says of one boot; `again`: arrivals of a number that it had already."""

    received: Ranges = EMPTY
    evicted: Ranges = EMPTY
    quarantined: Ranges = EMPTY
    dead_lettered: Ranges = EMPTY
    unexplained: Ranges = EMPTY
    again: int = 0


class Account(msgspec.Struct, frozen=True):
    """Readings and events by what became of them. The first line adds up: made = stored + ... + lost.

    duplicates: rows beyond the first of a reading. quarantined: of those stored, with a clock that could
    not be right. lost: neither stored nor anywhere else. invented: rows of a number that was never used.
    contradicted: the ledger says otherwise than the rows, or than what really happened. altered: stored in
    a block of 100 whose times and positions are not those that were made; compared: in blocks that are
    whole. arrived_again: sent more than once, and stored once.
    """

    made: int = 0
    stored: int = 0
    evicted: int = 0
    dead_lettered: int = 0
    torn: int = 0
    pending: int = 0
    lost: int = 0
    events: int = 0
    duplicates: int = 0
    quarantined: int = 0
    invented: int = 0
    contradicted: int = 0
    altered: int = 0
    compared: int = 0
    arrived_again: int = 0

    @property
    def unexplained(self) -> int:
        """What nothing explains; the target is 0."""
        return self.lost + self.contradicted + self.invented

    def __add__(self, other: Account) -> Account:
        return Account(
            *(
                a + b
                for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
            )
        )


def account(boot: Boot, rows: Stored, held: Ledger, *, complete: bool = True) -> Account:
    """Compare one boot. Where the record is not complete, later numbers may well have been made."""
    used: Ranges = ((1, boot.last_seq),) if boot.last_seq else EMPTY
    found = rows.numbers
    stored = ledger.intersect(used, found)
    left = ledger.subtract(used, found)
    parts = {}
    for name in ("evicted", "rejected", "torn", "pending"):
        parts[name] = ledger.intersect(left, getattr(boot, name))
        left = ledger.subtract(left, parts[name])
    lost = left
    blocks = _whole_blocks(boot, stored)
    compared = {block: total for block, total in blocks.items() if block in rows.sums}
    return Account(
        made=ledger.count(used),
        stored=ledger.count(stored),
        evicted=ledger.count(parts["evicted"]),
        dead_lettered=ledger.count(parts["rejected"]),
        torn=ledger.count(parts["torn"]),
        pending=ledger.count(parts["pending"]),
        lost=ledger.count(lost),
        events=ledger.count(ledger.intersect(used, boot.events)),
        duplicates=rows.copies,
        quarantined=ledger.count(ledger.intersect(stored, held.quarantined)),
        invented=ledger.count(ledger.subtract(found, used)) if complete else 0,
        contradicted=ledger.count(ledger.subtract(_contradicted(boot, used, found, held), lost)),
        altered=sum(_size(boot, block) for block, total in compared.items() if rows.sums[block] != total),
        compared=sum(_size(boot, block) for block in compared),
        arrived_again=held.again,
    )


def _contradicted(boot: Boot, used: Ranges, found: Ranges, held: Ledger) -> Ranges:
    """The numbers that the ledger tells another story of."""
    stored = ledger.intersect(used, found)
    believed = ledger.intersect(used, ledger.union(held.received, held.quarantined))
    given_up = ledger.subtract(
        ledger.intersect(used, ledger.union(boot.evicted, boot.rejected)),
        ledger.union(found, boot.undeclared),
    )
    told = ledger.union(held.evicted, held.dead_lettered)
    wrong = ledger.union(ledger.subtract(stored, believed), ledger.subtract(believed, stored))
    wrong = ledger.union(wrong, ledger.subtract(given_up, told))
    # What the power took may have been announced by a claim; the ledger then waits for it in vain.
    unexplained = ledger.subtract(ledger.intersect(used, held.unexplained), boot.torn)
    return ledger.union(wrong, unexplained)


def _whole_blocks(boot: Boot, stored: Ranges) -> dict[int, int]:
    """The checksums of the blocks that are stored whole."""
    missing = ledger.subtract(((1, boot.last_seq),), stored) if boot.last_seq else EMPTY
    broken = {block for first, last in missing for block in range(block_of(first), block_of(last) + 1)}
    return {block: total for block, total in enumerate(boot.sums) if block not in broken}


def _size(boot: Boot, block: int) -> int:
    """The readings of a block."""
    first, last = block * BLOCK + 1, min((block + 1) * BLOCK, boot.last_seq)
    return last - first + 1 - ledger.count(ledger.intersect(boot.events, ((first, last),)))
