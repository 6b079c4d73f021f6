"""The errors of the dashboard's server; `problems` turns each into an RFC 9457 answer."""

from __future__ import annotations

from fleetcell.contract.errors import FleetcellError


class BadRequestError(FleetcellError):
    """The request is not valid: what is wrong and what would be right is in the message (HTTP 422)."""


class NotFoundError(FleetcellError):
    """There is no such thing (HTTP 404)."""


class DatabaseUnavailableError(FleetcellError):
    """The database does not answer (HTTP 503)."""
