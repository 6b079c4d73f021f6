"""What a reading's `quality` says, and the limits by which clocks are believed.

Both times are kept of a reading whose clock is wrong: `time` is the corrected one or that of arrival, and the
unit's own goes to `extra` under `$device_time_ms`. Keys with a `$` cannot collide with a signal's wire key.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final

EARLIEST_US: Final = 1_262_304_000_000_000  # 2010-01-01: no vehicle unit of this protocol is older
FUTURE_US: Final = 5 * 60 * 1_000_000  # a clock this far ahead of ours, or off the unit's uptime, is wrong
LATE_US: Final = 60 * 1_000_000  # a reading that arrives this long after it was measured counts as late

DEVICE_TIME_KEY: Final = "$device_time_ms"
REFUSED_KEY: Final = "$refused"


class Quality(IntFlag):
    """The bits of `telemetry.quality`; 0 is a reading without a fault."""

    GOOD = 0
    CLOCK = 1  # quarantined: `time` is the time of arrival, `extra.$device_time_ms` the unit's
    SIGNAL = 2  # some values were refused, see `extra.$refused`
    CORRECTED = 4  # `time` was found in spite of a wrong clock, `extra.$device_time_ms` is the unit's
