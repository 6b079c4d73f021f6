"""Readings as CSV, NDJSON, GeoJSON and GPX, made piece by piece for streams of any length. Pure."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from dashboard.telemetry.selection import Selection

_encode: Final = msgspec.json.Encoder().encode
Items = Iterable[dict[str, Any]]


class Format(StrEnum):
    """How telemetry is answered."""

    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    GEOJSON = "geojson"
    GPX = "gpx"


MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.NDJSON: "application/x-ndjson",
    Format.GEOJSON: "application/geo+json",
    Format.GPX: "application/gpx+xml",
}


class Writer(ABC):
    """One format: `head`, then `body` for each portion of readings, then `tail`."""

    def head(self) -> str:
        """What comes before the first reading."""
        return ""

    @abstractmethod
    def body(self, items: Items) -> str:
        """Some readings."""

    def tail(self) -> str:
        """What comes after the last."""
        return ""


class CsvWriter(Writer):
    """A header, then a line for each reading (RFC 4180); lists and objects as JSON.

    Without named signals the keys outside the catalogue share one last column, `extra`, as JSON.
    """

    def __init__(self, selection: Selection) -> None:
        self._keys = selection.keys
        self._rest = selection.everything

    def head(self) -> str:
        return _csv_line(
            ["time", "vehicle", "boot", "seq", "received_at", "quality", *self._keys]
            + (["extra"] if self._rest else [])
        )

    def body(self, items: Items) -> str:
        lines = []
        for item in items:
            signals = item["signals"]
            cells = [
                utc(item["time"]),
                item["vehicle"],
                item["boot"],
                item["seq"],
                utc(item["received_at"]),
                item["quality"],
                *(_cell(signals.get(key)) for key in self._keys),
            ]
            if self._rest:
                rest = {key: value for key, value in signals.items() if key not in self._keys}
                cells.append(_cell(rest) if rest else "")
            lines.append(_csv_line(cells))
        return "".join(lines)


class BucketCsvWriter(Writer):
    """A header, then a line for each bucket; a column `key_aggregate` for each aggregate."""

    def __init__(self, columns: Iterable[tuple[str, str]], *, vehicle: bool) -> None:
        self._columns = list(columns)
        self._vehicle = ["vehicle"] if vehicle else []

    def head(self) -> str:
        return _csv_line(["time", *self._vehicle, "count", *(f"{key}_{name}" for key, name in self._columns)])

    def body(self, items: Items) -> str:
        return "".join(
            _csv_line(
                [
                    utc(item["time"]),
                    *(item[name] for name in self._vehicle),
                    item["count"],
                    *(_cell(item["signals"].get(key, {}).get(name)) for key, name in self._columns),
                ]
            )
            for item in items
        )


class NdjsonWriter(Writer):
    """One reading a line, as in JSON answers."""

    def body(self, items: Items) -> str:
        return "".join(_encode(item).decode() + "\n" for item in items)


class GeoJsonWriter(Writer):
    """A FeatureCollection (RFC 7946) of points; readings without a position are counted at its end."""

    def __init__(self) -> None:
        self._separator = ""
        self._without = 0

    def head(self) -> str:
        return '{"type":"FeatureCollection","features":['

    def body(self, items: Items) -> str:
        parts = []
        for item in items:
            signals = dict(item["signals"])
            lat, lon = signals.pop("lat", None), signals.pop("lon", None)
            if lat is None or lon is None:
                self._without += 1
                continue
            altitude = signals.get("alt")
            feature = {
                "type": "Feature",
                "geometry": {
                    "type": "Point",
                    "coordinates": [lon, lat] if altitude is None else [lon, lat, altitude],
                },
                "properties": {
                    "time": item["time"],
                    "vehicle": item["vehicle"],
                    "seq": item["seq"],
                    **signals,
                },
            }
            parts.append(self._separator + _encode(feature).decode())
            self._separator = ","
        return "".join(parts)

    def tail(self) -> str:
        return f'],"without_position":{self._without}}}'


class GpxWriter(Writer):
    """GPX 1.1: a track for each vehicle, a segment for each boot."""

    def __init__(self) -> None:
        self._vehicle: str | None = None
        self._boot: str | None = None

    def head(self) -> str:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<gpx version="1.1" creator="fleetcell" xmlns="http://www.topografix.com/GPX/1/1">\n'
        )

    def body(self, items: Items) -> str:
        parts = []
        for item in items:
            signals = item["signals"]
            if "lat" not in signals or "lon" not in signals:
                continue
            parts.append(self._open(item["vehicle"], item["boot"]))
            parts.append(f'<trkpt lat="{signals["lat"]:.7f}" lon="{signals["lon"]:.7f}">')
            if "alt" in signals:
                parts.append(f"<ele>{signals['alt']:.2f}</ele>")
            parts.append(f"<time>{utc(item['time'])}</time></trkpt>\n")
        return "".join(parts)

    def tail(self) -> str:
        return self._close() + "</gpx>\n"

    def _open(self, vehicle: str, boot: str) -> str:
        if vehicle == self._vehicle and boot == self._boot:
            return ""
        if vehicle == self._vehicle:
            opened = "</trkseg>\n<trkseg>\n"
        else:
            opened = f"{self._close()}<trk><name>{escape(vehicle)}</name>\n<trkseg>\n"
        self._vehicle, self._boot = vehicle, boot
        return opened

    def _close(self) -> str:
        return "</trkseg></trk>\n" if self._vehicle is not None else ""


def writer_of(kind: Format, selection: Selection) -> Writer:
    """The writer of readings in a format other than JSON."""
    makers: dict[Format, Callable[[], Writer]] = {
        Format.CSV: lambda: CsvWriter(selection),
        Format.NDJSON: NdjsonWriter,
        Format.GEOJSON: GeoJsonWriter,
        Format.GPX: GpxWriter,
    }
    return makers[kind]()


def pieces(writer: Writer, items: Items) -> Iterator[str]:
    """A whole answer from one portion."""
    yield writer.head()
    yield writer.body(items)
    yield writer.tail()


def utc(moment: datetime) -> str:
    """RFC 3339 in UTC, as in JSON answers."""
    return moment.isoformat().replace("+00:00", "Z")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return _encode(value).decode()
    return value


def _csv_line(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue()
