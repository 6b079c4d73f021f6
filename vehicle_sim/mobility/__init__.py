"""How vehicles move and what their sensors say: pure, seeded, without a clock."""

from vehicle_sim.mobility.drive import ALWAYS_OUT, ERRANDS, Drive, Habit
from vehicle_sim.mobility.powertrain import Combustion, Electric, Powertrain

__all__ = ["ALWAYS_OUT", "ERRANDS", "Combustion", "Drive", "Electric", "Habit", "Powertrain"]
