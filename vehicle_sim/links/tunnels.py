"""Tunnels that no road file has."""

from __future__ import annotations

from typing import Final

from vehicle_sim.links.zones import zone

# The road tunnels that OpenStreetMap has in the centre of Helsinki are 16 m long: no connection breaks in
# them. This one is made up for demonstrations. It covers Kaivokatu and the corners beside it, 400 m of a busy
# street with lights: a vehicle is in it for a minute or two, longer than one and a half keep-alive intervals.
BUILT_IN: Final = (
    zone(
        "Kaivokatu",
        [(24.9383, 60.1703), (24.9383, 60.1710), (24.9455, 60.1708), (24.9455, 60.1697), (24.9420, 60.1697)],
    ),
)
