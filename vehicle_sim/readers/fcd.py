"""SUMO floating-car data (`--fcd-output`, with `--fcd-output.geo`): one trace a vehicle.

`x` and `y` are longitude and latitude, `z` the altitude in m, `speed` m/s (km/h here), `angle` degrees
clockwise from north. Other attributes (type, lane, pos, slope, ...) are kept as extra keys. Persons and
containers are no vehicles and are passed over. Times are seconds or `[D:]HH:MM:SS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.contract.signals import CATALOGUE
from vehicle_sim.readers.trace import Reading, Signals, Trace, Value, finite, position_problem
from vehicle_sim.readers.xml import XmlHandler, parse_xml

if TYPE_CHECKING:
    from xml.sax.xmlreader import AttributesImpl

    from vehicle_sim.readers.files import TraceFile

# attribute -> (wire key, factor to the wire's unit)
_NUMBERS: Final = {
    "x": ("lon", 1.0),
    "y": ("lat", 1.0),
    "z": ("alt", 1.0),
    "speed": ("speed", 3.6),
    "angle": ("heading", 1.0),
    "odometer": ("odo", 0.001),
    "pos": ("pos", 1.0),
    "posLat": ("posLat", 1.0),
    "slope": ("slope", 1.0),
    "acceleration": ("acceleration", 1.0),
    "accelerationLat": ("accelerationLat", 1.0),
    "distance": ("distance", 1.0),
}


def read_fcd(file: TraceFile) -> list[Trace]:
    """One trace a vehicle id, in the order of their first appearance.

    Raises:
        TraceError: cut off, malformed, not FCD, not geographic, or a bad number.
    """
    handler = _FcdHandler(file)
    parse_xml(file, handler)
    if handler.first is None or not handler.vehicles:
        raise file.error("no vehicle in the whole file")
    first = handler.first
    return [
        Trace(
            vehicle=vehicle,
            source=f"{file.path} ({vehicle})",
            readings=sorted((Reading(round(t - first, 6), s) for t, s in readings), key=lambda r: r.t_s),
            start=None,
        )
        for vehicle, readings in handler.vehicles.items()
    ]


class _FcdHandler(XmlHandler):
    def __init__(self, file: TraceFile) -> None:
        super().__init__(file)
        self.vehicles: dict[str, list[tuple[float, Signals]]] = {}
        self.first: float | None = None
        self._root_seen = False
        self._time: float | None = None
        self._texts: dict[str, str] = {}  # lane and type names repeat: keep each once

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX's name
        if name == "vehicle":
            self._vehicle(dict(attrs.items()))
        elif name == "timestep":
            self._time = self._timestep(attrs.get("time"))
            self.first = self._time if self.first is None else min(self.first, self._time)
        elif not self._root_seen and name != "fcd-export":
            raise self.error(
                f"the root element is <{name}>, not <fcd-export>: this is not SUMO floating-car data"
            )
        self._root_seen = True

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX's name
        if name == "timestep":
            self._time = None

    def _timestep(self, text: str | None) -> float:
        if text is None:
            raise self.error("a <timestep> without time")
        parts = text.split(":")
        try:
            numbers = [finite(part) for part in parts]
        except ValueError:
            numbers = []
        match numbers:
            case [seconds]:
                return seconds
            case [hours, minutes, seconds]:
                return hours * 3600 + minutes * 60 + seconds
            case [days, hours, minutes, seconds]:
                return days * 86400 + hours * 3600 + minutes * 60 + seconds
        raise self.error(f"time {text!r} is neither seconds nor [D:]HH:MM:SS")

    def _vehicle(self, attrs: dict[str, str]) -> None:
        if self._time is None:
            raise self.error("a <vehicle> outside a <timestep>")
        vehicle = attrs.pop("id", "")
        if not vehicle:
            raise self.error("a <vehicle> without id")
        if "x" not in attrs or "y" not in attrs:
            raise self.error(f"vehicle {vehicle!r} has no x and y")
        signals = self._signals(attrs)
        lat, lon = signals["lat"], signals["lon"]
        if problem := position_problem(float(lat), float(lon)):
            raise self.error(
                f"vehicle {vehicle!r}: {problem} (x and y must be degrees: run SUMO with --fcd-output.geo)"
            )
        self.vehicles.setdefault(vehicle, []).append((self._time, signals))

    def _signals(self, attrs: dict[str, str]) -> Signals:
        signals: Signals = {}
        for name, text in attrs.items():
            if name in _NUMBERS:
                key, factor = _NUMBERS[name]
                try:
                    number = finite(text)
                except ValueError:
                    raise self.error(f"{name} {text!r} is not a number") from None
                signals[key] = number if factor == 1.0 else round(number * factor, 6)
            else:
                # An attribute that happens to bear a wire key's name means something else here.
                signals[f"sumo_{name}" if name in CATALOGUE else name] = self._kept(text)
        return signals

    def _kept(self, text: str) -> Value:
        return self._texts.setdefault(text, text)
