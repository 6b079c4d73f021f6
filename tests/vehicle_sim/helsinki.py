"""The road network of the package, read once for all tests: nothing changes it."""

from __future__ import annotations

from typing import Final

from vehicle_sim.roads import load

HELSINKI: Final = load()
