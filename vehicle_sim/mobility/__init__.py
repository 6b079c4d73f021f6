"""How vehicles move and what their sensors say: pure, seeded, without a clock."""

from vehicle_sim.mobility.device_clock import FAULTY as FAULTY_CLOCKS
from vehicle_sim.mobility.device_clock import ClockErrors, DeviceClock
from vehicle_sim.mobility.drive import Drive
from vehicle_sim.mobility.gnss import GnssErrors
from vehicle_sim.mobility.kinds import ALWAYS_OUT, ERRANDS, Habit, Kind, kind_of
from vehicle_sim.mobility.powertrain import Combustion, Electric, Powertrain
from vehicle_sim.mobility.traffic import Traffic

__all__ = [
    "ALWAYS_OUT",
    "ERRANDS",
    "FAULTY_CLOCKS",
    "ClockErrors",
    "Combustion",
    "DeviceClock",
    "Drive",
    "Electric",
    "GnssErrors",
    "Habit",
    "Kind",
    "Powertrain",
    "Traffic",
    "kind_of",
]
