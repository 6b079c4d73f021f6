"""Geofences: make, change and remove them; who was in which when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self

import structlog
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from dashboard import geofence_shapes as shapes
from dashboard import parameters
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.errors import BadRequestError, NotFoundError
from dashboard.freshness import derived_until
from dashboard.guard import Who, require
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import vehicle_id_of
from dashboard.services import Services, Wired
from fleetcell.contract.errors import PayloadError
from fleetcell.contract.geofences import (
    DEFAULT_MARGIN_M,
    MAX_DWELL_S,
    MAX_MARGIN_M,
    MAX_NAME,
    area_of,
)

log = structlog.get_logger()

router = APIRouter(tags=["geofences"])

MAX_GEOFENCES: Final = 200  # in an answer: each may have 5,000 positions
MAX_VEHICLES: Final = 10_000

MAX_NUMBER: Final = 2**31 - 1

Number = Annotated[int, Path(ge=1, le=MAX_NUMBER)]


class Alerting(BaseModel):
    """What raises an alert."""

    model_config = ConfigDict(extra="forbid")

    enter: bool = False
    exit: bool = False
    dwell_s: Annotated[int, Field(ge=1, le=MAX_DWELL_S)] | None = Field(
        default=None, description="When a vehicle stays for so many seconds"
    )


class Wish(BaseModel):
    """A geofence as it should be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_NAME, pattern=r"^\S(.*\S)?$", examples=["depot"])
    geometry: dict[str, Any] = Field(
        description="GeoJSON: Polygon or MultiPolygon, or Point with radius_m",
        examples=[{"type": "Point", "coordinates": [24.94, 60.17]}],
    )
    radius_m: Annotated[float, Field(allow_inf_nan=False)] | None = Field(default=None, examples=[200])
    margin_m: float = Field(
        default=DEFAULT_MARGIN_M,
        ge=0,
        le=MAX_MARGIN_M,
        allow_inf_nan=False,
        description="A vehicle has left when it is this far outside",
    )
    vehicles: Annotated[list[str], Field(min_length=1, max_length=MAX_VEHICLES)] | None = Field(
        default=None, description="It holds for these only; none: for all"
    )
    alerts: Alerting = Alerting()

    @model_validator(mode="after")
    def _is_an_area(self) -> Self:
        try:
            area_of(self.geometry, self.radius_m)
        except PayloadError as error:
            raise ValueError(str(error)) from None
        return self


@router.get("/geofences", responses=schema_reference(shapes.GeofencePage))
async def geofences(
    services: Wired,
    geometry: Annotated[bool, Query(description="With their geometry")] = True,
    limit: Annotated[int, Query(ge=1, le=MAX_GEOFENCES)] = 100,
    cursor: parameters.Cursor = None,
) -> Response:
    """The geofences, in the order in which they were made."""
    after = decode_key(cursor, int) or (None,)
    rows = await services.database.fetch("geofences", None, *after, geometry, limit + 1)
    found = [_geofence_of(row) for row in rows]
    items, more = page(found, limit, [(one.id,) for one in found])
    return Json(shapes.GeofencePage(items, more))


@router.get("/geofences/{geofence}", responses=schema_reference(shapes.Geofence))
async def geofence(geofence: Number, services: Wired) -> Response:
    """One geofence."""
    return Json(await _geofence(services, geofence))


@router.post(
    "/geofences",
    status_code=201,
    responses=schema_reference(shapes.Geofence),
    dependencies=[require(Role.OPERATOR)],
)
async def add(wish: Wish, services: Wired, who: Who) -> Response:
    """Make a geofence. Its history is derived from the readings that there are; its alerts begin then."""
    number = await _put(services, None, wish, who.name)
    log.info("geofence made", id=number, name=wish.name, by=who.name)
    return Json(
        await _geofence(services, number),
        status_code=201,
        headers={"Location": f"/api/v1/geofences/{number}"},
    )


@router.put(
    "/geofences/{geofence}",
    responses=schema_reference(shapes.Geofence),
    dependencies=[require(Role.OPERATOR)],
)
async def change(geofence: Number, wish: Wish, services: Wired, who: Who) -> Response:
    """Change a geofence. Where that makes another history, it is derived anew; alerts stay as they are."""
    await _put(services, geofence, wish, who.name)
    log.info("geofence changed", id=geofence, name=wish.name, by=who.name)
    return Json(await _geofence(services, geofence))


