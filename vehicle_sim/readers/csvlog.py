"""CSV with a header, drive-test logs of mobile networks included; a trace for each vehicle named in it.

Columns are known by their names, whatever the case and punctuation (see `_COLUMNS`); every other column
is kept as an extra key: lower-case, `_` for what is neither letter nor digit. Such a column is a number
where all its values are, else text. Empty, `-`, `nan`, `null` and 2147483647 (how Android says "unavailable")
mean that there is no value. The separator is the one of `,` `;` tab that the header has most of.

Speed is km/h, or as the column's name says (`speed_mps`, `speed_mph`). Times are ISO 8601,
`2020.02.13_15.02.01`, or numbers: seconds, or milli- or microseconds since 1970 by their size. A time
without an offset is taken as UTC.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

from fleetcell.contract.signals import CATALOGUE, Datatype
from vehicle_sim.readers.trace import Reading, Signals, Trace, Value, finite, position_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vehicle_sim.readers.files import TraceFile

_ABSENT: Final = frozenset({"", "-", "nan", "null", "none", "2147483647", "2147483647.0"})
_TIME: Final = ("time", "timestamp", "datetime", "date_time", "t", "ts", "time_s", "t_s", "utc")
_VEHICLE: Final = ("vehicle", "vehicle_id", "vehicleid", "device", "device_id", "unit")

# normalised column name -> (wire key, factor to the wire's unit)
_COLUMNS: Final[dict[str, tuple[str, float]]] = {
    **{key: (key, 1.0) for key in CATALOGUE if key != "dtc"},
    "latitude": ("lat", 1.0),
    "lng": ("lon", 1.0),
    "long": ("lon", 1.0),
    "longitude": ("lon", 1.0),
    "altitude": ("alt", 1.0),
    "elevation": ("alt", 1.0),
    "accuracy": ("acc", 1.0),
    "speed_kmh": ("speed", 1.0),
    "speed_km_h": ("speed", 1.0),
    "speed_kph": ("speed", 1.0),
    "vehicle_speed": ("speed", 1.0),
    "speed_mps": ("speed", 3.6),
    "speed_ms": ("speed", 3.6),
    "speed_m_s": ("speed", 3.6),
    "speed_mph": ("speed", 1.609344),
    "bearing": ("heading", 1.0),
    "course": ("heading", 1.0),
    "odometer": ("odo", 1.0),
    "odometer_km": ("odo", 1.0),
    "odometer_m": ("odo", 0.001),
    "state_of_charge": ("soc", 1.0),
    "fuel_level": ("fuel", 1.0),
    "engine_speed": ("rpm", 1.0),
    "cellid": ("cell", 1.0),
    "cell_id": ("cell", 1.0),
    "networkmode": ("rat", 1.0),
    "network_mode": ("rat", 1.0),
}
_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False,
                 "on": True, "off": False}  # fmt: skip
_NEEDS: Final = {
    Datatype.DOUBLE: "a number",
    Datatype.INT: "a whole number",
    Datatype.BOOL: "true or false",
    Datatype.TEXT: "a text",
    Datatype.TEXTS: "a list",
}
_STAMP: Final = re.compile(r"^(\d{4})\.(\d\d)\.(\d\d)_(\d\d)\.(\d\d)\.(\d\d)$")


@dataclass(slots=True)
class _Column:
    """One column: its key, and whether all of its values so far are numbers."""

    name: str
    key: str
    factor: float
    known: bool
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column is what; `columns` has None at the time and the vehicle."""

    columns: list[_Column | None]
    time: int
    vehicle: int | None


def read_csv(file: TraceFile) -> list[Trace]:
    """One trace for each value of the vehicle column; one for the whole file where there is none.

    Raises:
        TraceError: cut off, a row of another length than the header, no time or no usable column, a
            value that is not what its column needs, a position off the Earth, or no row.
    """
    table = _table(file)
    header = next(table, None)
    if header is None:
        raise file.error("the file is empty")
    layout = _layout(file, header)
    vehicles: dict[str, list[tuple[float, list[str]]]] = {}
    dated: bool | None = None
    for row in table:
        if len(row) != len(header):
            raise file.error(f"{len(row)} columns where the header has {len(header)}: is the line cut off?")
        t, has_date = _time(file, row[layout.time])
        if dated is not None and has_date != dated:
            raise file.error(f"time {row[layout.time]!r} is not of the same kind as those before it")
        dated = has_date
        _check(file, layout, row)
        name = file.stem if layout.vehicle is None else row[layout.vehicle].strip()
        if not name:
            raise file.error("no vehicle in the vehicle column")
        vehicles.setdefault(name, []).append((t, row))
    if not vehicles:
        raise file.error("a header, but no row")
    first = min(t for rows in vehicles.values() for t, _ in rows)
    start = datetime.fromtimestamp(first, UTC) if dated else None
    return [_trace(file, name, rows, layout, first, start) for name, rows in vehicles.items()]


