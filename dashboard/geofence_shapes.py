"""What the API answers of geofences, visits and alerts. Lengths in m, durations in s."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads the annotations
from typing import Any

import msgspec


class AlertRules(msgspec.Struct, frozen=True):
    """What raises an alert: entering, leaving, staying for longer than this (null: does not)."""

    enter: bool
    exit: bool
    dwell_s: int | None


class Geofence(msgspec.Struct, frozen=True):
    """An area. geometry: GeoJSON, null where it was not asked for; `radius_m`: of a Point.

    margin_m: a vehicle has left when it is this far outside. vehicles: it holds for these only; null: for
    all. version: counts the changes that make another history. pending: that is still to be derived, and no
    alerts are raised yet.
    """

    id: int
    name: str
    geometry: dict[str, Any] | None
    radius_m: float | None
    margin_m: float
    vehicles: list[str] | None
    alerts: AlertRules
    version: int
    pending: bool
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class GeofencePage(msgspec.Struct, frozen=True):
    """Geofences, in the order in which they were made."""

    items: list[Geofence]
    next_cursor: str | None


class Visit(msgspec.Struct, frozen=True):
    """A vehicle in a geofence.

    entered_at: its first position inside; outside_at: the one before, null where there was none. left_at: the
    first position outside; where it ended in a long silence (left_unseen) the last one before that; null: it
    goes on (open). last_at: the last position of the visit. gap: a long silence is in it, or goes on.
    """

    vehicle: str
    geofence_id: int
    geofence: str
    entered_at: datetime
    outside_at: datetime | None
    left_at: datetime | None
    left_unseen: bool
    last_at: datetime | None
    duration_s: float | None
    open: bool
    gap: bool


class VisitPage(msgspec.Struct, frozen=True):
    """Visits, the newest first.

    complete_until: all readings that were measured before it and are stored are in the answer. pending: of
    some geofence, it is still to be derived.
    """

    items: list[Visit]
    next_cursor: str | None
    complete_until: datetime
    pending: bool


class Alert(msgspec.Struct, frozen=True):
    """An alert, as it was raised: `kind` is enter, exit or dwell, `at` when that was seen, and where.

    state: open, acknowledged, or corrected: later readings say that it was not so. holds_at: when it was, as
    is known now. correction: null, `moved` (to holds_at) or `withdrawn`.
    """

    id: int
    vehicle: str
    geofence_id: int
    geofence: str
    kind: str
    at: datetime
    lat: float
    lon: float
    raised_at: datetime
    state: str
    holds_at: datetime | None
    correction: str | None
    corrected_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class AlertPage(msgspec.Struct, frozen=True):
    """Alerts, last raised first."""

    items: list[Alert]
    next_cursor: str | None