@router.delete(
    "/geofences/{geofence}",
    responses=schema_reference(shapes.Geofence),
    dependencies=[require(Role.OPERATOR)],
)
async def remove(geofence: Number, services: Wired, who: Who) -> Response:
    """Remove a geofence and its visits. Its alerts stay. The answer is how it was."""
    found = await _geofence(services, geofence)
    if not await services.database.fetch_value("geofence_remove", geofence, who.name):
        raise _unknown(geofence)
    log.info("geofence removed", id=geofence, name=found.name, by=who.name)
    return Json(found)


@router.get("/geofences/{geofence}/visits", responses=schema_reference(shapes.VisitPage))
async def visits_of_geofence(
    geofence: Number,
    services: Wired,
    asked: parameters.Excerpt,
    vehicle: parameters.OfVehicle = None,
) -> Response:
    """The visits that are at least partly between `since` and `until`, the newest first."""
    pending = (await _geofence(services, geofence)).pending
    vehicle_id = None if vehicle is None else await vehicle_id_of(services, vehicle)
    complete = await services.database.fetch_value("all_complete_until")
    after = decode_key(asked.cursor, datetime, int) or (None, None)
    rows = await services.database.fetch(
        "visits_of_geofence", geofence, vehicle_id, asked.since, asked.until, *after, asked.limit + 1
    )
    keys = [(row["entered_at"], row["vehicle_id"]) for row in rows]
    items, more = page([_visit_of(row) for row in rows], asked.limit, keys)
    return Json(shapes.VisitPage(items, more, complete, pending))


@router.get("/vehicles/{vehicle}/visits", responses=schema_reference(shapes.VisitPage))
async def visits_of_vehicle(
    vehicle: str,
    services: Wired,
    asked: parameters.Excerpt,
    geofence: Annotated[int | None, Query(ge=1, le=MAX_NUMBER)] = None,
) -> Response:
    """A vehicle's visits that are at least partly between `since` and `until`, the newest first."""
    vehicle_id = await vehicle_id_of(services, vehicle)
    complete = await derived_until(services.database, vehicle_id)
    pending = await services.database.fetch_value("geofences_pending")
    after = decode_key(asked.cursor, datetime, int) or (None, None)
    rows = await services.database.fetch(
        "visits_of_vehicle", vehicle_id, geofence, asked.since, asked.until, *after, asked.limit + 1
    )
    keys = [(row["entered_at"], row["geofence_id"]) for row in rows]
    items, more = page([_visit_of(row) for row in rows], asked.limit, keys)
    return Json(shapes.VisitPage(items, more, complete, pending))


async def _put(services: Services, number: int | None, wish: Wish, by: str) -> int:
    row = await services.database.fetch_row(
        "geofence_put",
        number,
        wish.name,
        {"type": wish.geometry["type"], "coordinates": wish.geometry["coordinates"]},
        wish.radius_m,
        wish.margin_m,
        wish.vehicles,
        wish.alerts.enter,
        wish.alerts.exit,
        wish.alerts.dwell_s,
        by,
    )
    assert row is not None
    match row["problem"]:
        case None:
            made: int = row["geofence"]
            return made
        case "unknown":
            assert number is not None
            raise _unknown(number)
        case "vehicles":
            names = ", ".join(repr(name[:80]) for name in row["missing"][:5])
            raise BadRequestError(f"there is no vehicle {names}; GET /api/v1/vehicles lists them")
        case "name":
            raise HTTPException(409, f"there is a geofence {wish.name!r} already: choose another name")
        case _:
            raise HTTPException(409, "there are 1,000 geofences: remove one first")


async def _geofence(services: Services, number: int) -> shapes.Geofence:
    row = await services.database.fetch_row("geofences", number, None, True, 1)
    if row is None:
        raise _unknown(number)
    return _geofence_of(row)


def _unknown(number: int) -> NotFoundError:
    return NotFoundError(f"there is no geofence {number}; GET /api/v1/geofences lists them")


def _geofence_of(row: Mapping[str, Any]) -> shapes.Geofence:
    fields = dict(row)
    rules = [fields.pop(name) for name in ("alert_enter", "alert_exit", "dwell_s")]
    return shapes.Geofence(**fields, alerts=shapes.AlertRules(*rules))


def _visit_of(row: Mapping[str, Any]) -> shapes.Visit:
    fields = dict(row)
    fields.pop("vehicle_id", None)
    end = row["left_at"] or row["last_at"]
    seconds = None if end is None else (end - row["entered_at"]).total_seconds()
    return shapes.Visit(**fields, duration_s=seconds)
