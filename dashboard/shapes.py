"""What the API answers: the shapes of vehicles, their registration and their values, on every path alike.

Times are aware datetimes in UTC and leave as RFC 3339; ages are seconds by the server's clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fleetcell.contract.messages import PresenceState, State
from fleetcell.contract.signals import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SILENT_AFTER_S: Final = 10.0  # a heartbeat older than this: the gateway is silent
GATEWAY_REASON: Final = "gateway"  # of a state that the dashboard derived, because ingest is silent


class Registration(msgspec.Struct, frozen=True):
    """What the register holds of a vehicle: the state, since when, and until when by itself."""

    state: PresenceState
    reason: str
    since: datetime
    evidence: dict[str, Any]
    deadline: datetime | None
    epoch: int
    n: int | None
    region: str | None
    cell: str | None
    address: str | None
    seen_address: str | None
    cursor: int


class Value(msgspec.Struct, frozen=True):
    """One signal: its value in `unit` (UCUM-like, empty where it has none), when measured, how old it is."""

    value: Any
    unit: str
    time: datetime
    age_s: float


class Place(msgspec.Struct, frozen=True):
    """Where a vehicle is: degrees (WGS 84), heading in degrees from north, speed in km/h."""

    lat: float
    lon: float
    heading: float | None
    speed: float | None
    time: datetime


class Moved(msgspec.Struct, frozen=True):
    """One entry of a `positions` frame."""

    vehicle: str
    lat: float
    lon: float
    heading: float | None
    speed: float | None
    time: datetime

    @property
    def place(self) -> Place:
        """The same without the vehicle's id."""
        return Place(self.lat, self.lon, self.heading, self.speed, self.time)


class Timers(msgspec.Struct, frozen=True):
    """What a vehicle told of its timers last, in seconds; null: nothing, the fleet-wide default counts."""

    update_interval_s: float | None
    keep_alive_s: float | None
    sleep_s: float | None


class Vehicle(msgspec.Struct, frozen=True):
    """A vehicle, as lists, its own path and live snapshots show it. The latter have no timers."""

    id: str
    registration: Registration | None
    latest: dict[str, Value]
    position: Place | None
    created_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    revoked_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    timers: Timers | msgspec.UnsetType = msgspec.UNSET


def registration_of(state: State) -> Registration:
    """A `state` without the vehicle's id."""
    return Registration(
        state=state.state,
        reason=state.reason,
        since=state.since,
        evidence=state.evidence,
        deadline=state.deadline,
        epoch=state.epoch,
        n=state.n,
        region=state.region,
        cell=state.cell,
        address=state.address,
        seen_address=state.seen_address,
        cursor=state.cursor,
    )


def state_of(row: Mapping[str, Any], *, since: datetime) -> State:
    """A row with the columns of a registration as the contract's `state`."""
    return State(
        vehicle=row["vehicle"],
        state=PresenceState(row["state"]),
        reason=row["reason"],
        since=since,
        evidence=row["evidence"] or {},
        deadline=row["deadline"],
        epoch=row["epoch"],
        n=row["n"],
        region=row["region"],
        cell=row["cell"],
        address=row["address"],
        seen_address=row["seen_address"],
        cursor=row["cursor"],
    )


def without_gateway(state: State, silent_since: datetime) -> State:
    """The state as it is shown while its gateway is silent: nobody knows, since its last heartbeat."""
    return msgspec.structs.replace(
        state,
        state=PresenceState.UNKNOWN,
        reason=GATEWAY_REASON,
        since=max(silent_since, state.since),
        evidence={
            "kind": "heartbeat",
            "last_heartbeat": silent_since,
            "registered": {"state": state.state, "reason": state.reason, "since": state.since},
        },
        deadline=None,
    )


def unit_of(key: str) -> str:
    """The unit of a signal, empty where it has none or is not in the catalogue."""
    signal = CATALOGUE.get(key)
    return signal.unit if signal else ""


def value_of(key: str, value: Any, measured: datetime, now: datetime) -> Value:
    """A signal with unit and age; the age of one measured in the future is 0."""
    return Value(value, unit_of(key), measured, max(0.0, round((now - measured).total_seconds(), 3)))


