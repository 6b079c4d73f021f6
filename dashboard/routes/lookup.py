"""What several paths look up."""

from dashboard.errors import NotFoundError
from dashboard.services import Services


async def vehicle_id_of(services: Services, vehicle: str) -> int:
    """The database's number of a vehicle.

    Raises:
        NotFoundError: there is no such vehicle.
    """
    number = await services.database.fetch_value("vehicle_id", vehicle)
    if number is None:
        raise unknown_vehicle(vehicle)
    return int(number)


def unknown_vehicle(vehicle: str) -> NotFoundError:
    """To be raised."""
    return NotFoundError(f"there is no vehicle {vehicle[:80]!r}; GET /api/v1/vehicles lists them")
