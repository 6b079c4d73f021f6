"""CAM (EN 302 637-2 V1.4.1) and DENM (EN 302 637-3 V1.3.1) as typed structures with ETSI's names and units.

Field names are ETSI's, in Python's spelling: `speed_value` is `speedValue` on the wire. Values are integers
in ETSI's units: degrees in 0.1 microdegree, speeds in 0.01 m/s, headings in 0.1 degree, altitude in 0.01 m,
accelerations in 0.1 m/s², lengths in 0.1 m. What ETSI says with a value for "unavailable" is None here;
`codec` puts these values on the wire. Properties give degrees, m/s and ms since 1970.

Containers that no unit of ours sends are left out; what others send in them is ignored. Bit strings are
hexadecimal, the first bit highest, as in the JSON Encoding Rules (X.697).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

from fleetcell.contract.v2x.times import MAX_TIMESTAMP_ITS, unix_from_its

PROTOCOL_VERSION: Final = 2
DENM_ID: Final = 1
CAM_ID: Final = 2
DEFAULT_VALIDITY_S: Final = 600
MAX_STATION: Final = 2**32 - 1


class StationType(IntEnum):
    """What a station is (TS 102 894-2, A.78); other numbers are allowed on the wire."""

    UNKNOWN = 0
    PASSENGER_CAR = 5
    BUS = 6
    LIGHT_TRUCK = 7
    HEAVY_TRUCK = 8
    SPECIAL_VEHICLE = 10
    ROAD_SIDE_UNIT = 15


class Cause(IntEnum):
    """Causes of an event that units of ours tell (TS 102 894-2, A.10); others are allowed on the wire."""

    ROADWORKS = 3
    STATIONARY_VEHICLE = 94
    DANGEROUS_SITUATION = 99


SHORT_TERM_ROADWORKS: Final = 4  # sub-cause of ROADWORKS
EMERGENCY_BRAKE: Final = 1  # of DANGEROUS_SITUATION: emergency electronic brake engaged
BREAKDOWN: Final = 2  # of STATIONARY_VEHICLE

BRAKE_PEDAL: Final = 0x80  # bits of accelerationControl
GAS_PEDAL: Final = 0x40
EMERGENCY_BRAKING: Final = 0x20

StationId = Annotated[int, msgspec.Meta(ge=0, le=MAX_STATION)]
Octet = Annotated[int, msgspec.Meta(ge=0, le=255)]
Latitude = Annotated[int, msgspec.Meta(ge=-900_000_000, le=900_000_000)]
Longitude = Annotated[int, msgspec.Meta(ge=-1_800_000_000, le=1_800_000_000)]
AltitudeValue = Annotated[int, msgspec.Meta(ge=-100_000, le=800_000)]
SemiAxis = Annotated[int, msgspec.Meta(ge=0, le=4094)]  # cm; 4094: more
HeadingValue = Annotated[int, msgspec.Meta(ge=0, le=3600)]
Confidence = Annotated[int, msgspec.Meta(ge=1, le=126)]  # 126: worse
SpeedValue = Annotated[int, msgspec.Meta(ge=0, le=16_382)]
LengthValue = Annotated[int, msgspec.Meta(ge=1, le=1022)]
Width = Annotated[int, msgspec.Meta(ge=1, le=61)]
AccelerationValue = Annotated[int, msgspec.Meta(ge=-160, le=160)]
AccelerationConfidence = Annotated[int, msgspec.Meta(ge=0, le=101)]
CurvatureValue = Annotated[int, msgspec.Meta(ge=-1023, le=1022)]
YawRateValue = Annotated[int, msgspec.Meta(ge=-32_766, le=32_766)]
DeltaDegrees = Annotated[int, msgspec.Meta(ge=-131_071, le=131_071)]
DeltaAltitude = Annotated[int, msgspec.Meta(ge=-12_700, le=12_700)]
PathDeltaTime = Annotated[int, msgspec.Meta(ge=1, le=65_535)]  # of 10 ms
DeltaTime = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
SequenceNumber = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
TimestampIts = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIMESTAMP_ITS)]
ValidityDuration = Annotated[int, msgspec.Meta(ge=0, le=86_400)]  # s
TransmissionInterval = Annotated[int, msgspec.Meta(ge=1, le=10_000)]  # ms
InformationQuality = Annotated[int, msgspec.Meta(ge=1, le=7)]
Bits8 = Annotated[str, msgspec.Meta(pattern="^[0-9A-F]{2}$")]
Bits7 = Annotated[str, msgspec.Meta(pattern="^[0-9A-F][02468ACE]$")]
Bits2 = Annotated[str, msgspec.Meta(pattern="^[048C]0$")]

AltitudeConfidence = Literal[
    "alt-000-01", "alt-000-02", "alt-000-05", "alt-000-10", "alt-000-20", "alt-000-50", "alt-001-00",
    "alt-002-00", "alt-005-00", "alt-010-00", "alt-020-00", "alt-050-00", "alt-100-00", "alt-200-00",
    "outOfRange",
]  # fmt: skip
LengthIndication = Literal[
    "noTrailerPresent",
    "trailerPresentWithKnownLength",
    "trailerPresentWithUnknownLength",
    "trailerPresenceIsUnknown",
]
CurvatureConfidence = Literal[
    "onePerMeter-0-00002", "onePerMeter-0-0001", "onePerMeter-0-0005", "onePerMeter-0-002",
    "onePerMeter-0-01", "onePerMeter-0-1", "outOfRange",
]  # fmt: skip
YawRateConfidence = Literal[
    "degSec-000-01", "degSec-000-05", "degSec-000-10", "degSec-001-00", "degSec-005-00", "degSec-010-00",
    "degSec-100-00", "outOfRange",
]  # fmt: skip
VehicleRole = Literal[
    "default", "publicTransport", "specialTransport", "dangerousGoods", "roadWork", "rescue", "emergency",
    "safetyCar", "agriculture", "commercial", "military", "roadOperator", "taxi", "reserved1", "reserved2",
    "reserved3",
]  # fmt: skip
Termination = Literal["isCancellation", "isNegation"]
RelevanceDistance = Literal[
    "lessThan50m", "lessThan100m", "lessThan200m", "lessThan500m", "lessThan1000m", "lessThan5km",
    "lessThan10km", "over10km",
]  # fmt: skip
RelevanceTrafficDirection = Literal[
    "allTrafficDirections", "upstreamTraffic", "downstreamTraffic", "oppositeTraffic"
]
StationarySince = Literal[
    "lessThan1Minute", "lessThan2Minutes", "lessThan15Minutes", "equalOrGreater15Minutes"
]


def _etsi_name(name: str) -> str:
    """`vehicle_width` is `vehicleWidth`, and `station_id` is `stationID`."""
    first, *words = name.split("_")
    return first + "".join("ID" if word == "id" else word.capitalize() for word in words)


class _Etsi(msgspec.Struct, frozen=True, rename=_etsi_name, omit_defaults=True):
    """With ETSI's field names; optional components that are None are left out."""


