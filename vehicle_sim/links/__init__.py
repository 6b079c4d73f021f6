"""Cellular links: a pure model of them, units put on them, and a relay for any other MQTT client."""

from vehicle_sim.links.choice import PERFECT, Links, check_profile, load
from vehicle_sim.links.profiles import PROFILES

__all__ = ["PERFECT", "PROFILES", "Links", "check_profile", "load"]
