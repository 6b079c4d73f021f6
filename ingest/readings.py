"""The new readings of a batch side by side, checked, and as COPY bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ingest import binary_copy
from ingest.columns import HOT_COLUMNS, Signals, check, check_shaped, extras, hot_columns
from ingest.quality import Quality
from ingest.shapes import Reading, Shaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.decode import Upload
    from ingest.runs import Frame
    from ingest.settle import Fresh

COPY_COLUMNS: Final = ("time", "vehicle_id", "boot", "seq", *HOT_COLUMNS, "extra", "received_at", "quality")


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings by column; times are in µs since 1970.

    times_us: what is believed, or the time of arrival where `quarantined`. device_us: by row, what the unit's
    clock said where it was wrong.
    """

    vehicle_ids: npt.NDArray[np.int64]
    boots: npt.NDArray[np.void]  # 16 bytes each
    seqs: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    received_us: npt.NDArray[np.int64]
    quarantined: npt.NDArray[np.bool_]
    device_us: dict[int, int]
    signals: Signals

    def __len__(self) -> int:
        return len(self.vehicle_ids)

    def copy_bytes(self) -> bytes:
        """The COPY stream for COPY_COLUMNS."""
        rows = len(self)
        quality = np.where(self.quarantined, Quality.CLOCK.value, 0)
        if self.device_us:
            wrong = list(self.device_us)
            quality[wrong] = np.where(self.quarantined[wrong], Quality.CLOCK.value, Quality.CORRECTED.value)
        if self.signals.problems:
            quality[list(self.signals.problems)] |= Quality.SIGNAL.value
        columns: list[binary_copy.Column] = [
            binary_copy.timestamptz(self.times_us),
            binary_copy.int4(self.vehicle_ids),
            binary_copy.Fixed(self.boots),
            binary_copy.int8(self.seqs),
            *hot_columns(self.signals),
            binary_copy.jsonb(extras(self.signals, self.device_us)),
            binary_copy.timestamptz(self.received_us),
            binary_copy.int2(quality),
        ]
        return binary_copy.encode(columns, rows)


def whole(frame: Frame, vehicle_ids: Sequence[int]) -> Readings:
    """All readings of uploads, each upload with its vehicle id, where every clock is right."""
    return Readings(
        np.repeat(np.array(vehicle_ids, dtype=np.int64), frame.counts),
        np.repeat(_boots([upload.boot for upload in frame.uploads]), frame.counts),
        frame.seqs,
        frame.times_us,
        frame.received_us,
        np.zeros(len(frame.seqs), dtype=np.bool_),
        {},
        _signals(frame.uploads),
    )


def _signals(uploads: Sequence[Upload]) -> Signals:
    """The checked signals of the readings of all uploads."""
    parts = [upload.signals for upload in uploads]
    shaped = [part for part in parts if isinstance(part, Shaped)]
    if shaped and len(shaped) == len(parts) and len({id(part.shape) for part in shaped}) == 1:
        return check_shaped(Shaped.joined(shaped))
    return check(list(chain.from_iterable(parts)))


def gather(fresh: Iterable[tuple[int, Fresh]]) -> Readings:
    """Put the new readings of all uploads, each with its vehicle id, side by side and check their signals."""
    vehicle_ids: list[int] = []
    boots: list[str] = []
    seqs: list[int] = []
    times: list[int] = []
    received: list[int] = []
    signals: list[Reading] = []
    quarantined: list[int] = []
    device_us: dict[int, int] = {}
    for vehicle_id, (upload, positions, dated) in fresh:
        start = len(seqs)
        if positions is None:
            seqs += upload.seqs
            times += dated.times_us
            signals += upload.signals
        else:
            seqs += [upload.seqs[i] for i in positions]
            times += [dated.times_us[i] for i in positions]
            carried = list(upload.signals)
            signals += [carried[i] for i in positions]
        if dated.times_us is not upload.times_us:
            rows = _rows(start, len(upload.seqs), positions)
            quarantined += [rows[i] for i in dated.quarantined if i in rows]
            device_us |= {
                rows[i]: upload.times_us[i] for i in (*dated.quarantined, *dated.corrected) if i in rows
            }
        added = len(seqs) - start
        vehicle_ids += [vehicle_id] * added
        boots += [upload.boot] * added
        received += [upload.received_us] * added
    left_out = np.zeros(len(seqs), dtype=np.bool_)
    left_out[quarantined] = True
    return Readings(
        np.array(vehicle_ids, dtype=np.int64),
        _boots(boots),
        np.array(seqs, dtype=np.int64),
        np.array(times, dtype=np.int64),
        np.array(received, dtype=np.int64),
        left_out,
        device_us,
        check(signals),
    )


def _boots(boots: list[str]) -> npt.NDArray[np.void]:
    return np.frombuffer(bytes.fromhex("".join(boots)), dtype="V16")


def _rows(start: int, count: int, positions: Sequence[int] | None) -> dict[int, int]:
    """By position in the upload, the row that it became."""
    return {i: start + n for n, i in enumerate(range(count) if positions is None else positions)}
