"""Faults of a run, planned in a YAML file: `fleetcell sim run --faults FILE`."""

from vehicle_sim.faults.schedule import Fault, Happened, Hit, Occurrence, Schedule, What, hits, occurrences
from vehicle_sim.faults.yaml_file import read

__all__ = ["Fault", "Happened", "Hit", "Occurrence", "Schedule", "What", "hits", "occurrences", "read"]
