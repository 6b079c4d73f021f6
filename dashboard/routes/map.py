"""The basemap: the road network, as the simulator drives on it."""

import asyncio
import gzip
from email.utils import formatdate
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from dashboard.errors import NotFoundError
from dashboard.services import Wired

router = APIRouter(prefix="/map", tags=["map"])

ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL"


@router.get("/roads")
async def roads(request: Request, services: Wired) -> Response:
    """GeoJSON lines with name and class; © OpenStreetMap contributors (ODbL)."""
    path = services.roads_file
    if path is None or not path.is_file():
        raise NotFoundError(
            "no road network here: set FLEETCELL_ROADS_FILE to a .geojson or .geojson.gz file"
        )
    headers = {
        "Cache-Control": "private, max-age=3600",
        "Vary": "Accept-Encoding",
        "Map-Attribution": ATTRIBUTION,
    }
    if path.suffix != ".gz":
        return FileResponse(path, media_type="application/geo+json", headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return FileResponse(
            path, media_type="application/geo+json", headers=headers | {"Content-Encoding": "gzip"}
        )
    headers["Last-Modified"] = formatdate(path.stat().st_mtime, usegmt=True)
    return Response(
        await asyncio.to_thread(_unpack, path), media_type="application/geo+json", headers=headers
    )


def _unpack(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()
