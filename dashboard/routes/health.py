"""Alive, ready, and the figures: /healthz, /readyz, /metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from dashboard import shapes
from dashboard.answers import Json
from dashboard.errors import DatabaseUnavailableError
from dashboard.services import Services, Wired

router = APIRouter(tags=["health"])

MAX_LAG_S = 30.0


@router.get("/healthz")
async def healthz() -> Response:
    """The process is alive."""
    return Json({"status": "alive"})


@router.get("/readyz")
async def readyz(services: Wired) -> Response:
    """Whether everything behind the dashboard works; 503 with the reasons when not."""
    reasons = await degraded(services)
    body = {"status": "degraded" if reasons else "ready", "reasons": reasons}
    return Json(body, status_code=503 if reasons else 200, headers={"Cache-Control": "no-store"})


@router.get("/metrics")
async def metrics(services: Wired) -> Response:
    """Prometheus figures."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def degraded(services: Services) -> list[str]:
    """What does not work, in words."""
    reasons = []
    for bridge in services.feed.bridges:
        if not bridge.connected:
            where = f" to {bridge.address}" if len(services.feed.bridges) > 1 else ""
            why = f": {bridge.last_error}" if bridge.last_error else ""
            reasons.append(f"broker: not connected{where}{why}; positions come from the database meanwhile")
    try:
        gateways = await services.database.fetch("gateways")
    except DatabaseUnavailableError as error:
        return [f"database: {error}", *reasons]
    if not services.feed.ready:
        reasons.append("live feed: not loaded yet")
    if not gateways:
        reasons.append("ingest: no gateway has reported yet")
    for row in gateways:
        region = f"ingest in {row['region']}"
        if row["heartbeat_age_s"] > shapes.SILENT_AFTER_S:
            reasons.append(f"{region}: silent for {row['heartbeat_age_s']:.0f} s")
        elif not row["storing"]:
            reasons.append(f"{region}: is not storing")
        elif (row["lag_s"] or 0) > MAX_LAG_S:
            reasons.append(f"{region}: {row['lag_s']:.0f} s behind")
    return reasons
