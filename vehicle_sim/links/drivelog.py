"""Logs of drive tests: position, cell, RSRP and bit rates, about a row a second.

The columns are those of G-NetTrack as published by Raca et al. ("Beyond Throughput, the Next Generation: a 5G
Dataset with Channel and Context Metrics", ACM MMSys 2020): `Timestamp` (`2020.02.13_15.02.01`), `Longitude`,
`Latitude`, `RSRP` (dBm), `DL_bitrate`, `UL_bitrate` (kbit/s), and where they are there `CellID`,
`NetworkMode`, `State`. Others are passed over. `-` or nothing means no value.

- A row holds until the next one. Rows of the same second share it, in their order.
- Bit rates are what a test measured, so they are taken as what the link could carry. In rows of the state
  `I` (idle) no test ran: the last rate that was measured holds.
- 0 kbit/s in any other state is an outage. At its end the log begins again.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.air import Direction, Reception
from vehicle_sim.links.errors import LinkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NEEDED: Final = ("Timestamp", "Longitude", "Latitude", "RSRP", "DL_bitrate", "UL_bitrate")
_TIME: Final = "%Y.%m.%d_%H.%M.%S"
_NO_VALUE: Final = {"", "-", "nan"}
_IDLE: Final = "I"
_NEAR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says. Rates in bytes a second; None where nothing was measured."""

    at: datetime
    lon: float
    lat: float
    rates: tuple[float | None, float | None]
    reception: Reception


@dataclass(frozen=True, slots=True)
class DriveLog:
    """A log as it is driven: `starts_s[i]` is when row `i` begins, `period_s` when it all begins again."""

    starts_s: Sequence[float]
    rates: Sequence[tuple[float, float]]  # up, down
    receptions: Sequence[Reception]
    positions: Sequence[tuple[float, float]]
    period_s: float

    def find(self, t_s: float) -> tuple[int, float]:
        """(row, until when it holds) at `t_s` seconds into the endlessly repeated log."""
        turn, place = divmod(t_s + _NEAR, self.period_s)
        row = bisect_right(self.starts_s, place) - 1
        end = self.starts_s[row + 1] if row + 1 < len(self.starts_s) else self.period_s
        return row, turn * self.period_s + end

    def rate(self, direction: Direction, t_s: float) -> tuple[float, float]:
        """(bytes a second, until when)."""
        row, until = self.find(t_s)
        return self.rates[row][direction], until


def read(path: Path) -> DriveLog:
    """Read a log.

    Raises:
        LinkError: it cannot be read, a column is missing, a row is malformed or goes back in time.
    """
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise LinkError(f"{path}:1: no column {', '.join(missing)}")
            for fields in reader:
                row = _row(f"{path}:{reader.line_num}", fields)
                if rows and row.at < rows[-1].at:
                    raise LinkError(f"{path}:{reader.line_num}: {fields['Timestamp']} goes back in time")
                rows.append(row)
    except OSError as error:
        raise LinkError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LinkError(f"{path}: no CSV file: {error}") from error
    if not any(rate for row in rows for rate in row.rates):
        raise LinkError(f"{path}: no row with a bit rate above 0")
    return _log(rows)


def _row(where: str, fields: Mapping[str | None, str | None]) -> Row:
    if None in fields or None in fields.values():
        raise LinkError(f"{where}: the row has another number of columns than the header")
    text = {name: value.strip() for name, value in fields.items() if name is not None and value is not None}
    try:
        at = datetime.strptime(text["Timestamp"], _TIME)  # noqa: DTZ007 - only differences count
    except ValueError:
        raise LinkError(f"{where}: Timestamp {text['Timestamp']!r} is not like 2020.02.13_15.02.01") from None
    lon, lat = _number(where, text, "Longitude"), _number(where, text, "Latitude")
    if lon is None or lat is None or not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise LinkError(f"{where}: {text['Longitude']}, {text['Latitude']} is no position in degrees")
    idle = text.get("State") == _IDLE
    up, down = (None if idle else _rate(where, text, name) for name in ("UL_bitrate", "DL_bitrate"))
    rsrp = _number(where, text, "RSRP")
    reception = Reception(text.get("CellID") or None, rsrp, text.get("NetworkMode") or None)
    return Row(at, lon, lat, (up, down), reception)


def _number(where: str, text: Mapping[str, str], name: str) -> float | None:
    if text[name].lower() in _NO_VALUE:
        return None
    try:
        value = float(text[name])
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise LinkError(f"{where}: {name} {text[name]!r} is no number")
    return value


def _rate(where: str, text: Mapping[str, str], name: str) -> float | None:
    kbit_s = _number(where, text, name)
    if kbit_s is None:
        return None
    if kbit_s < 0:
        raise LinkError(f"{where}: {name} {text[name]} is below 0")
    return kbit_s * 1000.0 / 8.0


def _log(rows: Sequence[Row]) -> DriveLog:
    begin = rows[0].at
    of_second = Counter(row.at for row in rows)
    starts: list[float] = []
    seen: Counter[datetime] = Counter()
    for row in rows:
        starts.append((row.at - begin).total_seconds() + seen[row.at] / of_second[row.at])
        seen[row.at] += 1
    return DriveLog(
        starts_s=starts,
        rates=list(
            zip(_held([row.rates[0] for row in rows]), _held([row.rates[1] for row in rows]), strict=True)
        ),
        receptions=[row.reception for row in rows],
        positions=[(row.lon, row.lat) for row in rows],
        period_s=(rows[-1].at - begin).total_seconds() + 1.0,
    )


def _held(measured: Sequence[float | None]) -> list[float]:
    """Each value, or the last one before it; before the first, the first; 0 where there is none at all."""
    held = next((value for value in measured if value is not None), 0.0)
    values = []
    for value in measured:
        held = held if value is None else value
        values.append(held)
    return values
