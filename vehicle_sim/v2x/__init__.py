"""Vehicles that tell each other where they are and what is in the way: CAM, DENM, a map of neighbours."""
