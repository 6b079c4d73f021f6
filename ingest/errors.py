"""The errors of ingest that are not the contract's."""

from __future__ import annotations

from fleetcell.contract.errors import FleetcellError


class DatabaseError(FleetcellError):
    """The database cannot be used."""


class ErasedError(DatabaseError):
    """A vehicle of the batch was erased a moment ago: forget who may send, and store the others."""


class UnreachableError(DatabaseError, ConnectionError):
    """The database does not answer. Also an OSError: who tries again on those need not know this class."""
