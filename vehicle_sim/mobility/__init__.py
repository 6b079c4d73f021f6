"""How vehicles move and what their sensors say: pure, seeded, without a clock."""

from vehicle_sim.mobility.drive import Drive
from vehicle_sim.mobility.powertrain import Combustion, Electric, Powertrain

__all__ = ["Combustion", "Drive", "Electric", "Powertrain"]
