"""The common case of a batch, for all boots at once by numpy: new numbers, and clocks that agree. Pure.

The messages of a boot together are a *run* where their numbers rise, they carry nothing but readings, and
each reading's own clock would be believed. The database adds a run to its ledger row by itself, if none of
the numbers is there yet and the origin that the row holds agrees too (`ingest/sql/extend_ledgers.sql`).
Everything else is for `settle`, which would come to the same outcome for a run.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fleetcell.contract.ledger import LATENESS_S, to_multirange
from ingest.clock import MOST_UP_MS, OLDEST_US
from ingest.quality import EARLIEST_US, FUTURE_US, LATE_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.decode import Upload

Column = list[Any]  # parallel to the groups
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LATENESS_US: Final = np.array([round(bound * 1_000_000) for bound in LATENESS_S])
_CLASSES: Final = len(LATENESS_S) + 1


@dataclass(frozen=True, slots=True)
class Runs:
    """By group: whether it is a run, and what is added to its ledger row. Times are µs since 1970.

    numbers (None: no run), lateness: as PostgreSQL reads them. own_us: the earliest origin that the messages
    tell. low_us, high_us: between these an origin agrees with the clocks. None: not known.
    frame: the readings of all groups, where all are runs.
    """

    numbers: Column
    last: Column
    lateness: Column
    max_late_us: Column
    own_us: Column
    low_us: Column
    high_us: Column
    from_us: Column
    until_us: Column
    first_us: Column
    last_us: Column
    frame: Frame | None = field(default=None, compare=False, kw_only=True)


_COLUMNS: Final = len(fields(Runs)) - 1


@dataclass(frozen=True, slots=True)
class Frame:
    """Uploads side by side: their number of readings, and of each reading number, time and arrival."""

    uploads: list[Upload]
    counts: Ints
    seqs: Ints
    times_us: Ints
    received_us: Ints

    @classmethod
    def of(cls, uploads: list[Upload]) -> Frame:
        """Readings in the order of the uploads, with the times of the units' clocks."""
        counts = _ints([len(upload.seqs) for upload in uploads])
        return cls(
            uploads,
            counts,
            _joined([upload.seqs for upload in uploads]),
            _joined([upload.times_us for upload in uploads]),
            np.repeat(_ints([upload.received_us for upload in uploads]), counts),
        )


def runs(groups: Sequence[Sequence[Upload]]) -> Runs:
    """Of uploads by boot, each group in the order it came."""
    places = [place for place, uploads in enumerate(groups) if all(map(_only_readings, uploads))]
    if not places:
        nothing: Column = [None] * len(groups)
        return Runs(*(nothing for _ in range(_COLUMNS)))
    frame = Frame.of(list(chain.from_iterable([groups[place] for place in places])))
    uploads = _ints([len(groups[place]) for place in places])
    first_upload = np.cumsum(uploads) - uploads
    readings = np.add.reduceat(frame.counts, first_upload)
    start = np.cumsum(readings) - readings  # of each group, its first reading

    breaks, rising = np.ones((2, len(frame.seqs)), dtype=np.bool_)
    steps = np.diff(frame.seqs)
    breaks[1:], rising[1:] = steps != 1, steps > 0
    breaks[start] = rising[start] = True
    late = frame.received_us - frame.times_us
    plausible = (frame.times_us >= EARLIEST_US) & (late <= OLDEST_US) & (late >= -FUTURE_US)
    (own, own_latest), (earliest, latest) = _origins(frame, first_upload, start)
    low, high = latest - FUTURE_US, earliest + FUTURE_US
    agree = ~((own < low) | (own_latest > high))  # also where one of them is not known
    good = np.logical_and.reduceat(rising & plausible, start) & agree

    classes = np.repeat(np.arange(len(places)) * _CLASSES, readings) + np.searchsorted(_LATENESS_US, late)
    lateness = np.bincount(classes, minlength=len(places) * _CLASSES).reshape(-1, _CLASSES)
    latest_by = np.maximum.reduceat(late, start)
    numbers = zip(_numbers(frame.seqs, breaks, start), good.tolist(), strict=True)
    columns: list[Column] = [
        [one if is_run else None for one, is_run in numbers],
        frame.seqs[start + readings - 1].tolist(),
        [_array(tuple(counts)) for counts in lateness.tolist()],
        np.where(latest_by > LATE_US, latest_by, 0).tolist(),
        _known(own),
        _known(low),
        _known(high),
        np.minimum.reduceat(frame.times_us, start).tolist(),
        np.maximum.reduceat(frame.times_us, start).tolist(),
        np.minimum.reduceat(frame.received_us, start).tolist(),
        np.maximum.reduceat(frame.received_us, start).tolist(),
    ]
    return Runs(
        *(_spread(column, places, len(groups)) for column in columns),
        frame=frame if len(places) == len(groups) and good.all() else None,
    )


def _only_readings(upload: Upload) -> bool:
    return bool(upload.seqs) and not (upload.events or upload.bad or upload.evicted)


def _origins(frame: Frame, first_upload: Ints, start: Ints) -> tuple[tuple[Floats, Floats], ...]:
    """By group the least and the greatest origin by its messages, and by its readings. NaN: not known."""
    sent = np.array([upload.sent_ms for upload in frame.uploads], dtype=np.float64)
    sent[sent > MOST_UP_MS] = np.nan
    own = np.array([upload.received_us for upload in frame.uploads], dtype=np.float64) - sent * 1000
    implied = frame.times_us - _ups(frame) * 1000
    return tuple(
        (np.fmin.reduceat(origins, first), np.fmax.reduceat(origins, first))
        for origins, first in ((own, first_upload), (implied, start))
    )


def _numbers(seqs: Ints, breaks: Bools, start: Ints) -> list[str]:
    """By group, its numbers as a multirange."""
    begins = np.flatnonzero(breaks)
    ends = np.append(begins[1:], len(seqs)) - 1
    ranges = list(zip(seqs[begins].tolist(), seqs[ends].tolist(), strict=True))
    if len(ranges) == len(start):
        return [f"{{[{first},{last + 1})}}" for first, last in ranges]
    cuts = [*np.searchsorted(begins, start).tolist(), len(ranges)]
    return [to_multirange(tuple(ranges[a:b])) for a, b in pairwise(cuts)]


@lru_cache(maxsize=4096)
def _array(counts: tuple[int, ...]) -> str:
    return "{" + ",".join(map(str, counts)) + "}"


def _known(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN


def _spread(values: Column, places: list[int], size: int) -> Column:
    if len(places) == size:
        return values
    spread: Column = [None] * size
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return spread


def _ups(frame: Frame) -> Ints | Floats:
    """The uptime of each reading, ms; NaN: not known."""
    ups = [upload.ups_ms for upload in frame.uploads]
    if all(map(len, ups)):
        try:
            return _joined(ups)
        except TypeError:  # some are not known
            pass
    spread = [one or [None] * len(upload.seqs) for one, upload in zip(ups, frame.uploads, strict=True)]
    return np.array(list(chain.from_iterable(spread)), dtype=np.float64)


def _joined(parts: Sequence[Sequence[int | None]]) -> Ints:
    """All of them, mostly arrays; TypeError: there is a None."""
    if all(isinstance(part, array) for part in parts):
        return np.frombuffer(b"".join(parts), dtype=np.int64)  # type: ignore[arg-type] # arrays
    return np.array(list(chain.from_iterable(parts)), dtype=np.int64)


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