def latest_of(signals: Mapping[str, Any], now: datetime) -> dict[str, Value]:
    """`{key: {"v": value, "t": ms since 1970}}`, as the database keeps it, with units and ages."""
    return {
        key: value_of(key, entry["v"], from_ms(entry["t"]), now)
        for key, entry in signals.items()
        if isinstance(entry, dict) and "v" in entry and "t" in entry
    }


def place_values(place: Place, now: datetime) -> dict[str, Value]:
    """The signals that a position carries."""
    values = {"lat": place.lat, "lon": place.lon, "heading": place.heading, "speed": place.speed}
    return {key: value_of(key, value, place.time, now) for key, value in values.items() if value is not None}


def from_ms(ms: float) -> datetime:
    """Milliseconds since 1970 as a time."""
    return UNIX_EPOCH + timedelta(milliseconds=ms)


class VehiclePage(msgspec.Struct, frozen=True):
    """A page of vehicles."""

    items: list[Vehicle]
    next_cursor: str | None


class Uptime(msgspec.Struct, frozen=True):
    """Vehicle seconds in each state from `since` until `until`; `online_ratio`: of those in a known state."""

    since: datetime
    until: datetime
    seconds: dict[str, float]
    online_ratio: float | None


class Region(msgspec.Struct, frozen=True):
    """A region and its gateway. `lag_s`: how far ingest's storing is behind what it received."""

    region: str
    storing: bool
    silent: bool
    heartbeat_at: datetime
    heartbeat_age_s: float
    lag_s: float | None
    address_pool: str | None
    started_at: datetime
    vehicles: int
    states: dict[str, int]


class Served(Region, frozen=True):
    """A region with its broker's address for units and its H3 cells; null where it has not told them.

    `uptime`: null where no window was asked for, or nothing was heard in it.
    """

    url: str | None
    cells: list[str] | None
    uptime: Uptime | None


class RegionPage(msgspec.Struct, frozen=True):
    """All regions."""

    items: list[Served]
    next_cursor: str | None


class Ingest(msgspec.Struct, frozen=True):
    """The worst of all gateways; null where none has reported."""

    lag_s: float | None
    storing: bool
    silent_regions: list[str]


class Fleet(msgspec.Struct, frozen=True):
    """The fleet in numbers; a vehicle that was never heard, or whose gateway is silent, counts as unknown."""

    vehicles: int
    states: dict[str, int]
    regions: list[Region]
    ingest: Ingest
    live_clients: int
    server_time: datetime
    uptime: Uptime | None


class PresenceItem(msgspec.Struct, frozen=True):
    """One change: what became so at `at` and was known here at `learned_at`."""

    at: datetime
    learned_at: datetime
    state: PresenceState
    reason: str
    evidence: dict[str, Any]
    deadline: datetime | None
    epoch: int
    n: int | None
    region: str | None
    cell: str | None
    address: str | None
    seen_address: str | None
    cursor: int


class PresenceHistory(msgspec.Struct, frozen=True):
    """Changes, newest first; with `as_of` the one that was believed then."""

    items: list[PresenceItem]
    next_cursor: str | None
    uptime: Uptime | None


class TelemetryPage(msgspec.Struct, frozen=True):
    """Readings, or buckets, oldest first; `units` of every signal in them."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    units: dict[str, str]


class SignalPage(msgspec.Struct, frozen=True):
    """The signal catalogue."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class Provisioned(msgspec.Struct, frozen=True):
    """One vehicle: its new secret, shown this once; null where it existed and was left as it is."""

    id: str
    secret: str | None
    created: bool
    rotated: bool
    revoked: bool


class ProvisionedPage(msgspec.Struct, frozen=True):
    """The vehicles asked for, in that order."""

    items: list[Provisioned]
    next_cursor: str | None


class Erasure(msgspec.Struct, frozen=True):
    """An erased vehicle. `removed`: rows by table; `regions`: whose broker may hold its retained state."""

    id: int
    vehicle: str
    asked_at: datetime
    asked_by: str
    finished_at: datetime | None
    regions: list[str]
    removed: dict[str, int]


class ErasurePage(msgspec.Struct, frozen=True):
    """Erasures, the newest first."""

    items: list[Erasure]
    next_cursor: str | None


class ErasureCount(msgspec.Struct, frozen=True):
    """What an erasure of a vehicle would remove: rows by table."""

    vehicle: str
    rows: dict[str, int]


class Session(msgspec.Struct, frozen=True):
    """Who is signed in."""

    name: str
    role: str
    expires_at: datetime | None