def _table(file: TraceFile) -> Iterator[list[str]]:
    lines = file.lines()
    head = next(lines, "")
    separator = max(",;\t", key=head.count)
    reader = csv.reader((f"{line}\n" for line in chain([head], lines)), delimiter=separator, strict=True)
    try:
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise file.error(f"not CSV: {error}") from error


def _layout(file: TraceFile, header: list[str]) -> _Layout:
    names = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:64] for name in header]
    if "" in names:
        raise file.error(f"column {names.index('') + 1} has no name")
    time = next((names.index(name) for name in _TIME if name in names), None)
    if time is None:
        raise file.error(f"no time column: one of {', '.join(_TIME)} is needed")
    vehicle = next((names.index(name) for name in _VEHICLE if name in names), None)
    columns: list[_Column | None] = []
    seen: dict[str, str] = {}
    for i, name in enumerate(names):
        if i in {time, vehicle}:
            columns.append(None)
            continue
        key, factor = _COLUMNS.get(name, (f"csv_{name}" if name in CATALOGUE else name, 1.0))
        if key in seen:
            raise file.error(f"columns {seen[key]!r} and {header[i]!r} both give {key}")
        seen[key] = header[i]
        columns.append(_Column(header[i], key, factor, known=key in CATALOGUE))
    if ("lat" in seen) != ("lon" in seen):
        raise file.error("a latitude or a longitude column without the other")
    if not seen:
        raise file.error("no column beside the time: is this CSV with a header?")
    return _Layout(columns, time, vehicle)


def _time(file: TraceFile, text: str) -> tuple[float, bool]:
    """Seconds, and whether they count from 1970."""
    text = text.strip()
    try:
        number = finite(text)
    except ValueError:
        try:
            # The drive-test format, made ISO 8601.
            moment = datetime.fromisoformat(_STAMP.sub(r"\1-\2-\3T\4:\5:\6", text))
        except ValueError:
            raise file.error(f"time {text!r} is neither a date with time nor a number") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), True
    for since, scale in ((1e14, 1e6), (1e11, 1e3), (1e8, 1.0)):  # 1e8 s is March 1973
        if number >= since:
            if number / scale > 253_402_300_799:  # the year 9999
                break
            return number / scale, True
    else:
        return number, False
    raise file.error(f"time {text!r} is after the year 9999")


def _check(file: TraceFile, layout: _Layout, row: list[str]) -> None:
    """Refuse what the row's columns do not allow; note which extra columns are not numbers."""
    position: dict[str, float] = {}
    for column, text in zip(layout.columns, row, strict=True):
        if column is None or text.strip().lower() in _ABSENT:
            continue
        if not column.known:
            column.numeric = column.numeric and _is_number(text)
            continue
        try:
            value = _known(column, text)
        except ValueError:
            what = CATALOGUE[column.key].datatype
            raise file.error(f"{column.name} {text!r} is not {_NEEDS[what]}") from None
        if column.key in {"lat", "lon"}:
            position[column.key] = float(value)
    if len(position) == 1:
        raise file.error(f"a row with {'latitude' if 'lat' in position else 'longitude'} alone")
    if position and (problem := position_problem(position["lat"], position["lon"])):
        raise file.error(problem)


def _is_number(text: str) -> bool:
    try:
        finite(text)
    except ValueError:
        return False
    return True


def _known(column: _Column, text: str) -> Value:
    """The value of a column of the catalogue; ValueError when it is not of its type."""
    text = text.strip()
    match CATALOGUE[column.key].datatype:
        case Datatype.TEXT:
            return text
        case Datatype.BOOL:
            if text.lower() not in _TRUTH:
                raise ValueError(text)
            return _TRUTH[text.lower()]
        case Datatype.INT:
            number = finite(text)
            if not number.is_integer():
                raise ValueError(text)
            return int(number)
    number = finite(text)
    return number if column.factor == 1.0 else round(number * column.factor, 6)


def _trace(
    file: TraceFile,
    name: str,
    rows: list[tuple[float, list[str]]],
    layout: _Layout,
    first: float,
    start: datetime | None,
) -> Trace:
    rows.sort(key=lambda r: r[0])
    readings = [Reading(round(t - first, 6), _signals(layout.columns, row)) for t, row in rows]
    return Trace(name, str(file.path) if name == file.stem else f"{file.path} ({name})", readings, start)


def _signals(columns: list[_Column | None], row: list[str]) -> Signals:
    signals: Signals = {}
    for column, text in zip(columns, row, strict=True):
        if column is None or text.strip().lower() in _ABSENT:
            continue
        if column.known:
            signals[column.key] = _known(column, text)
        else:
            signals[column.key] = finite(text) if column.numeric else text.strip()
    return signals
