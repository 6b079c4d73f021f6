"""The errors of fleetcell: one base; a class's docstring is its default message."""

from __future__ import annotations


class FleetcellError(Exception):
    """Something went wrong in fleetcell."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else (self.__doc__ or "").strip())


class TopicError(FleetcellError):
    """The topic, filter or name does not follow the contract."""


class PayloadError(FleetcellError):
    """The payload does not follow the contract."""


class LedgerError(FleetcellError):
    """The sequence ranges are not well formed."""


class ConfigError(FleetcellError):
    """The configuration is wrong."""


class NotConnectedError(FleetcellError):
    """There is no connection to the broker."""
