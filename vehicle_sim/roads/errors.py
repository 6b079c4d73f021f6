"""What can be wrong with a road network."""

from __future__ import annotations

from fleetcell.contract.errors import FleetcellError


class RoadsError(FleetcellError):
    """The road network cannot be built or loaded."""
