"""Which buckets a batch of readings makes dirty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.derive.rules import BUCKET_US

if TYPE_CHECKING:
    import numpy.typing as npt

Marks = tuple[list[int], list[int]]  # vehicle ids, bucket numbers since 1970; parallel, sorted


def touched(
    vehicle_ids: npt.ArrayLike, times_us: npt.NDArray[np.int64], left_out: npt.NDArray[np.bool_]
) -> Marks:
    """The (vehicle, bucket) pairs of readings, each once.

    Args:
        vehicle_ids: one a reading.
        times_us: when they were measured, µs since 1970.
        left_out: readings whose clock is not believed; nothing is derived from them.
    """
    pairs = np.unique(((np.array(vehicle_ids, dtype=np.int64) << 32) + times_us // BUCKET_US)[~left_out])
    return (pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist()
