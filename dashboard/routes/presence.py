"""A vehicle's presence: its history, what was believed when, and its uptime."""

from fastapi import APIRouter
from starlette.responses import Response

from dashboard import parameters, shapes
from dashboard.answers import Json, schema_reference
from dashboard.errors import BadRequestError
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import vehicle_id_of
from dashboard.services import Wired
from dashboard.uptime import uptime_of

router = APIRouter(tags=["fleet"])


@router.get("/vehicles/{vehicle}/presence", responses=schema_reference(shapes.PresenceHistory))
async def presence(
    vehicle: str,
    services: Wired,
    asked: parameters.Excerpt,
    view: parameters.View = "at",
    as_of: parameters.AsOf = None,
    valid_at: parameters.ValidAt = None,
) -> Response:
    """Changes of presence, newest first, and the time in each state.

    `as_of`: what was believed then; `valid_at`: what was so then, as known now; both: what was believed at
    `as_of` of `valid_at`.
    """
    vehicle_id = await vehicle_id_of(services, vehicle)
    if as_of is not None or valid_at is not None:
        if asked.since is not None or asked.until is not None or asked.cursor is not None:
            raise BadRequestError("as_of and valid_at stand alone: leave out since, until and cursor")
        rows = await services.database.fetch("presence_then", vehicle_id, as_of, valid_at)
        return Json(shapes.PresenceHistory([shapes.PresenceItem(**row) for row in rows], None, None))
    (after,) = decode_key(asked.cursor, int) or (None,)
    rows = await services.database.fetch(
        "presence", vehicle_id, asked.since, asked.until, after, asked.limit + 1, view
    )
    found = [shapes.PresenceItem(**row) for row in rows]
    items, more = page(found, asked.limit, [(item.cursor,) for item in found])
    spent = await services.database.fetch("presence_uptime", vehicle_id, asked.since, asked.until, view)
    return Json(shapes.PresenceHistory(items, more, uptime_of(spent) if spent else None))
