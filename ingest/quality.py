"""What a reading's `quality` says, and which clocks are believed.

A reading whose clock cannot be right is kept, dated by its arrival, and never becomes "latest": its own time
goes to `extra` under `$device_time_ms`. Keys with a `$` cannot collide with a signal's wire key.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EARLIEST_US: Final = 1_262_304_000_000_000  # 2010-01-01: no vehicle unit of this protocol is older
FUTURE_US: Final = 5 * 60 * 1_000_000  # a clock this far ahead of ours is wrong
LATE_US: Final = 60 * 1_000_000  # a reading that arrives this long after it was measured counts as late

DEVICE_TIME_KEY: Final = "$device_time_ms"
REFUSED_KEY: Final = "$refused"


class Quality(IntFlag):
    """The bits of `telemetry.quality`; 0 is a reading without a fault."""

    GOOD = 0
    CLOCK = 1  # quarantined: `time` is the time of arrival, `extra.$device_time_ms` the unit's
    SIGNAL = 2  # some values were refused, see `extra.$refused`


def wrong_clock(time_us: npt.NDArray[np.int64], received_us: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which readings have a clock before 2010 or over five minutes ahead; times in µs since 1970."""
    return (time_us < EARLIEST_US) | (time_us > received_us + FUTURE_US)
