"""The errors of ingest that are not the contract's."""

from __future__ import annotations

from fleetcell.contract.errors import FleetcellError


class DatabaseError(FleetcellError):
    """The database cannot be used."""


class UnreachableError(DatabaseError, ConnectionError):
    """The database does not answer. Also an OSError: who tries again on those need not know this class."""
