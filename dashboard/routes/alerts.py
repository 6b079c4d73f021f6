"""Alerts of geofences: list them, and say that one is seen to."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from dashboard import geofence_shapes as shapes
from dashboard import parameters
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.errors import NotFoundError
from dashboard.guard import Who, require
from dashboard.paging import decode_key, page
from dashboard.services import Services, Wired
from fleetcell.contract.geofences import AlertKind, AlertState

log = structlog.get_logger()

router = APIRouter(tags=["geofences"])

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("/alerts", responses=schema_reference(shapes.AlertPage))
async def alerts(
    services: Wired,
    asked: parameters.Excerpt,
    vehicle: parameters.OfVehicle = None,
    geofence: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    kind: Annotated[list[str] | None, Query(description=f"{', '.join(AlertKind)}")] = None,
    state: Annotated[list[str] | None, Query(description=f"{', '.join(AlertState)}")] = None,
) -> Response:
    """The alerts that were raised between `since` and `until`, last raised first."""
    kinds = parameters.known("kind", kind, AlertKind)
    states = parameters.known("state", state, AlertState)
    (after,) = decode_key(asked.cursor, int) or (None,)
    rows = await services.database.fetch(
        "alerts", None, vehicle, geofence, kinds, states, asked.since, asked.until, after, asked.limit + 1
    )
    found = [shapes.Alert(**row) for row in rows]
    items, more = page(found, asked.limit, [(one.id,) for one in found])
    return Json(shapes.AlertPage(items, more))


@router.get("/alerts/{alert}", responses=schema_reference(shapes.Alert))
async def alert(alert: Number, services: Wired) -> Response:
    """One alert."""
    return Json(await _alert(services, alert))


@router.post(
    "/alerts/{alert}/acknowledge",
    responses=schema_reference(shapes.Alert),
    dependencies=[require(Role.OPERATOR)],
)
async def acknowledge(alert: Number, services: Wired, who: Who) -> Response:
    """Say that an alert is seen to. Who did so first stays."""
    row = await services.database.fetch_row("alert_acknowledge", alert, who.name)
    if row is None:
        raise _unknown(alert)
    if row["acknowledged"]:
        log.info("alert acknowledged", id=alert, by=who.name)
    return Json(await _alert(services, alert))


async def _alert(services: Services, number: int) -> shapes.Alert:
    row = await services.database.fetch_row("alerts", number, *(None,) * 7, 1)
    if row is None:
        raise _unknown(number)
    return shapes.Alert(**row)


def _unknown(number: int) -> NotFoundError:
    return NotFoundError(f"there is no alert {number}; GET /api/v1/alerts lists them")
