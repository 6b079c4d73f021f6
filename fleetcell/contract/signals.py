"""The signal catalogue: what a wire key means (VSS path, unit, range) and where it is stored.

Paths and units follow the COVESA Vehicle Signal Specification where it has the signal; the others carry
a path under `Vehicle.Private`. A signal with a column is stored typed; one without, and any key that
the catalogue does not know, goes to the `extra` JSON column under its wire key: nothing is lost.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Any, Final

import msgspec


class Datatype(StrEnum):
    """How a signal's value is typed, on the wire and in its column."""

    DOUBLE = "double"
    INT = "int"
    BOOL = "bool"
    TEXT = "text"
    TEXTS = "text[]"


class Signal(msgspec.Struct, frozen=True):
    """One signal; `low` and `high` are inclusive, in `unit` (UCUM-like, empty where it has none)."""

    key: str
    vss: str
    unit: str
    label: str
    datatype: Datatype = Datatype.DOUBLE
    low: float | None = None
    high: float | None = None
    column: str | None = None


def _hot(
    key: str,
    vss: str,
    unit: str,
    label: str,
    low: float | None = None,
    high: float | None = None,
    datatype: Datatype = Datatype.DOUBLE,
) -> Signal:
    return Signal(f"{key}", vss, unit, label, datatype, low, high, column=key)


_SIGNALS: Final = (
    _hot("lat", "Vehicle.CurrentLocation.Latitude", "°", "Latitude", -90, 90),
    _hot("lon", "Vehicle.CurrentLocation.Longitude", "°", "Longitude", -180, 180),
    _hot("alt", "Vehicle.CurrentLocation.Altitude", "m", "Altitude", -500, 12000),
    _hot("acc", "Vehicle.CurrentLocation.HorizontalAccuracy", "m", "Position accuracy", 0, 100000),
    _hot("speed", "Vehicle.Speed", "km/h", "Speed", -150, 500),
    _hot("heading", "Vehicle.CurrentLocation.Heading", "°", "Heading", 0, 360),
    _hot("odo", "Vehicle.TraveledDistance", "km", "Odometer", 0, 10_000_000),
    _hot("soc", "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current", "%", "State of charge", 0, 100),
    _hot("fuel", "Vehicle.Powertrain.FuelSystem.RelativeLevel", "%", "Fuel level", 0, 100),
    _hot("range", "Vehicle.Powertrain.Range", "km", "Range", 0, 5000),
    _hot("rpm", "Vehicle.Powertrain.CombustionEngine.Speed", "1/min", "Engine speed", 0, 20000),
    _hot(
        "coolant", "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", "°C", "Coolant", -60, 200
    ),
    _hot("lvbat", "Vehicle.LowVoltageBattery.CurrentVoltage", "V", "12 V battery", 0, 60),
    _hot("ignition", "Vehicle.Private.IsIgnitionOn", "", "Ignition", datatype=Datatype.BOOL),
    _hot(
        "gear",
        "Vehicle.Powertrain.Transmission.CurrentGear",
        "",
        "Gear (-1 reverse, 0 neutral)",
        -4,
        24,
        Datatype.INT,
    ),
    _hot("brake", "Vehicle.Chassis.Brake.PedalPosition", "%", "Brake pedal", 0, 100),
    _hot("rsrp", "Vehicle.Private.Connectivity.RSRP", "dBm", "Signal strength (RSRP)", -200, 0),
    _hot("rat", "Vehicle.Private.Connectivity.RadioAccess", "", "Radio access", datatype=Datatype.TEXT),
    _hot("cell", "Vehicle.Private.Connectivity.CellId", "", "Radio cell", datatype=Datatype.TEXT),
    Signal("dtc", "Vehicle.OBD.DTCList", "", "Trouble codes", Datatype.TEXTS),
    Signal(
        "throttle",
        "Vehicle.Chassis.Accelerator.PedalPosition",
        "%",
        "Accelerator pedal",
        Datatype.DOUBLE,
        0,
        100,
    ),
    Signal(
        "steering",
        "Vehicle.Chassis.SteeringWheel.Angle",
        "°",
        "Steering wheel angle",
        Datatype.DOUBLE,
        -2000,
        2000,
    ),
)

CATALOGUE: Final[dict[str, Signal]] = {signal.key: signal for signal in _SIGNALS}
HOT: Final[tuple[Signal, ...]] = tuple(signal for signal in _SIGNALS if signal.column)

MAX_TEXT: Final = 64
MAX_EXTRA_KEYS: Final = 128
_KEY = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


def check_signals(signals: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Sort the good values of a reading from the bad.

    A null is "not available" and is left out without complaint. A value out of range or of another
    type than the catalogue's is left out and named in the problems, and the rest is kept.

    Returns:
        The accepted values by wire key, and one line for each value that was refused.
    """
    accepted: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in signals.items():
        if value is None:
            continue
        signal = CATALOGUE.get(key)
        if signal is None:
            if not _KEY.fullmatch(key) or len(accepted) >= MAX_EXTRA_KEYS:
                problems.append(f"{key[:64]!r}: not a key of 1 to 64 characters, or one too many")
            elif not storable(value):
                problems.append(f"{key}: holds a NUL character or a number that is not finite")
            else:
                accepted[key] = value
            continue
        problem = _problem(signal, value)
        if problem is None:
            accepted[key] = value
        else:
            problems.append(f"{key}: {problem}")
    if ("lat" in accepted) != ("lon" in accepted):  # half a position is none
        problems.append("lat and lon: one without the other")
        accepted.pop("lat", None)
        accepted.pop("lon", None)
    return accepted, problems


def _problem(signal: Signal, value: Any) -> str | None:
    match signal.datatype:
        case Datatype.DOUBLE | Datatype.INT:
            whole = signal.datatype is Datatype.INT
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                return f"{_shown(value)} is not {'a whole number' if whole else 'a number'}"
            low = -math.inf if signal.low is None else signal.low
            high = math.inf if signal.high is None else signal.high
            if not low <= value <= high:  # NaN too
                return f"{_shown(value)} is outside {low:g} to {high:g} {signal.unit}".rstrip()
        case Datatype.BOOL:
            if not isinstance(value, bool):
                return f"{_shown(value)} is not true or false"
        case Datatype.TEXT:
            if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
                return f"{_shown(value)} is not a text of at most {MAX_TEXT} characters"
        case Datatype.TEXTS:
            if not isinstance(value, list) or not all(
                isinstance(v, str) and len(v) <= MAX_TEXT for v in value
            ):
                return f"{_shown(value)} is not a list of texts"
    return None


def storable(value: Any) -> bool:
    """Whether PostgreSQL's jsonb can hold the value."""
    match value:
        case float():
            return math.isfinite(value)
        case str():
            return "\0" not in value
        case list():
            return all(storable(item) for item in value)
        case dict():
            return all(
                isinstance(name, str) and "\0" not in name and storable(item) for name, item in value.items()
            )
        case bytes():  # MessagePack's bin: no JSON
            return False
        case _:
            return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
