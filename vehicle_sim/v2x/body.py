"""What a station knows of its own vehicle, and what it counts as hard braking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleetcell.contract.v2x.messages import StationType

if TYPE_CHECKING:
    from fleetcell.contract.v2x.messages import VehicleRole


@dataclass(frozen=True, slots=True)
class Body:
    """What a station's vehicle is; metres."""

    station_type: StationType = StationType.PASSENGER_CAR
    length_m: float = 4.6
    width_m: float = 1.8
    role: VehicleRole = "default"


HARD_BRAKING_MS2: Final = -4.0
"""Emergency braking: from 0.4 g on, as SAE J2945/1 has it. Harsh driving, of comfort, begins at -3."""

_ROADWORKS_EVERY: Final = 2  # of the trucks, by the number in their ids


def body_of(kind: str, length_m: float, number: int) -> Body:
    """The body of a simulated vehicle: "taxi", "car", "van" or "truck", and the number in its id.

    Every other truck belongs to road works: where it stands, it works.
    """
    match kind:
        case "taxi":
            return Body(length_m=length_m, role="taxi")
        case "van":
            return Body(StationType.LIGHT_TRUCK, length_m, 2.0, "commercial")
        case "truck":
            roadworks = number // 8 % _ROADWORKS_EVERY == 0
            return Body(StationType.HEAVY_TRUCK, length_m, 2.5, "roadWork" if roadworks else "commercial")
        case _:
            return Body(length_m=length_m)
