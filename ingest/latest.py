"""The latest value of each signal: the one measured last, whatever arrived last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from ingest.columns import HOT_KEYS

if TYPE_CHECKING:
    import numpy.typing as npt

    from ingest.readings import Readings


class Latest(msgspec.Struct, frozen=True, gc=False):
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
    order = _newest_first(readings)
    vehicles, times_ms = readings.vehicle_ids[order].tolist(), (readings.times_us[order] // 1000).tolist()
    for reading, vehicle_id, moment in zip(readings.signals.at(order), vehicles, times_ms, strict=True):
        latest = found.get(vehicle_id)
        if latest is None:
            found[vehicle_id] = {k: Latest(v, moment) for k, v in reading.items() if v is not None}
        elif not reading.keys() <= latest.keys():
            for key, value in reading.items():
                if key not in latest and value is not None:
                    latest[key] = Latest(value, moment)
    return found


def _newest_first(readings: Readings) -> npt.NDArray[np.intp]:
    """The rows to look at, newest first: where all readings have the same signals, one of each vehicle."""
    alike = readings.signals.alike
    vehicles, times = readings.vehicle_ids, readings.times_us
    if alike and not readings.device_us and len(times) > 1:
        other = np.diff(vehicles)
        if ((other > 0) | ((other == 0) & (np.diff(times) > 0))).all():  # mostly they came in order
            return np.append(np.flatnonzero(other), len(times) - 1)
    order = np.lexsort((readings.seqs, times))[::-1]
    order = order[~readings.quarantined[order]]
    return order[np.unique(vehicles[order], return_index=True)[1]] if alike else order


def keys_hash(signals: Signals) -> int:
    """Tells which signals there are: equal for equal keys."""
    return _hash(tuple(signals))


@lru_cache(maxsize=4096)
def _hash(keys: tuple[str, ...]) -> int:
    digest = hashlib.blake2b("\0".join(sorted(keys)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


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
