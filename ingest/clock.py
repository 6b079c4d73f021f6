"""When a reading was measured: the unit's clock against its arrival here and against the unit's uptime. Pure.

All times are µs since 1970. The *origin* of a boot is when its uptime was 0: a message says the uptime at
which it was made, so that is its time of arrival less the uptime. The way to us takes time, so the earliest
origin of all messages is the nearest to the truth. A clock is believed when it agrees with origin + uptime;
without an uptime, when it is neither before 2010 nor ahead of us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.quality import EARLIEST_US, FUTURE_US, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_US: Final = 86_400_000_000
ROLLOVER_US: Final = 1024 * 7 * DAY_US  # a GPS receiver that takes the week number for one of an earlier era
ROLLOVERS: Final = (1, 2)  # eras that a receiver may be behind; three would reach from 1970 to now
SPOOLED_US: Final = 30 * DAY_US  # a reading of an earlier era was spooled for at most this long
OLDEST_US: Final = 1000 * 7 * DAY_US  # what claims to be older than this is of an earlier era
MOST_UP_MS: Final = 10 * 366 * DAY_US // 1000  # no uptime is longer
LONGEST_US: Final = 366 * DAY_US  # uptimes that would make a reading older than this say nothing


class Dated(NamedTuple):
    """Readings with their times; the two lists hold positions whose clock is wrong.

    quarantined: dated by arrival, because nothing better is known. corrected: dated by the unit's uptime, or
    by whole eras of GPS weeks.
    """

    times_us: Sequence[int]
    quarantined: Sequence[int] = ()
    corrected: Sequence[int] = ()


def origin_of(held_us: int | None, received_us: int, sent_ms: int | None) -> int | None:
    """The origin to date a message by; None: not known, or this message contradicts it.

    Args:
        held_us: the earliest that messages of the boot told before.
        received_us: when this one arrived.
        sent_ms: the uptime at which the unit made it; None: it did not say.
    """
    own = _own_origin(received_us, sent_ms)
    if own is None:
        return held_us
    if held_us is None or own <= held_us:
        return own
    # Far behind: the message was held up for long, the uptime stood still in sleep, or another unit sent it.
    return held_us if own - held_us <= FUTURE_US else None


def earliest(held_us: int | None, received_us: int, sent_ms: int | None) -> int | None:
    """The origin to keep of a boot."""
    own = _own_origin(received_us, sent_ms)
    if own is None or held_us is None:
        return held_us if own is None else own
    return min(held_us, own)


def _own_origin(received_us: int, sent_ms: int | None) -> int | None:
    """By one message; None: it did not say, or nothing runs for that long."""
    return None if sent_ms is None or sent_ms > MOST_UP_MS else received_us - sent_ms * 1000


def date(
    device_us: Sequence[int], ups_ms: Sequence[int | None], received_us: int, origin_us: int | None
) -> Dated:
    """Judge the clock of the readings of a message.

    Args:
        device_us: what the unit's clock said.
        ups_ms: the unit's uptime at each; None: it did not say. Parallel, or empty.
        received_us: when they arrived.
        origin_us: of the boot, if known.
    """
    if not device_us:
        return Dated(device_us)
    low, high = (device_us[0], device_us[0]) if len(device_us) == 1 else (min(device_us), max(device_us))
    plausible = low >= EARLIEST_US and low >= received_us - OLDEST_US and high <= received_us + FUTURE_US
    if plausible and (origin_us is None or _agree(device_us, ups_ms, origin_us)):
        return Dated(device_us)
    times, quarantined, corrected = list(device_us), [], []
    for position, device in enumerate(device_us):
        up = ups_ms[position] if ups_ms else None
        times[position], flag = _date(device, up, received_us, origin_us)
        if flag is Quality.CLOCK:
            quarantined.append(position)
        elif flag is Quality.CORRECTED:
            corrected.append(position)
    return Dated(times, quarantined, corrected)


def _agree(device_us: Sequence[int], ups_ms: Sequence[int | None], origin_us: int) -> bool:
    low, high = origin_us - FUTURE_US, origin_us + FUTURE_US
    if len(device_us) == 1:
        up = ups_ms[0] if ups_ms else None
        return up is None or low <= device_us[0] - up * 1000 <= high
    origins = [device - up * 1000 for device, up in zip(device_us, ups_ms, strict=False) if up is not None]
    return not origins or (low <= min(origins) and max(origins) <= high)


def _date(device_us: int, up_ms: int | None, received_us: int, origin_us: int | None) -> tuple[int, Quality]:
    if up_ms is not None and origin_us is not None:
        true_us = origin_us + up_ms * 1000
        if -FUTURE_US <= received_us - true_us <= LONGEST_US:
            if abs(device_us - true_us) <= FUTURE_US and device_us <= received_us + FUTURE_US:
                return device_us, Quality.GOOD
            return min(true_us, received_us), Quality.CORRECTED
    if max(EARLIEST_US, received_us - OLDEST_US) <= device_us <= received_us + FUTURE_US:
        return device_us, Quality.GOOD
    for eras in ROLLOVERS:
        shifted = device_us + eras * ROLLOVER_US
        if received_us - SPOOLED_US <= shifted <= received_us + FUTURE_US:
            return shifted, Quality.CORRECTED
    return received_us, Quality.CLOCK
