"""Errors of the link model."""

from __future__ import annotations

from fleetcell.contract.errors import ConfigError


class LinkError(ConfigError):
    """A link profile, a fault or a trace file that cannot be used; the message says why, with the line."""
