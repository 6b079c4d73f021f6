"""Provisioning: credentials of vehicles, how long their data is kept, and erasure.

A secret is made here, shown once, and kept nowhere.
"""

from contextlib import suppress
from typing import Annotated, Final, Self

import asyncpg
import structlog
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.responses import Response

from dashboard import parameters, shapes
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.guard import Who, require
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import unknown_vehicle
from dashboard.services import Services, Wired
from fleetcell.contract import credentials
from fleetcell.contract.errors import TopicError
from fleetcell.contract.topics import check_name

log = structlog.get_logger()

MAX_IDS: Final = 10_000
MAX_ERASURES: Final = 500
DEADLOCKS: Final = 5  # attempts of an erasure

router = APIRouter(tags=["vehicles"], dependencies=[require(Role.ADMIN)])


class Provision(BaseModel):
    """One vehicle (`id`) or several (`ids`)."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = None
    ids: Annotated[list[str], Field(max_length=MAX_IDS)] | None = None
    rotate: bool = Field(default=False, description="Give vehicles that exist a new secret; the old one ends")

    @field_validator("id", "ids")
    @classmethod
    def _names(cls, value: str | list[str] | None) -> str | list[str] | None:
        names = [value] if isinstance(value, str) else value or []
        for name in names:
            try:
                check_name(name, "vehicle id")
            except TopicError as error:
                raise ValueError(str(error)) from None
        if len(set(names)) < len(names):
            raise ValueError("an id is given twice")
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.id is None) == (self.ids is None):
            raise ValueError('give {"id": "..."} or {"ids": ["...", ...]}')
        return self


@router.post("/vehicles", status_code=201, responses=schema_reference(shapes.ProvisionedPage))
async def provision(wish: Provision, services: Wired, who: Who) -> Response:
    """Make vehicles. Each secret is shown this once; a vehicle that exists keeps its own, unless `rotate`."""
    ids = [wish.id] if wish.id is not None else wish.ids or []
    key = services.credentials_key()
    secrets = [credentials.new_secret() for _ in ids]
    macs = [credentials.mac(key, secret) for secret in secrets]
    try:
        rows = await services.database.fetch("provision", ids, macs, wish.rotate)
    except asyncpg.ObjectInUseError:
        raise HTTPException(
            409, "one of these vehicles is being erased: GET /api/v1/erasures says how far that is"
        ) from None
    items = [
        shapes.Provisioned(
            id=row["name"],
            secret=secret if row["created"] or row["rotated"] else None,
            created=row["created"],
            rotated=row["rotated"],
            revoked=row["revoked"],
        )
        for row, secret in zip(rows, secrets, strict=True)
    ]
    made = sum(item.secret is not None for item in items)
    log.info("vehicles provisioned", asked=len(items), secrets=made, by=who.name)
    return Json(shapes.ProvisionedPage(items, None), status_code=201, headers={"Cache-Control": "no-store"})


@router.post("/vehicles/{vehicle}/revoke", status_code=204)
async def revoke(vehicle: str, services: Wired, who: Who) -> Response:
    """End a vehicle's credential; a live session is closed within 5 s. `rotate` gives it a new one."""
    if not await services.database.fetch_value("revoke", vehicle):
        raise unknown_vehicle(vehicle)
    log.info("vehicle revoked", vehicle=vehicle, by=who.name)
    return Response(status_code=204)


class Retention(BaseModel):
    """How long what a vehicle measured is kept."""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(description="null: as the fleet's")


@router.put("/vehicles/{vehicle}/retention", status_code=204)
async def set_retention(vehicle: str, wish: Retention, services: Wired, who: Who) -> Response:
    """Keep a vehicle's readings, events and trips for so many days, shorter or longer than the fleet's."""
    if not await services.database.fetch_value("set_retention", vehicle, wish.days):
        raise unknown_vehicle(vehicle)
    log.info("retention of a vehicle", vehicle=vehicle, days=wish.days, by=who.name)
    return Response(status_code=204)


@router.delete("/vehicles/{vehicle}", status_code=202, responses=schema_reference(shapes.Erasure))
async def erase(vehicle: str, services: Wired, who: Who) -> Response:
    """Erase a vehicle: its credential, and all that was stored of it. Its session ends within 5 s.

    What is many rows goes in the background, and `GET /api/v1/erasures` says how far that is. Repeating it
    changes nothing. Only the id stays, so that late messages stay out.
    """
    number = await _erase(services, vehicle, who.name)
    if number is None:
        raise unknown_vehicle(vehicle)
    log.info("vehicle erased", erasure=number, by=who.name)
    row = await services.database.fetch_row("erasures", vehicle, None, 1)
    assert row is not None
    return Json(shapes.Erasure(**row), status_code=202)


@router.get("/vehicles/{vehicle}/erasure", responses=schema_reference(shapes.ErasureCount))
async def erase_count(vehicle: str, services: Wired) -> Response:
    """What erasing this vehicle would remove now: rows by table. Changes nothing."""
    rows = await services.database.fetch("erase_count", vehicle)
    if not rows:
        raise unknown_vehicle(vehicle)
    return Json(shapes.ErasureCount(vehicle, {row["part"]: row["count"] for row in rows}))


@router.get("/erasures", responses=schema_reference(shapes.ErasurePage))
async def erasures(
    services: Wired,
    vehicle: parameters.OfVehicle = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ERASURES)] = 100,
    cursor: parameters.Cursor = None,
) -> Response:
    """Who erased which vehicle when, and how many rows of each table that were; the newest first."""
    (before,) = decode_key(cursor, int) or (None,)
    rows = await services.database.fetch("erasures", vehicle, before, limit + 1)
    items, more = page([shapes.Erasure(**row) for row in rows], limit, [(row["id"],) for row in rows])
    return Json(shapes.ErasurePage(items, more))


async def _erase(services: Services, vehicle: str, by: str) -> int | None:
    """Begin it; a batch of the same vehicle may wait for us, and we for it: then one of both is ended."""
    for _ in range(DEADLOCKS):
        with suppress(asyncpg.DeadlockDetectedError):
            number: int | None = await services.database.fetch_value("erase", vehicle, by)
            return number
    raise HTTPException(503, "other transactions are in the way; try again")
