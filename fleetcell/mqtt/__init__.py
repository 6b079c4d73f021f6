"""MQTT over TCP or WebSocket for asyncio: paho speaks the protocol, asyncio carries the bytes.

`MqttBridge` keeps one clean session with a broker, for as long as its `run()` does. No other module of
fleetcell imports paho.
"""

from fleetcell.contract.errors import NotConnectedError
from fleetcell.mqtt.address import BrokerAddress, parse_url
from fleetcell.mqtt.bridge import MqttBridge
from fleetcell.mqtt.types import Backoff, Message, TlsOptions, Will

__all__ = [
    "Backoff",
    "BrokerAddress",
    "Message",
    "MqttBridge",
    "NotConnectedError",
    "TlsOptions",
    "Will",
    "parse_url",
]
