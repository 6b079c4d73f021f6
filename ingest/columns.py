"""Readings by column: the signals of a batch checked and turned into what `binary_copy` writes.

The common case is checked a column at a time by numpy; a reading with anything unusual in it goes through the
contract's `check_signals` by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from fleetcell.contract.messages import encode
from fleetcell.contract.signals import CATALOGUE, HOT, MAX_TEXT, Datatype, Signal, check_signals
from ingest import binary_copy
from ingest.quality import DEVICE_TIME_KEY, REFUSED_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from ingest.shapes import Reading, Shaped

HOT_KEYS: Final = frozenset(signal.key for signal in HOT)
HOT_COLUMNS: Final = tuple(signal.column for signal in HOT if signal.column)
_NUMERIC: Final = frozenset({float, int, type(None)})
_NUMBERS: Final = frozenset({Datatype.DOUBLE, Datatype.INT})
_INTEGER: Final = frozenset({int, type(None)})
_TEXT: Final = frozenset({str, type(None)})
_BOOLEAN: Final = frozenset({bool, type(None)})


@dataclass(slots=True)
class Signals:
    """The checked signals of some readings.

    `accepted` has one mapping a reading, by wire key, without nulls; `problems` says what was refused, by
    row; `hot` holds the values of each catalogued column that any reading has, None where a reading has
    none; `floats` the same of columns of numbers, None as NaN. A column that is in `floats` need not be in
    `hot`. `alike`: all readings have values of the same signals.
    """

    accepted: list[Reading] | Shaped
    problems: dict[int, list[str]] = field(default_factory=dict)
    hot: dict[str, list[Any]] = field(default_factory=dict)
    floats: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    odd: set[int] = field(default_factory=set)  # rows with keys that have no column
    alike: bool = False

    def at(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> list[Reading]:
        """The accepted values of some of the readings."""
        accepted = self.accepted
        return [accepted[row] for row in rows] if isinstance(accepted, list) else accepted.at(rows)


def check_shaped(readings: Shaped) -> Signals:
    """Check what their decoder has not: whether texts can be shown."""
    matrix, shape, words = readings.matrix, readings.shape, len(readings.shape.words)
    hot = {key: list(readings.words[place::words]) for place, key in enumerate(shape.words)}
    for key, values in hot.items():
        if CATALOGUE[key].datatype is Datatype.TEXT and not all(map(_plain, set(values))):
            return check(list(readings))
    floats = {key: matrix[:, place] for place, key in enumerate(shape.numbers)}
    return Signals(readings, hot=hot, floats=floats, alike=True)


def check(readings: Sequence[Reading]) -> Signals:
    """Check the signals of all readings."""
    checked = list(readings)
    signals = Signals(checked)
    found = _side_by_side(readings)
    signals.alike = found is not None
    keys: set[str] = set(found) if found is not None else set().union(*readings)
    unknown = keys - HOT_KEYS
    suspects: set[int] = set()
    if unknown:
        signals.odd = {row for row, reading in enumerate(readings) if not unknown.isdisjoint(reading)}
        suspects |= signals.odd
    nothing = type(None)
    holed = set()
    for signal in HOT:
        if signal.key in keys:
            key = signal.key
            column = [reading.get(key) for reading in readings] if found is None else found[key]
            types = set(map(type, column))
            if nothing in types:
                holed.add(key)
            signals.hot[key] = column
            if signal.datatype in _NUMBERS and types <= _NUMERIC:
                floats = _floats(column)
                if floats is not None:
                    signals.floats[key] = floats
            suspects |= _suspects(signal, column, types, signals.floats.get(key))
    if ("lat" in keys) != ("lon" in keys) or not holed.isdisjoint({"lat", "lon"}):
        suspects |= _half_positions(signals.hot.get("lat"), signals.hot.get("lon"))
    for row in sorted(suspects):
        accepted, problems = _check_one(readings[row])
        checked[row] = accepted
        if problems:
            signals.problems[row] = problems
        for key, column in signals.hot.items():
            column[row] = accepted.get(key)
    for key in signals.floats if suspects else ():
        signals.floats[key] = np.array(signals.hot[key], dtype=np.float64)
    signals.alike = signals.alike and not holed and not suspects
    return signals


def _side_by_side(readings: Sequence[Reading]) -> dict[str, list[Any]] | None:
    """The values by key, where all readings have the same keys: the common case."""
    if len(set(map(len, readings))) != 1:
        return None
    try:
        return {key: [reading[key] for reading in readings] for key in readings[0]}
    except KeyError:
        return None


def hot_columns(signals: Signals) -> list[binary_copy.Column]:
    """The typed columns, in the order of HOT_COLUMNS."""
    rows = len(signals.accepted)
    nothing = binary_copy.nulls(rows)
    return [
        _hot_column(signals, signal) if signal.key in signals.hot or signal.key in signals.floats else nothing
        for signal in HOT
    ]


def _hot_column(signals: Signals, signal: Signal) -> binary_copy.Column:
    if signal.datatype in _NUMBERS:
        floats = signals.floats.get(signal.key)
        floats = np.array(signals.hot[signal.key], dtype=np.float64) if floats is None else floats
        valid = None if signals.alike else ~np.isnan(floats)
        if signal.datatype is Datatype.DOUBLE:
            return binary_copy.float8(floats, valid)
        return binary_copy.int4(floats if valid is None else np.where(valid, floats, 0), valid)
    values = signals.hot[signal.key]
    match signal.datatype:
        case Datatype.BOOL if signals.alike:
            return binary_copy.boolean(values)
        case Datatype.BOOL:
            return binary_copy.boolean([value is True for value in values], _valid(values))
        case _:
            return binary_copy.text(values)


def extras(signals: Signals, device_time_us: dict[int, int]) -> list[bytes | None]:
    """The `extra` documents: signals without a column, refused values, the unit's own time if it is wrong.

    Args:
        signals: the checked signals.
        device_time_us: by row, what the unit's clock said where it is not believed, in µs since 1970.
    """
    documents: list[bytes | None] = [None] * len(signals.accepted)
    rows = sorted(signals.odd | signals.problems.keys() | device_time_us.keys())
    for row, reading in zip(rows, signals.at(rows), strict=True):
        document = {key: value for key, value in reading.items() if key not in HOT_KEYS}
        if row in signals.problems:
            document[REFUSED_KEY] = [_without_nul(problem) for problem in signals.problems[row]]
        if row in device_time_us:
            document[DEVICE_TIME_KEY] = device_time_us[row] / 1000
        documents[row] = encode(document) if document else None
    return documents


def _floats(values: list[Any]) -> npt.NDArray[np.float64] | None:
    """None becomes NaN; where an integer is beyond the largest float there is no array."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return None


