"""The HTTP application: paths, gate and headers around the services that `app` made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Match, Route

from dashboard import delivery_shapes, derived_shapes, event_shapes, geofence_shapes, problems, shapes
from dashboard.commands import Command, CommandPage
from dashboard.guard import MAX_BODY, Guard
from dashboard.metrics import Measure
from dashboard.pages import STATIC, Pages
from dashboard.parameters import ONLY_KNOWN_PARAMETERS
from dashboard.routes import (
    admin,
    alerts,
    commands,
    derived,
    events,
    fleet,
    geofences,
    health,
    live,
    map,  # noqa: A004
    presence,
    session,
    telemetry,
)
from dashboard.security import SecurityHeaders
from fleetcell import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from dashboard.services import Services

API: Final = "/api/v1"
DESCRIPTION: Final = """Vehicles, their presence and their readings.

Authenticate with `Authorization: Bearer KEY`, or the session cookie of a sign-in. Errors are RFC 9457
`application/problem+json`; times are RFC 3339 in UTC; lists answer `{"items": [...], "next_cursor": ...}`:
send `next_cursor` as `cursor` for the next page, until it is null.
"""
ANSWERS: Final = (
    shapes.Fleet,
    shapes.RegionPage,
    shapes.SignalPage,
    shapes.VehiclePage,
    shapes.Vehicle,
    shapes.PresenceHistory,
    shapes.TelemetryPage,
    delivery_shapes.Delivery,
    event_shapes.EventPage,
    event_shapes.HazardPage,
    derived_shapes.TripPage,
    derived_shapes.StopPage,
    derived_shapes.RollupPage,
    derived_shapes.DeadLetterPage,
    geofence_shapes.Geofence,
    geofence_shapes.GeofencePage,
    geofence_shapes.VisitPage,
    geofence_shapes.Alert,
    geofence_shapes.AlertPage,
    shapes.ErasurePage,
    shapes.ErasureCount,
    shapes.ProvisionedPage,
    Command,
    CommandPage,
    shapes.Session,
    problems.Problem,
)


def make_server(services: Services, static: Path = STATIC) -> ASGIApp:
    """The whole application, from the measuring outside to the paths inside."""
    app = FastAPIOffline(
        title="fleetcell",
        version=__version__,
        description=DESCRIPTION,
        responses={"default": _problem_answer()},
    )
    app.state.services = services
    problems.install(app)
    app.include_router(health.router)
    app.include_router(session.pages)
    # the guard refuses a larger declared length; the router, one that is not declared
    api = APIRouter(prefix=API, dependencies=[ONLY_KNOWN_PARAMETERS], max_body_size=MAX_BODY)
    for group in (
        fleet,
        presence,
        telemetry,
        derived,
        events,
        geofences,
        alerts,
        live,
        map,
        admin,
        commands,
        session,
    ):
        api.include_router(group.router)
    app.include_router(api)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    own = list(app.routes)
    app.router.routes.append(Route("/{path:path}", Pages(static).answer, methods=["GET"]))
    guarded = Guard(
        app,
        is_page=lambda path: not path.startswith("/api/") and not _matches(own, path),
        tokens=services.tokens,
        keys=services.keys,
        public_url=services.public_url,
    )
    compressed = GZipMiddleware(guarded, minimum_size=1024, compresslevel=5)
    return Measure(SecurityHeaders(compressed), services.metrics)


def _matches(routes: list[BaseRoute], path: str) -> bool:
    """Whether one of the application's own paths answers here, with any method."""
    scope = {"type": "http", "path": path, "root_path": "", "method": "GET"}
    return any(route.matches(dict(scope))[0] is not Match.NONE for route in routes)


def _problem_answer() -> dict[str, Any]:
    return {
        "description": "What is wrong, and what to do",
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the shapes of the answers, which msgspec describes."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _references, components = msgspec.json.schema_components(
            ANSWERS, ref_template="#/components/schemas/{name}"
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    assert app.openapi_schema is not None
    return app.openapi_schema
