"""Messages made of what a station knows. Pure.

What the station does not know is unavailable: altitude, confidences of what it does not measure, yaw rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.contract.v2x.messages import (
    BRAKE_PEDAL,
    CAM_ID,
    DENM_ID,
    EMERGENCY_BRAKING,
    GAS_PEDAL,
    PROTOCOL_VERSION,
    SHORT_TERM_ROADWORKS,
    ActionId,
    AlacarteContainer,
    Altitude,
    BasicContainer,
    BasicVehicleContainerHighFrequency,
    BasicVehicleContainerLowFrequency,
    Cam,
    CamParameters,
    Cause,
    CauseCode,
    CoopAwareness,
    Curvature,
    DecentralizedEnvironmentalNotificationMessage,
    Denm,
    Header,
    Heading,
    HighFrequencyContainer,
    LocationContainer,
    LongitudinalAcceleration,
    LowFrequencyContainer,
    ManagementContainer,
    PosConfidenceEllipse,
    ReferencePosition,
    RoadWorksContainerBasic,
    RoadWorksContainerExtended,
    SituationContainer,
    SpecialVehicleContainer,
    Speed,
    StationaryVehicleContainer,
    VehicleLength,
    YawRate,
)
from fleetcell.contract.v2x.times import delta_time
from vehicle_sim.v2x.body import HARD_BRAKING_MS2

if TYPE_CHECKING:
    from fleetcell.contract.v2x.messages import PathPoint, RelevanceDistance, StationarySince, Termination
    from vehicle_sim.mobility.motion import Motion
    from vehicle_sim.v2x.body import Body
    from vehicle_sim.v2x.hazards import Hazard

_TO_95_PERCENT: Final = 1.62  # from a radius that holds 68 %, errors normal in both axes
_PARKING_LIGHTS: Final = "01"
_DAYTIME_LIGHTS: Final = "08"
_LIGHT_BAR: Final = "80"
_NO_LIGHT_BAR: Final = "00"
_RELEVANT: Final[RelevanceDistance] = "lessThan1000m"
_QUALITY: Final = 3  # of 7: measured by the vehicle itself, nobody has confirmed it


def cam(
    station_id: int,
    its_ms: int,
    motion: Motion,
    body: Body,
    path: tuple[PathPoint, ...] | None,
) -> Cam:
    """A CAM of this moment; with `path` it has the containers of low frequency."""
    low, special = None, None
    if path is not None:
        lights = _PARKING_LIGHTS if motion.standing else _DAYTIME_LIGHTS
        low = LowFrequencyContainer(BasicVehicleContainerLowFrequency(body.role, lights, path))
        if body.role == "roadWork":
            works = motion.standing
            special = SpecialVehicleContainer(
                RoadWorksContainerBasic(
                    _LIGHT_BAR if works else _NO_LIGHT_BAR, SHORT_TERM_ROADWORKS if works else None
                )
            )
    high = BasicVehicleContainerHighFrequency(
        heading=_heading(motion),
        speed=_speed(motion),
        drive_direction="forward",
        vehicle_length=VehicleLength(_within(body.length_m * 10, 1, 1022), "noTrailerPresent"),
        vehicle_width=_within(body.width_m * 10, 1, 61),
        longitudinal_acceleration=LongitudinalAcceleration(
            _within(motion.acceleration * 10, -160, 160), None
        ),
        curvature=Curvature(None, None),
        curvature_calculation_mode=None,
        yaw_rate=YawRate(None, None),
        acceleration_control=f"{_pedals(motion):02X}",
    )
    return Cam(
        Header(PROTOCOL_VERSION, CAM_ID, station_id),
        CoopAwareness(
            delta_time(its_ms),
            CamParameters(
                BasicContainer(body.station_type, position(motion)),
                HighFrequencyContainer(high),
                low,
                special,
            ),
        ),
    )


def denm(hazard: Hazard, its_ms: int, *, terminated: Termination | None = None) -> Denm:
    """What a station says of its own event; `its_ms`: when it is said."""
    motion, action = hazard.motion, hazard.action
    header = Header(PROTOCOL_VERSION, DENM_ID, action.originating_station_id)
    management = ManagementContainer(
        action_id=action,
        detection_time=hazard.detected_its_ms,
        reference_time=its_ms if terminated else hazard.reference_its_ms,
        event_position=position(motion),
        station_type=hazard.body.station_type,
        termination=terminated,
        relevance_distance=_RELEVANT,
        relevance_traffic_direction="upstreamTraffic",
        validity_duration=hazard.rule.validity_s,
        transmission_interval=hazard.rule.repeat_ms,
    )
    if terminated:
        return Denm(header, DecentralizedEnvironmentalNotificationMessage(management))
    more = None
    match hazard.rule.cause:
        case Cause.STATIONARY_VEHICLE:
            since = _stationary_since(hazard.lasted_s)
            more = AlacarteContainer(stationary_vehicle=StationaryVehicleContainer(since))
        case Cause.ROADWORKS:
            more = AlacarteContainer(road_works=RoadWorksContainerExtended(_LIGHT_BAR))
        case _:
            pass
    return Denm(
        header,
        DecentralizedEnvironmentalNotificationMessage(
            management,
            SituationContainer(_QUALITY, CauseCode(hazard.rule.cause, hazard.sub_cause)),
            LocationContainer((hazard.path,), _speed(motion), _heading(motion)),
            more,
        ),
    )


def negation(station_id: int, event: Denm, its_ms: int) -> Denm:
    """What another station says that has seen that the event is over."""
    told = event.management
    return Denm(
        Header(PROTOCOL_VERSION, DENM_ID, station_id),
        DecentralizedEnvironmentalNotificationMessage(
            ManagementContainer(
                action_id=ActionId(told.action_id.originating_station_id, told.action_id.sequence_number),
                detection_time=told.detection_time,
                reference_time=max(its_ms, told.reference_time),
                event_position=told.event_position,
                station_type=told.station_type,
                termination="isNegation",
                validity_duration=told.validity_duration,
            )
        ),
    )


def position(motion: Motion) -> ReferencePosition:
    """Where the station is; its altitude is unavailable."""
    axis = _within(motion.accuracy_m * 100 * _TO_95_PERCENT, 0, 4094)
    return ReferencePosition(
        round(motion.lat * 1e7),
        round(motion.lon * 1e7),
        PosConfidenceEllipse(axis, axis, 0),
        Altitude(None, None),
    )


def _heading(motion: Motion) -> Heading:
    return Heading(round(motion.heading * 10) % 3600, None)


def _speed(motion: Motion) -> Speed:
    return Speed(_within(motion.speed_ms * 100, 0, 16_382), None)


def _pedals(motion: Motion) -> int:
    if motion.acceleration <= HARD_BRAKING_MS2:
        return BRAKE_PEDAL | EMERGENCY_BRAKING
    if motion.acceleration < -0.5:  # less comes from the engine or motor
        return BRAKE_PEDAL
    return GAS_PEDAL if motion.acceleration > 0.0 else 0


def _stationary_since(seconds: float) -> StationarySince:
    if seconds < 60:
        return "lessThan1Minute"
    if seconds < 120:
        return "lessThan2Minutes"
    return "lessThan15Minutes" if seconds < 900 else "equalOrGreater15Minutes"


def _within(value: float, low: int, high: int) -> int:
    return min(max(round(value), low), high)