# -- common (TS 102 894-2 V1.3.1) ----------------------------------------------------------------


class Header(_Etsi, frozen=True):
    """ItsPduHeader: `station_id` is the pseudonym of the sender."""

    protocol_version: Octet
    message_id: Octet
    station_id: StationId


class PosConfidenceEllipse(_Etsi, frozen=True):
    """95 % of positions lie within: half axes in cm, the long one towards `semi_major_orientation`."""

    semi_major_confidence: SemiAxis | None
    semi_minor_confidence: SemiAxis | None
    semi_major_orientation: HeadingValue | None


class Altitude(_Etsi, frozen=True):
    """Above the WGS 84 ellipsoid, cm."""

    altitude_value: AltitudeValue | None
    altitude_confidence: AltitudeConfidence | None


class ReferencePosition(_Etsi, frozen=True):
    """A place on WGS 84, in 0.1 microdegree."""

    latitude: Latitude | None
    longitude: Longitude | None
    position_confidence_ellipse: PosConfidenceEllipse
    altitude: Altitude

    @property
    def degrees(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees; None where one of them is unavailable."""
        if self.latitude is None or self.longitude is None:
            return None
        return self.latitude / 1e7, self.longitude / 1e7


class Heading(_Etsi, frozen=True):
    """Clockwise from north, 0.1 degree."""

    heading_value: HeadingValue | None
    heading_confidence: Confidence | None


class Speed(_Etsi, frozen=True):
    """0.01 m/s; 16382 is this or more."""

    speed_value: SpeedValue | None
    speed_confidence: Confidence | None


class DeltaReferencePosition(_Etsi, frozen=True):
    """From a reference position, 0.1 microdegree and cm."""

    delta_latitude: DeltaDegrees | None
    delta_longitude: DeltaDegrees | None
    delta_altitude: DeltaAltitude | None


class PathPoint(_Etsi, frozen=True):
    """Where the station was, `path_delta_time` (10 ms) before the point that follows it in time."""

    path_position: DeltaReferencePosition
    path_delta_time: PathDeltaTime | None = None


PathHistory = Annotated[tuple[PathPoint, ...], msgspec.Meta(max_length=40)]


class CauseCode(_Etsi, frozen=True):
    """What an event is."""

    cause_code: Octet
    sub_cause_code: Octet


# -- CAM ------------------------------------------------------------------------------------------


class BasicContainer(_Etsi, frozen=True):
    """Who and where."""

    station_type: Octet
    reference_position: ReferencePosition


class VehicleLength(_Etsi, frozen=True):
    """0.1 m."""

    vehicle_length_value: LengthValue | None
    vehicle_length_confidence_indication: LengthIndication | None


class LongitudinalAcceleration(_Etsi, frozen=True):
    """0.1 m/s², negative: braking."""

    longitudinal_acceleration_value: AccelerationValue | None
    longitudinal_acceleration_confidence: AccelerationConfidence | None


class Curvature(_Etsi, frozen=True):
    """1 / 10,000 m, positive to the left."""

    curvature_value: CurvatureValue | None
    curvature_confidence: CurvatureConfidence | None


class YawRate(_Etsi, frozen=True):
    """0.01 °/s, positive to the left."""

    yaw_rate_value: YawRateValue | None
    yaw_rate_confidence: YawRateConfidence | None


class BasicVehicleContainerHighFrequency(_Etsi, frozen=True):
    """How a vehicle moves, in every CAM."""

    heading: Heading
    speed: Speed
    drive_direction: Literal["forward", "backward"] | None
    vehicle_length: VehicleLength
    vehicle_width: Width | None
    longitudinal_acceleration: LongitudinalAcceleration
    curvature: Curvature
    curvature_calculation_mode: Literal["yawRateUsed", "yawRateNotUsed"] | None
    yaw_rate: YawRate
    acceleration_control: Bits7 | None = None


class HighFrequencyContainer(_Etsi, frozen=True):
    """A CHOICE; None: a road-side unit, or one of a later version."""

    basic_vehicle_container_high_frequency: BasicVehicleContainerHighFrequency | None = None


class BasicVehicleContainerLowFrequency(_Etsi, frozen=True):
    """What changes slowly, at most twice a second."""

    vehicle_role: VehicleRole
    exterior_lights: Bits8
    path_history: PathHistory


class LowFrequencyContainer(_Etsi, frozen=True):
    """A CHOICE; None: one of a later version."""

    basic_vehicle_container_low_frequency: BasicVehicleContainerLowFrequency | None = None


class RoadWorksContainerBasic(_Etsi, frozen=True):
    """Of a vehicle with the role roadWork."""

    light_bar_siren_in_use: Bits2
    roadworks_sub_cause_code: Octet | None = None


class SpecialVehicleContainer(_Etsi, frozen=True):
    """A CHOICE; None: of another role."""

    road_works_container_basic: RoadWorksContainerBasic | None = None


class CamParameters(_Etsi, frozen=True):
    """The containers of a CAM."""

    basic_container: BasicContainer
    high_frequency_container: HighFrequencyContainer
    low_frequency_container: LowFrequencyContainer | None = None
    special_vehicle_container: SpecialVehicleContainer | None = None


class CoopAwareness(_Etsi, frozen=True):
    """`generation_delta_time`: TimestampIts of the position, modulo 65,536."""

    generation_delta_time: DeltaTime
    cam_parameters: CamParameters


class Cam(_Etsi, frozen=True):
    """Cooperative Awareness Message: here I am."""

    header: Header
    cam: CoopAwareness

    @property
    def station_id(self) -> int:
        """The sender's pseudonym."""
        return self.header.station_id

    @property
    def position(self) -> ReferencePosition:
        """Where it is."""
        return self.cam.cam_parameters.basic_container.reference_position

    @property
    def high_frequency(self) -> BasicVehicleContainerHighFrequency | None:
        """How it moves; None where it is no vehicle."""
        return self.cam.cam_parameters.high_frequency_container.basic_vehicle_container_high_frequency

    @property
    def low_frequency(self) -> BasicVehicleContainerLowFrequency | None:
        """What changes slowly, where this CAM tells it."""
        container = self.cam.cam_parameters.low_frequency_container
        return None if container is None else container.basic_vehicle_container_low_frequency


# -- DENM -----------------------------------------------------------------------------------------


class ActionId(_Etsi, frozen=True):
    """Names an event: who told it first, and its number there."""

    originating_station_id: StationId
    sequence_number: SequenceNumber


class ManagementContainer(_Etsi, frozen=True):
    """Which event, where, since when and how long.

    It is valid for `validity_duration` seconds after `detection_time`. Of two messages of one event, the one
    with the later `reference_time` holds.
    """

    action_id: ActionId
    detection_time: TimestampIts
    reference_time: TimestampIts
    event_position: ReferencePosition
    station_type: Octet
    termination: Termination | None = None
    relevance_distance: RelevanceDistance | None = None
    relevance_traffic_direction: RelevanceTrafficDirection | None = None
    validity_duration: ValidityDuration = DEFAULT_VALIDITY_S
    transmission_interval: TransmissionInterval | None = None


class SituationContainer(_Etsi, frozen=True):
    """What happened; `information_quality` from 1 to 7."""

    information_quality: InformationQuality | None
    event_type: CauseCode
    linked_cause: CauseCode | None = None


class LocationContainer(_Etsi, frozen=True):
    """How one comes there."""

    traces: Annotated[tuple[PathHistory, ...], msgspec.Meta(min_length=1, max_length=7)]
    event_speed: Speed | None = None
    event_position_heading: Heading | None = None


class StationaryVehicleContainer(_Etsi, frozen=True):
    """Of a vehicle that stands in the way."""

    stationary_since: StationarySince | None = None
    stationary_cause: CauseCode | None = None


class RoadWorksContainerExtended(_Etsi, frozen=True):
    """Of road works."""

    light_bar_siren_in_use: Bits2 | None = None


class AlacarteContainer(_Etsi, frozen=True):
    """More, by the kind of the event."""

    road_works: RoadWorksContainerExtended | None = None
    stationary_vehicle: StationaryVehicleContainer | None = None


class DecentralizedEnvironmentalNotificationMessage(_Etsi, frozen=True):
    """A cancellation or negation needs only `management`."""

    management: ManagementContainer
    situation: SituationContainer | None = None
    location: LocationContainer | None = None
    alacarte: AlacarteContainer | None = None


class Denm(_Etsi, frozen=True):
    """Decentralized Environmental Notification Message: something happened, or is over."""

    header: Header
    denm: DecentralizedEnvironmentalNotificationMessage

    @property
    def station_id(self) -> int:
        """The sender's pseudonym; of a negation, not the one that told the event."""
        return self.header.station_id

    @property
    def management(self) -> ManagementContainer:
        """Which event, where, since when and how long."""
        return self.denm.management

    @property
    def action_id(self) -> ActionId:
        """Which event."""
        return self.management.action_id

    @property
    def cause(self) -> CauseCode | None:
        """What happened; None where it does not say, as at the end of an event."""
        return None if self.denm.situation is None else self.denm.situation.event_type

    @property
    def termination(self) -> Termination | None:
        """Whether it says that the event is over; None: it holds."""
        return self.management.termination

    @property
    def position(self) -> ReferencePosition:
        """Where the event is."""
        return self.management.event_position

    @property
    def detected_ms(self) -> int:
        """When the event was detected, ms since 1970."""
        return unix_from_its(self.management.detection_time)

    @property
    def reference_ms(self) -> int:
        """When this message was made, ms since 1970."""
        return unix_from_its(self.management.reference_time)

    @property
    def expires_ms(self) -> int:
        """Until when it is valid, ms since 1970."""
        return unix_from_its(self.management.detection_time + self.management.validity_duration * 1000)
