"""Time of ETSI ITS. Pure.

TimestampIts (TS 102 894-2) is milliseconds since 2004-01-01T00:00:00Z, the leap seconds since then counted.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import Final

MAX_TIMESTAMP_ITS: Final = 4_398_046_511_103  # 42 bits
DELTA_TIMES: Final = 65_536  # generationDeltaTime counts modulo this, ms


def _ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000


_ITS_EPOCH_MS: Final = _ms(2004, 1)
# A leap second was inserted just before each of these (IERS Bulletin C); none since 2017.
_LEAPS_MS: Final = (_ms(2006, 1), _ms(2009, 1), _ms(2012, 7), _ms(2015, 7), _ms(2017, 1))
_LEAPS_ITS: Final = tuple(leap - _ITS_EPOCH_MS + (number + 1) * 1000 for number, leap in enumerate(_LEAPS_MS))


def its_from_unix(unix_ms: int) -> int:
    """TimestampIts of a time in ms since 1970 (UTC), kept within its range."""
    its = unix_ms - _ITS_EPOCH_MS + 1000 * bisect_right(_LEAPS_MS, unix_ms)
    return min(max(its, 0), MAX_TIMESTAMP_ITS)


def unix_from_its(its_ms: int) -> int:
    """Time in ms since 1970 (UTC) of a TimestampIts. A leap second itself reads as the second after it."""
    return its_ms + _ITS_EPOCH_MS - 1000 * bisect_right(_LEAPS_ITS, its_ms)


def delta_time(its_ms: int) -> int:
    """What a CAM carries as generationDeltaTime: the TimestampIts modulo 65,536."""
    return its_ms % DELTA_TIMES


def age_ms(generation_delta_time: int, now_its_ms: int) -> int:
    """How old a CAM is, in ms, from -32,768 (of the future) to 32,767."""
    age = (now_its_ms - generation_delta_time) % DELTA_TIMES
    return age if age < DELTA_TIMES // 2 else age - DELTA_TIMES
