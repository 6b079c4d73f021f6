"""The web page: the files that Vite built into dashboard/static, and its index for every other path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC: Final = Path(__file__).parent / "static"
FOREVER: Final = "public, max-age=31536000, immutable"  # Vite puts a hash of the content into these names
HASHED_FOLDER: Final = "assets"
MISSING: Final = """<!doctype html><html lang=en><meta charset=utf-8><title>fleetcell</title>
<h1>The web page is not built yet</h1>
<p>The API works: see <a href="/docs">/docs</a>. To build the page, with Node.js 20 or newer:</p>
<pre>npm --prefix dashboard/web ci
npm --prefix dashboard/web run build</pre>
<p>or start everything with <code>make up</code>, which does it.</p>
"""


class Pages:
    """Serves the built files.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder.resolve()

    async def answer(self, request: Request) -> Response:
        """A file, or the index for a path of the page's own (`/vehicles/bus-7`).

        Raises:
            HTTPException: 404 for a file that is not there.
        """
        path: str = request.path_params["path"]
        if path == "api" or path.startswith("api/"):
            raise HTTPException(404)
        found = self._find(path)
        if found is not None:
            hashed = path.startswith(f"{HASHED_FOLDER}/")
            return FileResponse(found, headers={"Cache-Control": FOREVER if hashed else "no-cache"})
        if "." in path.rsplit("/", 1)[-1] or path.startswith(f"{HASHED_FOLDER}/"):
            raise HTTPException(404)
        index = self._folder / "index.html"
        if not index.is_file():
            return HTMLResponse(MISSING, status_code=200 if not path else 404)
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    def _find(self, path: str) -> Path | None:
        if not path or "\0" in path:
            return None
        candidate = (self._folder / path).resolve()
        inside = candidate.is_relative_to(self._folder)
        return candidate if inside and candidate.is_file() else None
