"""The errors of the broker; a class's docstring is its default message."""

from __future__ import annotations

from fleetcell.contract.errors import FleetcellError


class BrokerError(FleetcellError):
    """Something went wrong in the broker."""


class ProtocolError(BrokerError):
    """The client broke MQTT 3.1.1; its connection is closed (4.8)."""


class PacketTooLargeError(ProtocolError):
    """The packet is larger than this broker takes."""


class UnsupportedVersionError(ProtocolError):
    """Only MQTT 3.1.1 (protocol level 4) is spoken here."""


class PluginWaitsError(BrokerError):
    """An amqtt plugin waited for something; the data path takes only answers that are at hand."""
