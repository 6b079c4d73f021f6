"""The readings of one vehicle side by side, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping

Floats = npt.NDArray[np.float64]

PG_EPOCH_US: Final = 946_684_800_000_000  # 2000-01-01, from where PostgreSQL counts
COLUMNS: Final = ("lat", "lon", "acc", "speed", "ignition", "soc", "fuel")


@dataclass(frozen=True, slots=True)
class Track:
    """Readings in the order of (time, boot, seq); NaN where a reading does not have the signal.

    Units: µs since 1970, degrees, m, km/h, ignition 0 or 1, soc and fuel in %.
    """

    times_us: npt.NDArray[np.int64]
    lat: Floats
    lon: Floats
    acc: Floats
    speed: Floats
    ignition: Floats
    soc: Floats
    fuel: Floats

    def __len__(self) -> int:
        return len(self.times_us)

    @classmethod
    def of_wire(cls, columns: Mapping[str, bytes]) -> Track:
        """Of columns in PostgreSQL's binary format: `times` as timestamptz, the others as float8."""
        times = np.frombuffer(columns["times"], dtype=">i8").astype(np.int64) + PG_EPOCH_US
        return cls(times, *(np.frombuffer(columns[name], dtype=">f8").astype(float) for name in COLUMNS))
