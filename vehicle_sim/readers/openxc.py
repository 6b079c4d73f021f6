"""OpenXC: one JSON object a line, `{"name", "value", "event"?, "timestamp"}`; one trace a file.

OpenXC sends each signal by itself, some a hundred times a second. Messages are sorted by time and
gathered into readings: a reading takes what comes within 100 ms of its first message, and ends earlier
when a signal comes again with another value. So no value is lost, and a value that only repeats itself
makes no reading of its own.

Names that the catalogue has get its wire keys; all others are kept under their OpenXC names. A state
that a wire key holds only in part (ignition `accessory`, gear `park`) is kept in words beside it. Of a
message with an `event` (`door_status`, value `driver`, event true) the key is name and value.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fleetcell.contract.signals import CATALOGUE
from vehicle_sim.readers.trace import Reading, Signals, Trace, Value, position_problem

if TYPE_CHECKING:
    from vehicle_sim.readers.files import TraceFile

_WINDOW_S: Final = 0.1
_CLOCK_GRAIN_S: Final = 1e-6  # a double of seconds since 1970 is no finer

_KEYS: Final = {
    "latitude": "lat",
    "longitude": "lon",
    "altitude": "alt",
    "vehicle_speed": "speed",
    "heading": "heading",
    "odometer": "odo",
    "battery_level": "soc",
    "fuel_level": "fuel",
    "engine_speed": "rpm",
    "engine_coolant_temperature": "coolant",
    "accelerator_pedal_position": "throttle",
    "steering_wheel_angle": "steering",
}
_GEARS: Final = {
    gear: number
    for number, gear in enumerate(
        ("reverse", "neutral", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
         "ninth", "tenth"),
        start=-1,
    )
}  # fmt: skip


class _Message(msgspec.Struct):
    name: str
    value: Any
    timestamp: float
    event: Any = None


def read_openxc(file: TraceFile) -> list[Trace]:
    """The file's one trace.

    Raises:
        TraceError: cut off, a line that is no OpenXC message, a bad position, or no message at all.
    """
    decoder = msgspec.json.Decoder(_Message)
    messages: list[tuple[float, Signals]] = []
    for line in file.lines():
        if not line.strip():
            continue
        try:
            message = decoder.decode(line)
            messages.append((message.timestamp, _signals(message)))
        except msgspec.DecodeError as error:  # ValidationError is one
            raise file.error(f"not an OpenXC message: {error}") from error
        except ValueError as error:
            raise file.error(str(error)) from error
    if not messages:
        raise file.error("no message in the whole file")
    messages.sort(key=lambda m: m[0])
    first = messages[0][0]
    try:
        start = datetime.fromtimestamp(first, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise file.error(f"timestamp {first:g} is not in seconds since 1970", line=1) from error
    return [Trace(file.stem, str(file.path), _gather(messages, first), start)]


def _signals(message: _Message) -> Signals:
    name, value = message.name, message.value
    if not name:
        raise ValueError("a message without a name")
    if message.event is not None:
        return {f"{name}_{value}": _plain(name, message.event)}
    plain = _plain(name, value)
    match name:
        case "ignition_status":
            return {"ignition": plain in {"run", "start"}, name: plain}
        case "transmission_gear_position":
            gear = _GEARS.get(str(plain))
            return {name: plain} if gear is None else {"gear": gear, name: plain}
        case "brake_pedal_status" if isinstance(plain, bool):
            return {"brake": 100.0 if plain else 0.0}
    key = _KEYS.get(name, f"openxc_{name}" if name in CATALOGUE else name)
    if key in CATALOGUE and (isinstance(plain, bool) or not isinstance(plain, int | float)):
        raise ValueError(f"{name} {value!r} is not a number")
    if key in {"lat", "lon"}:
        lat, lon = (float(plain), 0.0) if key == "lat" else (0.0, float(plain))
        if problem := position_problem(lat, lon):
            raise ValueError(problem)
    return {key: plain}


def _plain(name: str, value: object) -> Value:
    if isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"the value of {name} is {type(value).__name__}, not a number, text or truth value")


def _gather(messages: list[tuple[float, Signals]], first: float) -> list[Reading]:
    readings: list[Reading] = []
    begun, gathered = first, dict[str, Value]()
    for t, signals in messages:
        changed = any(key in gathered and gathered[key] != value for key, value in signals.items())
        if gathered and (changed or t - begun >= _WINDOW_S - _CLOCK_GRAIN_S):
            readings.append(Reading(round(begun - first, 6), gathered))
            gathered = {}
        if not gathered:
            begun = t
        gathered.update(signals)
    readings.append(Reading(round(begun - first, 6), gathered))
    return _whole_positions(readings)


def _whole_positions(readings: list[Reading]) -> list[Reading]:
    """Latitude and longitude come in messages of their own: give half a position its last known half."""
    last: Signals = {}
    for _, signals in readings:
        last.update({key: signals[key] for key in ("lat", "lon") if key in signals})
        if ("lat" in signals) != ("lon" in signals):
            signals.update(last)
            # The other half may come only later in the file: until then there is no position to report.
            if len(last) < 2:
                signals.pop("lat", None)
                signals.pop("lon", None)
    return [r for r in readings if r.signals]
