"""The latest value of each signal: the one measured last, whatever arrived last."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from ingest.columns import HOT_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from ingest.readings import Readings


class Latest(msgspec.Struct, frozen=True, gc=False):
    """A value and when it was measured, in ms since 1970: how `vehicle_latest.signals` holds a signal."""

    v: Any
    t: int


Signals = dict[str, Latest]
MAX_SIGNALS: Final = 256  # of one vehicle; a unit that makes up keys loses the oldest of them
_decoder: Final = msgspec.json.Decoder(Signals)
_json: Final = msgspec.json.Encoder()


def decode(document: str) -> Signals:
    """Read the column `signals`."""
    return _decoder.decode(document)


def encode(signals: Signals) -> str:
    """Write the column `signals`."""
    return _json.encode(signals).decode()


class Position(NamedTuple):
    """Where a vehicle is, by its latest signals; `time_ms` is when it was there."""

    time_ms: int
    lat: float
    lon: float
    heading: float | None
    speed: float | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """What a row of `vehicle_latest` holds.

    keys_hash: tells which signals there are. time_ms, oldest_ms: when the newest and the oldest of them were
    measured. position_ms, lat, lon: None where there is no position. document: the column `signals`.
    """

    keys_hash: int
    time_ms: int
    oldest_ms: int
    position_ms: int | None
    lat: float | None
    lon: float | None
    heading: float | None
    speed: float | None
    document: str

    @property
    def position(self) -> Position | None:
        """Where it says that the vehicle is."""
        if self.position_ms is None or self.lat is None or self.lon is None:
            return None
        return Position(self.position_ms, self.lat, self.lon, self.heading, self.speed)


def row_of(signals: Signals) -> Row:
    """Of at least one signal."""
    moments = [one.t for one in signals.values()]
    here = position(signals)
    at, lat, lon = (None, None, None) if here is None else here[:3]
    heading, speed = value(signals, "heading"), value(signals, "speed")
    document = encode(signals)
    return Row(keys_hash(signals), max(moments), min(moments), at, lat, lon, heading, speed, document)


def newest(readings: Readings) -> dict[int, Row]:
    """The newest value of each signal by vehicle id; readings with a wrong clock do not count."""
    order = _newest_first(readings)
    vehicles, times_ms = readings.vehicle_ids[order].tolist(), (readings.times_us[order] // 1000).tolist()
    accepted = readings.signals.accepted
    if not isinstance(accepted, list):  # of one shape: one reading of each vehicle tells all
        return dict(zip(vehicles, _rows(accepted.columns(order), times_ms), strict=True))
    found: dict[int, Signals] = {}
    for reading, vehicle_id, moment in zip(readings.signals.at(order), vehicles, times_ms, strict=True):
        latest = found.get(vehicle_id)
        if latest is None:
            found[vehicle_id] = {k: Latest(v, moment) for k, v in reading.items() if v is not None}
        elif not reading.keys() <= latest.keys():
            for key, value in reading.items():
                if key not in latest and value is not None:
                    latest[key] = Latest(value, moment)
    return {vehicle_id: row_of(signals) for vehicle_id, signals in found.items() if signals}


def _rows(columns: dict[str, list[Any]], times_ms: list[int]) -> Iterator[Row]:
    """Of readings with the same signals, side by side: as `row_of` each."""
    nothing: list[Any] = [None] * len(times_ms)
    position_ms = times_ms if "lat" in columns else nothing
    place = [columns.get(key, nothing) for key in ("lat", "lon", "heading", "speed")]
    hashes = [keys_hash(columns)] * len(times_ms)
    return map(Row, hashes, times_ms, times_ms, position_ms, *place, _documents(columns, times_ms))


def _documents(columns: dict[str, list[Any]], times_ms: list[int]) -> list[str]:
    """As `encode` of each."""
    moments = [str(moment) for moment in times_ms]
    texts = chain.from_iterable((_texts(values), moments) for values in columns.values())
    template = _template(tuple(columns))
    return [template % values for values in zip(*texts, strict=True)]


@lru_cache(maxsize=256)
def _template(keys: tuple[str, ...]) -> str:
    """The document of these signals, to be filled with value and time of each."""
    return "{" + ",".join(f'"{key}":{{"v":%s,"t":%s}}' for key in keys) + "}"


def _texts(values: list[Any]) -> list[str]:
    """Values of one signal as JSON."""
    if isinstance(values[0], str):  # a state: few different ones
        known = {value: _json.encode(value).decode() for value in set(values)}
        return [known[value] for value in values]
    return _json.encode(values)[1:-1].decode().split(",")


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


def keys_hash(signals: Iterable[str]) -> int:
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


def merged(held: Row, found: Row) -> Row:
    """`merge` of what two rows hold."""
    return row_of(merge(decode(held.document), decode(found.document)))


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
