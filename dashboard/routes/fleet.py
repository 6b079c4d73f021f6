"""The fleet: counts, regions, vehicles and their delivery."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from dashboard import delivery, parameters, shapes
from dashboard.answers import Json, schema_reference
from dashboard.delivery_shapes import Delivery
from dashboard.errors import BadRequestError
from dashboard.fleet import STATES, ingest_of, regions_of, served
from dashboard.paging import decode_key, page
from dashboard.routes.lookup import unknown_vehicle, vehicle_id_of
from dashboard.services import Services, Wired
from dashboard.uptime import uptime_by_region, uptime_of
from dashboard.vehicles import vehicle_of
from fleetcell.contract.signals import CATALOGUE

router = APIRouter(tags=["fleet"])

MAX_VEHICLES: Final = 5000


@router.get("/fleet", responses=schema_reference(shapes.Fleet))
async def fleet(
    services: Wired,
    since: parameters.Since = None,
    until: parameters.Until = None,
    view: parameters.View = "at",
) -> Response:
    """Vehicles by state and region, and how ingest is doing; with `since` the uptime from then on."""
    regions, states = await _regions(services)
    spent = await _spent(services, since, until, view)
    return Json(
        shapes.Fleet(
            vehicles=sum(states.values()),
            states=states,
            regions=regions,
            ingest=ingest_of(regions),
            live_clients=len(services.feed.hub.clients),
            server_time=services.feed.now(),
            uptime=uptime_of(spent) if spent else None,
        )
    )


@router.get("/regions", responses=schema_reference(shapes.RegionPage))
async def regions(
    services: Wired,
    since: parameters.Since = None,
    until: parameters.Until = None,
    view: parameters.View = "at",
) -> Response:
    """Every region with its gateway's health and its entry in the directory; with `since` its uptime."""
    found, _states = await _regions(services)
    entries = {row["region"]: row for row in await services.database.fetch("regions")}
    uptimes = uptime_by_region(await _spent(services, since, until, view))
    return Json(shapes.RegionPage(served(found, entries, uptimes), None))


async def _regions(services: Services) -> tuple[list[shapes.Region], dict[str, int]]:
    gateways = await services.database.fetch("gateways")
    return regions_of(gateways, await services.database.fetch("fleet_counts"))


async def _spent(
    services: Services, since: datetime | None, until: datetime | None, view: str
) -> list[Mapping[str, Any]]:
    """Vehicle seconds by region and state; none where no window is asked for."""
    parameters.check_order(since, until)
    if since is None:
        if until is not None:
            raise BadRequestError("until needs a since")
        return []
    return await services.database.fetch("fleet_uptime", since, until, view)


@router.get("/signals", responses=schema_reference(shapes.SignalPage))
async def signals() -> Response:
    """The signal catalogue: wire key, VSS path, unit, range."""
    return Json(shapes.SignalPage([msgspec.structs.asdict(signal) for signal in CATALOGUE.values()], None))


@router.get("/vehicles", responses=schema_reference(shapes.VehiclePage))
async def vehicles(
    services: Wired,
    state: Annotated[
        list[str] | None, Query(description="online, suspect, asleep, offline, unknown; several with commas")
    ] = None,
    region: parameters.Regions = None,
    q: Annotated[str | None, Query(max_length=64, description="Part of the id, in any case")] = None,
    bbox: Annotated[
        str | None, Query(description="Last seen in this box: west,south,east,north in degrees")
    ] = None,
    revoked: Annotated[bool, Query(description="The revoked vehicles, instead of the others")] = False,
    limit: Annotated[int, Query(ge=1, le=MAX_VEHICLES)] = 100,
    cursor: parameters.Cursor = None,
) -> Response:
    """Vehicles in the order of their ids, with presence and latest signals."""
    states = parameters.words(state)
    wrong = [name for name in states or () if name not in STATES]
    if wrong:
        raise BadRequestError(f"unknown state {', '.join(map(repr, wrong))}: {', '.join(STATES)}")
    (after,) = decode_key(cursor, str) or (None,)
    rows = await services.database.fetch(
        "vehicles",
        states,
        region,
        q.lower() if q else None,
        *parameters.sides_of(bbox),
        revoked,
        shapes.SILENT_AFTER_S,
        after,
        limit + 1,
    )
    found = [vehicle_of(row) for row in rows]
    items, more = page(found, limit, [(vehicle.id,) for vehicle in found])
    return Json(shapes.VehiclePage(items, more))


@router.get("/vehicles/{vehicle}", responses=schema_reference(shapes.Vehicle))
async def vehicle(vehicle: str, services: Wired) -> Response:
    """One vehicle: its registration, with reason, evidence and deadline, and its latest signals."""
    row = await services.database.fetch_row("vehicle", vehicle, shapes.SILENT_AFTER_S)
    if row is None:
        raise unknown_vehicle(vehicle)
    return Json(vehicle_of(row))


@router.get("/vehicles/{vehicle}/delivery", responses=schema_reference(Delivery))
async def delivered(vehicle: str, services: Wired) -> Response:
    """The delivery ledger: what arrived, how late, why anything did not, and what is suspicious."""
    vehicle_id = await vehicle_id_of(services, vehicle)
    rows = await services.database.fetch("delivery", vehicle_id)
    shared = await services.database.fetch("shared_identities", vehicle_id)
    return Json(delivery.explain(vehicle, rows, shared))
