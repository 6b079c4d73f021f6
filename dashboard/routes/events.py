"""What happened: events of vehicles, and the hazards that they warn each other of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from dashboard import event_shapes as shapes
from dashboard import parameters
from dashboard.answers import Json, schema_reference
from dashboard.paging import decode_key, page
from dashboard.services import Wired
from fleetcell.contract.hazards import kind_of
from fleetcell.contract.v2x.cells import pseudonym

router = APIRouter(tags=["events"])

InBox = Annotated[str | None, Query(description="In this box: west,south,east,north in degrees")]


@router.get("/events", responses=schema_reference(shapes.EventPage))
async def events(
    services: Wired,
    asked: parameters.Excerpt,
    vehicle: parameters.OfVehicle = None,
    kind: Annotated[list[str] | None, Query(description="Such as dtc, harsh_brake, crash")] = None,
    bbox: InBox = None,
) -> Response:
    """What vehicles reported, newest first."""
    after = decode_key(asked.cursor, datetime, str, UUID, int) or (None,) * 4
    rows = await services.database.fetch(
        "events",
        vehicle,
        parameters.words(kind),
        asked.since,
        asked.until,
        *after,
        *parameters.sides_of(bbox),
        asked.limit + 1,
    )
    found = [shapes.Event(**(dict(row) | {"boot": row["boot"].hex})) for row in rows]
    keys = [(row["time"], row["vehicle"], row["boot"], row["seq"]) for row in rows]
    items, more = page(found, asked.limit, keys)
    return Json(shapes.EventPage(items, more))


@router.get("/hazards", responses=schema_reference(shapes.HazardPage))
async def hazards(
    services: Wired,
    asked: parameters.Excerpt,
    region: parameters.Regions = None,
    active: Annotated[bool, Query(description="Only those that hold now")] = False,
    bbox: InBox = None,
) -> Response:
    """The hazards that were at least partly between `since` and `until`, last told first."""
    after = decode_key(asked.cursor, int) or (None,)
    sides = parameters.sides_of(bbox)
    rows = await services.database.fetch(
        "hazards", region, active, asked.since, asked.until, *after, *sides, asked.limit + 1
    )
    items, more = page([_hazard_of(row) for row in rows], asked.limit, [(row["id"],) for row in rows])
    return Json(shapes.HazardPage(items, more, services.feed.now()))


def _hazard_of(row: Mapping[str, Any]) -> shapes.Hazard:
    fields = dict(row)
    station = pseudonym(fields.pop("station_id"))
    return shapes.Hazard(**fields, station=station, kind=kind_of(row["cause"], row["sub_cause"]))
