"""How a vehicle moves at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Motion:
    """Position in degrees, heading in degrees clockwise from north, m/s and m/s².

    accuracy_m: radius that holds two thirds of the positions.
    standing: at the kerb, not in traffic; `ignition`: on.
    faulty: a trouble code is shown.
    """

    lat: float
    lon: float
    heading: float
    speed_ms: float
    acceleration: float = 0.0
    accuracy_m: float = 3.0
    standing: bool = False
    ignition: bool = True
    faulty: bool = False
