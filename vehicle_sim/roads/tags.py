"""What OpenStreetMap's tags say about driving: may a car, which way, how fast, who must stop. Pure.

Meanings and defaults follow the OpenStreetMap wiki (Key:highway, Key:access, Key:oneway, Key:maxspeed);
speeds without a tag are Finland's for the class of road.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    Tags = Mapping[str, str]

# Drivable classes, with the speed in km/h where no maxspeed is tagged. Service roads are left out:
# they are yards and parking aisles.
DEFAULT_SPEED: Final[dict[str, int]] = {
    "motorway": 120,
    "motorway_link": 80,
    "trunk": 80,
    "trunk_link": 60,
    "primary": 60,
    "primary_link": 50,
    "secondary": 50,
    "secondary_link": 50,
    "tertiary": 50,
    "tertiary_link": 40,
    "unclassified": 40,
    "residential": 30,
    "living_street": 20,
}
# The place of a class in the order above: the lower, the more important.
RANK: Final[dict[str, int]] = {kind: rank for rank, kind in enumerate(DEFAULT_SPEED)}

_ZONE_SPEED: Final = {"motorway": 120, "trunk": 100, "rural": 80, "urban": 50, "living_street": 20, "walk": 7}
_KMH_PER: Final = {"": 1.0, "km/h": 1.0, "kmh": 1.0, "kph": 1.0, "mph": 1.609344, "knots": 1.852}
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z/]*)")
_INCLINE: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(%|°)")
_HEIGHT: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*m?")
_UP: Final = 0.04  # chosen, for who only says that it goes up
_STEEPEST: Final = 0.5  # the steepest streets have 0.35
_DEEPEST_M: Final = -450.0  # the shore of the Dead Sea
_HIGHEST_M: Final = 6500.0  # roads end below
_FASTEST: Final = 150
_SLOWEST: Final = 5

# The most specific key decides.
_ACCESS_KEYS: Final = ("motorcar", "motor_vehicle", "vehicle", "access")
_CLOSED: Final = frozenset({"no", "private", "agricultural", "forestry", "emergency", "military"})


class Control(StrEnum):
    """What a driver meets at the end of a road."""

    SIGNAL = "signal"
    STOP = "stop"
    GIVE_WAY = "give_way"


_CONTROLS: Final = {"traffic_signals": Control.SIGNAL, "stop": Control.STOP, "give_way": Control.GIVE_WAY}


@dataclass(frozen=True, slots=True)
class Incline:
    """Rise over run in the order of the way's nodes; not `told`: only up or down is, the rest is chosen."""

    slope: float
    told: bool


@dataclass(frozen=True, slots=True)
class WayTags:
    """One way as driven. Speeds in km/h; `forward` is the order of the way's nodes."""

    kind: str
    name: str
    forward: bool
    backward: bool
    speed_forward: int
    speed_backward: int
    tunnel: bool
    bridge: bool
    incline: Incline | None = None


@dataclass(frozen=True, slots=True)
class NodeControl:
    """A signal or sign on a node; it holds for one direction of its way, for both, or (None) was not told."""

    control: Control
    forward: bool | None
    backward: bool | None


def way_tags(tags: Tags) -> WayTags | None:
    """The way as driven, or None when it is not for cars."""
    kind = tags.get("highway", "")
    if kind not in DEFAULT_SPEED or tags.get("area") == "yes":
        return None
    access = next((tags[key] for key in _ACCESS_KEYS if key in tags), "yes")
    if access in _CLOSED:
        return None
    forward, backward = _directions(kind, tags)
    return WayTags(
        kind=kind,
        name=tags.get("name", ""),
        forward=forward,
        backward=backward,
        speed_forward=_speed(kind, tags, "maxspeed:forward"),
        speed_backward=_speed(kind, tags, "maxspeed:backward"),
        tunnel=tags.get("tunnel", "no") != "no" or tags.get("covered") == "yes",
        bridge=tags.get("bridge", "no") != "no",
        incline=parse_incline(tags.get("incline", "")),
    )


def _directions(kind: str, tags: Tags) -> tuple[bool, bool]:
    match tags.get("oneway:motor_vehicle", tags.get("oneway")):
        case "yes" | "true" | "1" | "reversible":
            return True, False
        case "-1" | "reverse":
            return False, True
        case "no" | "false" | "0" | "alternating":
            return True, True
    implied = tags.get("junction") in {"roundabout", "circular"} or kind in {"motorway", "motorway_link"}
    return True, not implied


def _speed(kind: str, tags: Tags, own: str) -> int:
    for key in (own, "maxspeed"):
        speed = parse_speed(tags.get(key, ""))
        if speed is not None:
            return speed
    for key in ("maxspeed:type", "source:maxspeed", "zone:maxspeed"):
        if ":" in tags.get(key, "") and (speed := parse_speed(tags[key])) is not None:
            return speed
    return DEFAULT_SPEED[kind]


def parse_speed(text: str) -> int | None:
    """A maxspeed tag in km/h; None when it is no speed (`signals`, `variable`, nonsense).

    Takes `50`, `50 km/h`, `30 mph`, `none`, `walk`, a country's zone (`FI:urban`, `DE:zone:30`), and of
    several values (`50;30`) the lowest.
    """
    speeds = [_one_speed(part.strip().lower()) for part in text.split(";")]
    known = [speed for speed in speeds if speed is not None]
    return min(known) if known else None


def _one_speed(text: str) -> int | None:
    if text == "none":
        return _FASTEST
    text = text.rpartition(":")[2].removeprefix("zone")
    if text in _ZONE_SPEED:
        return _ZONE_SPEED[text]
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in _KMH_PER:
        return None
    speed = round(float(match[1]) * _KMH_PER[match[2]])
    return min(max(speed, _SLOWEST), _FASTEST) if speed > 0 else None


def parse_incline(text: str) -> Incline | None:
    """An incline tag (`10%`, `-5 %`, `3°`, `up`, `down`); None when it is none that a road has."""
    text = text.strip().lower()
    if text in {"up", "down"}:
        return Incline(_UP if text == "up" else -_UP, told=False)
    match = _INCLINE.fullmatch(text.replace(",", "."))
    if match is None:
        return None
    slope = float(match[1])
    slope = slope / 100 if match[2] == "%" else math.tan(math.radians(slope)) if abs(slope) < 90 else math.inf
    return Incline(slope, told=True) if abs(slope) <= _STEEPEST else None


def parse_height(text: str) -> float | None:
    """An `ele` tag in metres above the sea (`12.5`, `12 m`); None when it is no height on this Earth."""
    match = _HEIGHT.fullmatch(text.strip().lower())
    height = float(match[1]) if match else math.inf
    return height if _DEEPEST_M <= height <= _HIGHEST_M else None


def node_control(tags: Tags) -> NodeControl | None:
    """The signal or sign on a node, or None."""
    control = _CONTROLS.get(tags.get("highway", ""))
    if control is None:
        return None
    match tags.get("traffic_signals:direction", tags.get("direction")):
        case "forward":
            return NodeControl(control, forward=True, backward=False)
        case "backward":
            return NodeControl(control, forward=False, backward=True)
        case "both":
            return NodeControl(control, forward=True, backward=True)
    # Signals hold for everybody; a sign without a direction stands for those who come to the junction.
    both = True if control is Control.SIGNAL else None
    return NodeControl(control, forward=both, backward=both)
