"""DENMs as a station in Helsinki would make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetcell.contract.topics import V2xTopic, parse
from fleetcell.contract.v2x.cells import publish_topic, published_cell
from fleetcell.contract.v2x.messages import (
    DENM_ID,
    PROTOCOL_VERSION,
    ActionId,
    Altitude,
    CauseCode,
    DecentralizedEnvironmentalNotificationMessage,
    Denm,
    Header,
    Heading,
    LocationContainer,
    ManagementContainer,
    PosConfidenceEllipse,
    ReferencePosition,
    SituationContainer,
    Speed,
)
from fleetcell.contract.v2x.times import its_from_unix

if TYPE_CHECKING:
    from fleetcell.contract.v2x.messages import Termination

REGION = "helsinki"
STATION = 0x0A1B2C3D
HERE = (60.17, 24.94)
NOW_MS = 1_790_000_000_000


def denm(
    *,
    at_ms: int = NOW_MS,
    station: int = STATION,
    by: int | None = None,
    sequence: int = 7,
    cause: tuple[int, int] | None = (94, 2),
    place: tuple[float, float] | None = HERE,
    validity_s: int = 30,
    reference_ms: int | None = None,
    ends: Termination | None = None,
) -> Denm:
    """A DENM of the event (station, sequence), detected and made at `at_ms`, sent by `by`."""
    lat, lon = place if place is not None else (None, None)
    situation = None if cause is None else SituationContainer(3, CauseCode(*cause))
    traces = LocationContainer(((),), Speed(1389, 10), Heading(915, 10))
    return Denm(
        Header(PROTOCOL_VERSION, DENM_ID, station if by is None else by),
        DecentralizedEnvironmentalNotificationMessage(
            ManagementContainer(
                ActionId(station, sequence),
                its_from_unix(at_ms),
                its_from_unix(at_ms if reference_ms is None else reference_ms),
                ReferencePosition(
                    None if lat is None else round(lat * 1e7),
                    None if lon is None else round(lon * 1e7),
                    PosConfidenceEllipse(None, None, None),
                    Altitude(None, None),
                ),
                station_type=5,
                termination=ends,
                validity_duration=validity_s,
            ),
            situation,
            traces if ends is None else None,
        ),
    )


def topic_text(
    place: tuple[float, float] = HERE, station: int = STATION, *, region: str = REGION, uper: bool = False
) -> str:
    """Where a station at this place publishes."""
    return publish_topic(region, "denm", published_cell(*place), station, uper=uper)


def topic(place: tuple[float, float] = HERE, station: int = STATION) -> V2xTopic:
    """The same, parsed."""
    parsed = parse(topic_text(place, station))
    assert isinstance(parsed, V2xTopic)
    return parsed
