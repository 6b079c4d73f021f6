"""What lies between the two ends: how many bytes a second pass in each direction, at any time.

Two kinds of air drive the same link: `CellularAir` works rates out from cells, path loss and the vehicle's
position; `TraceAir` has them from a recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Protocol


class Direction(IntEnum):
    """Of a packet. Uplink goes from the vehicle to the network."""

    UP = 0
    DOWN = 1


class Rrc(Enum):
    """Radio resource control, 3GPP TS 36.331 and TS 38.331: whether the vehicle holds radio resources."""

    IDLE = "idle"
    CONNECTED = "connected"


class Change(StrEnum):
    """What may happen to a link."""

    PROMOTED = "promoted"  # from RRC idle to connected
    HANDOVER = "handover"  # to another cell
    COVERAGE_LOST = "coverage lost"
    COVERAGE_BACK = "coverage back"
    STALLED = "stalled"  # a packet lost on the way; TCP sends it again
    NEW_ADDRESS = "new address"  # attached again: what was connected is half open
    NAT_EXPIRED = "nat expired"  # the mapping of an idle connection
    NAT_REBOUND = "nat rebound"  # mapped to another port: the other end answers with RST
    BLACK_HOLE = "black hole"
    RESET = "reset"
    SIM_SUSPENDED = "sim suspended"
    RESUMED = "resumed"
    POWER_OFF = "power off"


@dataclass(frozen=True, slots=True)
class Event:
    """One decision of a link, `at` seconds since its beginning; `lasted`: how long it had been otherwise."""

    at: float
    change: Change
    detail: str = ""
    lasted: float = 0.0


@dataclass(frozen=True, slots=True)
class Reception:
    """What the vehicle's modem shows. None: no cell."""

    cell: str | None
    rsrp_dbm: float | None
    rat: str | None  # radio access technology


class Air(Protocol):
    """The radio side of one link. Times are seconds since the link's beginning and never run back."""

    @property
    def next_change(self) -> float:
        """When this air changes by itself, at the earliest; infinity when only `move` changes it."""

    @property
    def reception(self) -> Reception:
        """As of the last `advance`."""

    def advance(self, now: float, /) -> list[Event]:
        """Let time pass; what happened on the way, in order."""

    def rate(self, direction: Direction, t: float, /) -> tuple[float, float]:
        """(bytes a second, until when), for `t` from the last `advance` up to `next_change`."""

    def move(self, lon: float, lat: float, now: float, /) -> list[Event]:
        """The vehicle is at this position (degrees) from now on."""
