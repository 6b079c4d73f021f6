"""Database rows as the vehicles that the API shows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping


def vehicle_of(row: Mapping[str, Any]) -> shapes.Vehicle:
    """A row of vehicle.sql or vehicles.sql; while its gateway is silent the vehicle is unknown."""
    registration = None
    if row["state"] is not None:
        state = shapes.state_of(row, since=row["since"])
        if row["silent_since"] is not None:
            state = shapes.without_gateway(state, row["silent_since"])
        registration = shapes.registration_of(state)
    place = None
    if row["lat"] is not None and row["lon"] is not None:
        place = shapes.Place(row["lat"], row["lon"], row["heading"], row["speed"], row["position_time"])
    return shapes.Vehicle(
        id=row["vehicle"],
        registration=registration,
        latest=shapes.latest_of(row["signals"] or {}, row["now"]),
        position=place,
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        timers=shapes.Timers(row["update_interval_s"], row["keep_alive_s"], row["sleep_s"]),
    )
