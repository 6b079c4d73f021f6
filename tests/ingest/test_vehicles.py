"""Vehicle names to ids, remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.vehicles import UNKNOWN_FOR_S, Vehicles
from tests.ingest.units import provision

if TYPE_CHECKING:
    from ingest.database import Connection


async def test_vehicles_are_remembered_and_unknown_names_asked_for_again(connection: Connection) -> None:
    now = 100.0
    vehicles = Vehicles(clock=lambda: now)
    assert await vehicles.resolve(connection, ["car"]) == {}
    ids = await provision(connection, "car")
    assert await vehicles.resolve(connection, ["car"]) == {}, "not asked for again at once"
    now += UNKNOWN_FOR_S + 0.1
    assert await vehicles.resolve(connection, ["car", "bus"]) == ids
    await connection.execute("SELECT api.revoke('car')")
    assert await vehicles.resolve(connection, ["car"]) == ids, "remembered until told"
    vehicles.forget()
    assert await vehicles.resolve(connection, ["car"]) == {}
