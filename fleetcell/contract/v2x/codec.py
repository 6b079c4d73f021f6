"""CAM and DENM to JSON and back: the JSON Encoding Rules (X.697) of ETSI's own modules. Pure.

On the wire "unavailable" is the value that ETSI chose for it (speedValue 16383); decoded it is None.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.v2x.messages import CAM_ID, DENM_ID, PROTOCOL_VERSION, Cam, Denm

MAX_V2X_PAYLOAD: Final = 16 * 1024  # bytes

UNAVAILABLE: Final[dict[str, int | str]] = {
    "latitude": 900_000_001,
    "longitude": 1_800_000_001,
    "altitudeValue": 800_001,
    "altitudeConfidence": "unavailable",
    "semiMajorConfidence": 4095,
    "semiMinorConfidence": 4095,
    "semiMajorOrientation": 3601,
    "headingValue": 3601,
    "headingConfidence": 127,
    "speedValue": 16_383,
    "speedConfidence": 127,
    "driveDirection": "unavailable",
    "vehicleLengthValue": 1023,
    "vehicleLengthConfidenceIndication": "unavailable",
    "vehicleWidth": 62,
    "longitudinalAccelerationValue": 161,
    "longitudinalAccelerationConfidence": 102,
    "curvatureValue": 1023,
    "curvatureConfidence": "unavailable",
    "curvatureCalculationMode": "unavailable",
    "yawRateValue": 32_767,
    "yawRateConfidence": "unavailable",
    "deltaLatitude": 131_072,
    "deltaLongitude": 131_072,
    "deltaAltitude": 12_800,
    "informationQuality": 0,
}
"""What ETSI writes for "unavailable", by field."""

_BIT_STRINGS: Final = frozenset({"accelerationControl", "exteriorLights", "lightBarSirenInUse"})
_MESSAGE_IDS: Final[dict[type, int]] = {Cam: CAM_ID, Denm: DENM_ID}

M = TypeVar("M", bound=Cam | Denm)


def encode(message: Cam | Denm) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(_with_sentinels(msgspec.to_builtins(message)))


def decode(kind: type[M], payload: bytes) -> M:
    """Read JSON.

    Raises:
        PayloadError: too long, not JSON, or not this message; the reason says where.
    """
    check_size(payload)
    try:
        message = msgspec.convert(_without_sentinels(msgspec.json.decode(payload)), kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"not a valid {kind.__name__}: {error}") from error
    header = message.header
    if (header.protocol_version, header.message_id) != (PROTOCOL_VERSION, _MESSAGE_IDS[kind]):
        raise PayloadError(
            f"not a {kind.__name__} of protocol version {PROTOCOL_VERSION}:"
            f" messageID {header.message_id}, protocolVersion {header.protocol_version}"
        )
    return message


def check_size(payload: bytes) -> None:
    """Raises PayloadError when a payload is longer than any message needs to be."""
    if len(payload) > MAX_V2X_PAYLOAD:
        raise PayloadError(f"{len(payload)} bytes; a V2X message has at most {MAX_V2X_PAYLOAD}")


def _with_sentinels(value: object) -> object:
    if isinstance(value, dict):
        return {
            name: UNAVAILABLE[name] if item is None else _with_sentinels(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_sentinels(item) for item in value]
    return value


def _without_sentinels(value: object) -> object:
    if isinstance(value, dict):
        return {name: _decoded(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_sentinels(item) for item in value]
    return value


def _decoded(name: str, item: object) -> object:
    unavailable = UNAVAILABLE.get(name)
    if unavailable is not None and type(item) is type(unavailable) and item == unavailable:
        return None
    if name in _BIT_STRINGS and isinstance(item, str):
        return item.upper()  # X.697 allows both
    return _without_sentinels(item)
