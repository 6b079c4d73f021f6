"""The latest value of each signal: the one measured last, whatever arrived last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ingest.columns import HOT_KEYS

if TYPE_CHECKING:
    from ingest.readings import Readings


class Latest(msgspec.Struct, frozen=True):
    """A value and when it was measured, in ms since 1970: how `vehicle_latest.signals` holds a signal."""

    v: Any
    t: int


Signals = dict[str, Latest]
MAX_SIGNALS: Final = 256  # of one vehicle; a unit that makes up keys loses the oldest of them
_decoder: Final = msgspec.json.Decoder(Signals)
_encoder: Final = msgspec.json.Encoder()


def decode(document: str) -> Signals:
    """Read the column `signals`."""
    return _decoder.decode(document)


def encode(signals: Signals) -> str:
    """Write the column `signals`."""
    return _encoder.encode(signals).decode()


def newest(readings: Readings) -> dict[int, Signals]:
    """The newest value of each signal by vehicle id; readings with a wrong clock do not count."""
    found: dict[int, Signals] = {}
    accepted = readings.signals.accepted
    vehicles = readings.vehicle_ids
    times_ms = readings.times_us // 1000
    order = np.lexsort((readings.seqs, readings.times_us))[::-1]
    order = order[~readings.quarantined[order]]
    if readings.signals.alike:  # the newest reading of each vehicle says it all
        order = order[np.unique(np.array(vehicles, dtype=np.int64)[order], return_index=True)[1]]
    for row in order.tolist():
        latest = found.setdefault(vehicles[row], {})
        reading = accepted[row]
        if reading.keys() <= latest.keys():
            continue
        moment = int(times_ms[row])
        for key, value in reading.items():
            if key not in latest and value is not None:
                latest[key] = Latest(value, moment)
    return found


def merge(held: Signals, found: Signals) -> Signals:
    """Of each signal the value measured later; of two of the same millisecond the one that came later."""
    merged = dict(held)
    for key, latest in found.items():
        before = held.get(key)
        if before is None or latest.t >= before.t:
            merged[key] = latest
    if len(merged) > MAX_SIGNALS:
        newest_first = sorted(merged.items(), key=lambda item: (item[0] in HOT_KEYS, item[1].t), reverse=True)
        merged = dict(newest_first[:MAX_SIGNALS])
    return merged


@dataclass(frozen=True, slots=True)
class Position:
    """Where a vehicle is, by its latest signals; `time_ms` is when it was there."""

    time_ms: int
    lat: float
    lon: float
    heading: float | None
    speed: float | None


def value(signals: Signals, key: str) -> Any:
    """The value of a signal, or None."""
    latest = signals.get(key)
    return None if latest is None else latest.v


def position(signals: Signals) -> Position | None:
    """The position in the signals, or None where there was none yet."""
    lat, lon = signals.get("lat"), signals.get("lon")
    if lat is None or lon is None:
        return None
    return Position(lat.t, lat.v, lon.v, value(signals, "heading"), value(signals, "speed"))
