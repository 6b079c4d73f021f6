"""GPX: one trace a track; routes where the file has no track. Waypoints are no drive and are passed over.

GPX seldom carries speed and course. Where a point has none, they are worked out from it and the point
before, as a satellite receiver without Doppler would. Elevation is `alt`; other extension values are
kept as extra keys by their tag.

Points without a time: between two that have one, they are spread by distance; where the track has no
times at all, or before the first and after the last, the vehicle is taken to drive at 40 km/h and to
take at least a second from point to point.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import gpxpy
import gpxpy.gpx
from pyproj import Geod

from fleetcell.contract.signals import CATALOGUE
from vehicle_sim.readers.trace import Reading, Signals, Trace, finite, position_problem
from vehicle_sim.readers.xml import XmlHandler, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from xml.etree.ElementTree import Element
    from xml.sax.xmlreader import AttributesImpl

    from vehicle_sim.readers.files import TraceFile

    Point = gpxpy.gpx.GPXTrackPoint | gpxpy.gpx.GPXRoutePoint

_GEOD: Final = Geod(ellps="WGS84")
_UNTIMED_SPEED_MS: Final = 40 / 3.6
_STILL_M: Final = 0.5  # below this the course between two points is noise
_EXTENSION_KEYS: Final = {"speed": ("speed", 3.6), "course": ("heading", 1.0), "bearing": ("heading", 1.0)}


def read_gpx(file: TraceFile) -> list[Trace]:
    """One trace a track or route with points.

    Raises:
        TraceError: cut off, malformed, not GPX, a bad position or time, or no points.
    """
    # The check comes first: it refuses entities, and knows the lines that gpxpy does not tell.
    parse_xml(file, _GpxCheck(file))
    try:
        gpx = gpxpy.parse(b"".join(file.chunks()))
    except (gpxpy.gpx.GPXException, ValueError) as error:
        raise file.error(f"not GPX: {error}") from error
    drives: list[tuple[str | None, list[Point]]]
    drives = [(t.name, [p for s in t.segments for p in s.points]) for t in gpx.tracks]
    drives = [d for d in drives if d[1]] or [(r.name, [*r.points]) for r in gpx.routes if r.points]
    if not drives:
        raise file.error("no track point and no route point in the whole file")
    timed = [_times(points) for _, points in drives]
    dated = [any(p.time for p in points) for _, points in drives]
    # Tracks with times share one clock; those without begin with it.
    first = min((min(ts) for ts, known in zip(timed, dated, strict=True) if known), default=0.0)
    start = datetime.fromtimestamp(first, UTC) if any(dated) else None
    traces: list[Trace] = []
    for (name, points), ts, known in zip(drives, timed, dated, strict=True):
        base = first if known else ts[0]
        readings = [
            Reading(round(t - base, 3), s) for t, s in sorted(_readings(points, ts), key=lambda r: r[0])
        ]
        vehicle = file.stem if len(drives) == 1 else f"{file.stem}-{name or len(traces) + 1}"
        traces.append(Trace(vehicle, f"{file.path} ({name or 'unnamed'})", readings, start))
    return traces


class _GpxCheck(XmlHandler):
    """Positions, times and elevations of the points, with their lines."""

    def __init__(self, file: TraceFile) -> None:
        super().__init__(file)
        self._prefix: str | None = None  # of GPX's own elements; extensions have others
        self._depth_in_point = 0
        self._text: str | None = None

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX's name
        if self._prefix is None:
            if name.rpartition(":")[2] != "gpx":
                raise self.error(f"the root element is <{name}>, not <gpx>: this is not GPX")
            self._prefix = name.removesuffix("gpx")
        tag = name.removeprefix(self._prefix)
        if self._depth_in_point:
            self._depth_in_point += 1
            if self._depth_in_point == 2 and tag in {"time", "ele"}:
                self._text = ""
        elif tag in {"trkpt", "rtept"}:
            self._depth_in_point = 1
            self._check_position(attrs.get("lat"), attrs.get("lon"))

    def characters(self, content: str) -> None:
        if self._text is not None:
            self._text += content

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX's name
        if not self._depth_in_point:
            return
        self._depth_in_point -= 1
        if self._text is None:
            return
        text, self._text = self._text.strip(), None
        if not text:
            return  # an empty element says nothing
        time = name.endswith("time")
        try:
            if time:
                datetime.fromisoformat(text)
            else:
                finite(text)
        except ValueError:
            raise self.error(f"<{name}> {text!r} is not a {'time' if time else 'number'}") from None

    def _check_position(self, lat: str | None, lon: str | None) -> None:
        if lat is None or lon is None:
            raise self.error("a point without lat and lon")
        try:
            problem = position_problem(finite(lat), finite(lon))
        except ValueError:
            raise self.error(f"lat {lat!r}, lon {lon!r}: not numbers") from None
        if problem:
            raise self.error(problem)


def _steps(points: Sequence[Point]) -> list[tuple[float, float]]:
    """(distance in m, course in degrees) from each point's predecessor; (0, 0) for the first."""
    if len(points) < 2:
        return [(0.0, 0.0)] * len(points)
    lons, lats = [p.longitude for p in points], [p.latitude for p in points]
    courses, _, distances = _GEOD.inv(lons[:-1], lats[:-1], lons[1:], lats[1:])
    return [(0.0, 0.0), *((float(d), float(c) % 360) for d, c in zip(distances, courses, strict=True))]


