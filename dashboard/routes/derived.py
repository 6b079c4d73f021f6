"""What is derived from readings: trips, stops, rollups; and dead letters."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from dashboard import derived_shapes as shapes
from dashboard import parameters
from dashboard.answers import Json, schema_reference
from dashboard.auth import Role
from dashboard.errors import BadRequestError
from dashboard.freshness import derived_until
from dashboard.guard import require
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import vehicle_id_of
from dashboard.services import Services, Wired

router = APIRouter(tags=["telemetry"])

MAX_LETTERS: Final = 100  # each holds up to 256 KiB
ROLLUP: Final = timedelta(minutes=10)  # the narrowest

Width = Annotated[
    timedelta,
    parameters.READ_DURATION,
    Query(description="Width of a rollup: 10m, 1h, 1d or another multiple of ten minutes"),
]


@router.get("/vehicles/{vehicle}/trips", responses=schema_reference(shapes.TripPage))
async def trips(vehicle: str, services: Wired, asked: parameters.Excerpt) -> Response:
    """The trips that are at least partly between `since` and `until`, newest first."""
    rows, more, complete = await _journeys(services, vehicle, "trip", asked)
    items = [
        shapes.Trip(
            **_span(row),
            moving_s=row["moving_s"],
            distance_m=row["distance_m"],
            speed_avg=3.6 * row["distance_m"] / row["moving_s"] if row["moving_s"] > 0 else None,
            speed_max=row["speed_max"],
            start_lat=row["start_lat"],
            start_lon=row["start_lon"],
            end_lat=row["end_lat"],
            end_lon=row["end_lon"],
        )
        for row in rows
    ]
    return Json(shapes.TripPage(items, more, complete))


@router.get("/vehicles/{vehicle}/stops", responses=schema_reference(shapes.StopPage))
async def stops(vehicle: str, services: Wired, asked: parameters.Excerpt) -> Response:
    """The stops that are at least partly between `since` and `until`, newest first."""
    rows, more, complete = await _journeys(services, vehicle, "stop", asked)
    items = [
        shapes.Stop(
            **_span(row),
            lat=row["start_lat"],
            lon=row["start_lon"],
        )
        for row in rows
    ]
    return Json(shapes.StopPage(items, more, complete))


@router.get("/vehicles/{vehicle}/summary", responses=schema_reference(shapes.RollupPage))
async def summary(
    vehicle: str,
    services: Wired,
    bucket: Width = ROLLUP,
    since: parameters.Since = None,
    until: parameters.Until = None,
    limit: parameters.Limit = 1000,
    cursor: parameters.Cursor = None,
) -> Response:
    """Readings, distance, moving time, speed and energy of each ten minutes or more, oldest first."""
    parameters.check_order(since, until)
    if bucket % ROLLUP:
        raise BadRequestError(
            "bucket must be a multiple of ten minutes, such as 10m, 1h or 1d; "
            "for others ask /telemetry?bucket="
        )
    vehicle_id = await vehicle_id_of(services, vehicle)
    complete = await derived_until(services.database, vehicle_id)
    (after,) = decode_key(cursor, datetime) or (None,)
    rows = await services.database.fetch("summary", vehicle_id, since, until, bucket, after, limit + 1)
    found = [shapes.Rollup(**row) for row in rows]
    items, more = page(found, limit, [(one.time,) for one in found])
    return Json(shapes.RollupPage(items, more, complete))


@router.get(
    "/dead-letters",
    responses=schema_reference(shapes.DeadLetterPage),
    dependencies=[require(Role.OPERATOR)],
)
async def dead_letters(
    services: Wired,
    vehicle: parameters.OfVehicle = None,
    since: parameters.Since = None,
    until: parameters.Until = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LETTERS)] = 20,
    cursor: parameters.Cursor = None,
) -> Response:
    """What arrived and could not be used, with the reason, last arrived first; for operators."""
    parameters.check_order(since, until)
    after = decode_key(cursor, datetime, int) or (None, None)
    rows = await services.database.fetch("dead_letters", vehicle, since, until, *after, limit + 1)
    found = [
        shapes.DeadLetter(
            **{
                **row,
                "sha256": row["sha256"].hex(),
                "boot": None if row["boot"] is None else row["boot"].hex,
            }
        )
        for row in rows
    ]
    items, more = page(found, limit, [(one.last_at, one.id) for one in found])
    return Json(shapes.DeadLetterPage(items, more))


async def _journeys(
    services: Services, vehicle: str, kind: str, asked: parameters.Excerpt
) -> tuple[Sequence[Mapping[str, Any]], str | None, datetime]:
    """A page of trips or stops, its cursor, and until when they are complete."""
    vehicle_id = await vehicle_id_of(services, vehicle)
    complete = await derived_until(services.database, vehicle_id)
    (after,) = decode_key(asked.cursor, datetime) or (None,)
    rows = await services.database.fetch(
        "journeys", vehicle_id, kind, asked.since, asked.until, after, asked.limit + 1
    )
    items, more = page(rows, asked.limit, [(row["start_at"],) for row in rows])
    return items, more, complete


def _span(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a trip and a stop have in common: their time, and what it took or gave."""
    return {
        "start": row["start_at"],
        "end": row["end_at"],
        "open": row["open"],
        "duration_s": (row["end_at"] - row["start_at"]).total_seconds(),
        "soc_used": row["soc_used"],
        "soc_charged": row["soc_charged"],
        "fuel_used": row["fuel_used"],
        "fuel_filled": row["fuel_filled"],
    }