def _valid(values: list[Any]) -> npt.NDArray[np.bool_]:
    return np.fromiter((value is not None for value in values), np.bool_, len(values))


def _suspects(
    signal: Signal, column: list[Any], types: AbstractSet[object], floats: npt.NDArray[np.float64] | None
) -> set[int]:
    """The rows whose value the fast check does not vouch for.

    Args:
        signal: which.
        column: its values, None where there is none.
        types: those of the values.
        floats: the values of a column of numbers, None as NaN; None where they cannot be written so.
    """
    match signal.datatype:
        case Datatype.DOUBLE | Datatype.INT:
            allowed = _INTEGER if signal.datatype is Datatype.INT else _NUMERIC
            if not types <= allowed:
                good = [value if type(value) in allowed else None for value in column]
                wrong = {row for row, value in enumerate(column) if type(value) not in allowed}
                return wrong | _suspects(signal, good, allowed, _floats(good))
            if floats is None:
                return {row for row, value in enumerate(column) if value is not None}
            low = -math.inf if signal.low is None else signal.low
            high = math.inf if signal.high is None else signal.high
            outside = ~((floats >= low) & (floats <= high))  # NaN is outside too, be it null or a value
            return {row for row in np.flatnonzero(outside).tolist() if column[row] is not None}
        case Datatype.BOOL:
            if types <= _BOOLEAN:
                return set()
            return {row for row, value in enumerate(column) if type(value) not in _BOOLEAN}
        case _:
            if types <= _TEXT and all(value is None or _plain(value) for value in set(column)):
                return set()
            return {row for row, value in enumerate(column) if value is not None and not _plain(value)}


def _plain(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_TEXT and value.isprintable()


def _half_positions(lat: list[Any] | None, lon: list[Any] | None) -> set[int]:
    if lat is None or lon is None:
        return {row for row, value in enumerate(lat or lon or []) if value is not None}
    return {
        row for row, pair in enumerate(zip(lat, lon, strict=True)) if (pair[0] is None) != (pair[1] is None)
    }


def _check_one(reading: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    accepted, problems = check_signals(reading)
    for key, value in list(accepted.items()):
        problem = _unstorable(key, value)
        if problem:
            del accepted[key]
            problems.append(f"{key}: {problem}")
    return accepted, problems


def _unstorable(key: str, value: Any) -> str | None:
    """Why the database cannot keep a value that the catalogue has nothing against."""
    if isinstance(value, int | float):
        return None
    try:
        document = encode(value)
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        return f"cannot be written as JSON ({error})"
    if b"\\u0000" in document:
        return "a text holds NUL"
    if key not in CATALOGUE and msgspec.json.decode(document) != value:
        return "has no equal in JSON"  # from MessagePack: bytes, times, NaN inside a list
    return None


def _without_nul(problem: str) -> str:
    return problem.replace("\0", "\N{SYMBOL FOR NULL}")