def _times(points: Sequence[Point]) -> list[float]:
    """Seconds since 1970 of each point where the track has times, else since its first point."""
    known = [None if p.time is None else _utc(p.time).timestamp() for p in points]
    along = [0.0]
    for distance, _ in _steps(points)[1:]:
        along.append(along[-1] + max(distance, _UNTIMED_SPEED_MS))  # at least a second each
    anchors = [i for i, t in enumerate(known) if t is not None]
    if not anchors:
        return [a / _UNTIMED_SPEED_MS for a in along]
    times: list[float] = []
    for i, t in enumerate(known):
        if t is not None:
            times.append(t)
            continue
        before = max((a for a in anchors if a < i), default=None)
        after = min((a for a in anchors if a > i), default=None)
        if before is not None and after is not None:
            t0, t1 = known[before], known[after]
            assert t0 is not None
            assert t1 is not None
            share = (along[i] - along[before]) / (along[after] - along[before])
            times.append(t0 + (t1 - t0) * share)
        else:
            anchor = before if before is not None else after
            assert anchor is not None
            t0 = known[anchor]
            assert t0 is not None
            times.append(t0 + (along[i] - along[anchor]) / _UNTIMED_SPEED_MS)
    return times


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _readings(points: Sequence[Point], times: Sequence[float]) -> Iterable[tuple[float, Signals]]:
    steps = _steps(points)
    # Before it moves, a vehicle stands as it will set off.
    heading = next((round(course, 2) for distance, course in steps if distance > _STILL_M), None)
    before = times[0]
    for point, t, (distance, course) in zip(points, times, steps, strict=True):
        signals: Signals = {"lat": point.latitude, "lon": point.longitude}
        if point.elevation is not None:
            signals["alt"] = point.elevation
        if distance > _STILL_M:
            heading = round(course, 2)
        if heading is not None:
            signals["heading"] = heading
        if t > before:
            signals["speed"] = round(distance / (t - before) * 3.6, 2)
        signals.update(_own(point))
        before = t
        yield t, signals


def _own(point: Point) -> Signals:
    """What the point itself says beside its place and time."""
    signals: Signals = {}
    if isinstance(point, gpxpy.gpx.GPXTrackPoint):
        if point.speed is not None:
            signals["speed"] = round(point.speed * 3.6, 2)
        if point.course is not None:
            signals["heading"] = point.course
    for extension in point.extensions:
        for element in extension.iter():
            signals.update(_extension(element))
    return signals


def _extension(element: Element) -> Signals:
    tag, text = element.tag.rpartition("}")[2], (element.text or "").strip()
    if not text:
        return {}
    try:
        number = finite(text)
    except ValueError:
        return {f"gpx_{tag}" if tag in CATALOGUE else tag: text}
    key, factor = _EXTENSION_KEYS.get(tag, (f"gpx_{tag}" if tag in CATALOGUE else tag, 1.0))
    return {key: round(number * factor, 6)}
