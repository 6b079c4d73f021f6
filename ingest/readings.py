"""The new readings of a batch side by side, checked, and as COPY bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ingest import binary_copy
from ingest.columns import HOT_COLUMNS, Signals, check, extras, hot_columns
from ingest.quality import Quality, wrong_clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.settle import Fresh

COPY_COLUMNS: Final = ("time", "vehicle_id", "boot", "seq", *HOT_COLUMNS, "extra", "received_at", "quality")


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings by column; times are in µs since 1970."""

    vehicle_ids: list[int]
    boots: list[bytes]
    seqs: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    received_us: npt.NDArray[np.int64]
    quarantined: npt.NDArray[np.bool_]
    signals: Signals

    def __len__(self) -> int:
        return len(self.vehicle_ids)

    def copy_bytes(self) -> bytes:
        """The COPY stream for COPY_COLUMNS."""
        rows = len(self)
        wrong = np.flatnonzero(self.quarantined).tolist()
        quality = np.where(self.quarantined, Quality.CLOCK.value, 0)
        if self.signals.problems:
            quality[list(self.signals.problems)] |= Quality.SIGNAL.value
        columns: list[binary_copy.Column] = [
            binary_copy.timestamptz(np.where(self.quarantined, self.received_us, self.times_us)),
            binary_copy.int4(self.vehicle_ids),
            binary_copy.uuids(self.boots),
            binary_copy.int8(self.seqs),
            *hot_columns(self.signals),
            binary_copy.jsonb(extras(self.signals, {row: int(self.times_us[row]) for row in wrong})),
            binary_copy.timestamptz(self.received_us),
            binary_copy.int2(quality),
        ]
        return binary_copy.encode(columns, rows)


def gather(fresh: Iterable[tuple[int, Fresh]]) -> Readings:
    """Put the new readings of all uploads, each with its vehicle id, side by side and check their signals."""
    vehicle_ids: list[int] = []
    boots: list[bytes] = []
    seqs: list[int] = []
    times: list[int] = []
    received: list[int] = []
    signals: list[dict[str, Any]] = []
    for vehicle_id, (upload, positions) in fresh:
        if positions is None:
            seqs += upload.seqs
            times += upload.times_us
            signals += upload.signals
        else:
            seqs += [upload.seqs[i] for i in positions]
            times += [upload.times_us[i] for i in positions]
            signals += [upload.signals[i] for i in positions]
        added = len(seqs) - len(vehicle_ids)
        vehicle_ids += [vehicle_id] * added
        boots += [bytes.fromhex(upload.boot)] * added
        received += [upload.received_us] * added
    times_us, received_us = np.array(times, dtype=np.int64), np.array(received, dtype=np.int64)
    return Readings(
        vehicle_ids,
        boots,
        np.array(seqs, dtype=np.int64),
        times_us,
        received_us,
        wrong_clock(times_us, received_us),
        check(signals),
    )
