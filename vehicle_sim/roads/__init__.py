"""Road networks: built once from an OpenStreetMap extract, then loaded without OpenStreetMap's tools.

`build` makes the file (it needs the extra `roads`), `load` reads it. The file's format is told in
`vehicle_sim.roads.format`: it is gzipped GeoJSON, so a map can draw the very file that vehicles drive on.
"""

from vehicle_sim.roads.build import BuildReport, build
from vehicle_sim.roads.errors import RoadsError
from vehicle_sim.roads.network import HELSINKI, Road, RoadNetwork, load

__all__ = ["HELSINKI", "BuildReport", "Road", "RoadNetwork", "RoadsError", "build", "load"]
