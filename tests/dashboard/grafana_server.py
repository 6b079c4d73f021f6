"""A small server that follows Grafana's published HTTP API: data sources, folders, dashboards.

Real sockets and real HTTP; what it checks is what Grafana's documentation says of each request.
"""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "glsa_test"
USER = ("admin", "s3cret")


class GrafanaServer:
    """Runs in a thread on a free port; `datasources`, `folders` and `dashboards` by uid hold what was put."""

    def __init__(self, *, prefix: str = "") -> None:
        self.prefix = prefix
        self.datasources: dict[str, dict[str, Any]] = {}
        self.folders: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.answer_with: tuple[int, str] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{self.prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", 0))
        body = json.loads(request.rfile.read(length)) if length else None
        self.requests.append(f"{request.command} {request.path}")
        status, answer = self._answer(request, body)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _answer(self, request: BaseHTTPRequestHandler, body: Any) -> tuple[int, Any]:
        if self.answer_with is not None:
            return self.answer_with
        basic = "Basic " + base64.b64encode(":".join(USER).encode()).decode()
        if request.headers.get("Authorization") not in (f"Bearer {TOKEN}", basic):
            return 401, {"message": "Invalid API key"}
        if not request.path.startswith(f"{self.prefix}/api/"):
            return 404, {"message": "Not found"}
        path = request.path.removeprefix(f"{self.prefix}/api/").split("?")[0].split("/")
        match request.command, path:
            case "GET", ["datasources", "uid", uid]:
                found = self.datasources.get(uid)
                return (200, found) if found else (404, {"message": "Data source not found"})
            case "POST", ["datasources"]:
                return self._new_datasource(body)
            case "PUT", ["datasources", "uid", uid] if uid in self.datasources:
                self.datasources[uid] = body
                return 200, {"message": "Datasource updated", "name": body["name"], "datasource": body}
            case "GET", ["folders", uid]:
                found = self.folders.get(uid)
                return (
                    (200, found) if found else (404, {"message": "folder not found", "status": "not-found"})
                )
            case "POST", ["folders"]:
                self.folders[body["uid"]] = {"uid": body["uid"], "title": body["title"], "version": 1}
                return 200, self.folders[body["uid"]]
            case "PUT", ["folders", uid] if uid in self.folders:
                if not body.get("overwrite") and body.get("version") != self.folders[uid]["version"]:
                    return 412, {"status": "version-mismatch", "message": "The folder has been changed"}
                self.folders[uid] = {
                    "uid": uid,
                    "title": body["title"],
                    "version": self.folders[uid]["version"] + 1,
                }
                return 200, self.folders[uid]
            case "POST", ["dashboards", "db"]:
                return self._put_dashboard(body)
            case _:
                return 404, {"message": "Not found"}

    def _new_datasource(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not {"name", "type", "access"} <= body.keys():
            return 400, {"message": "bad request data"}
        if any(known["name"] == body["name"] for known in self.datasources.values()):
            return 409, {"message": "data source with the same name already exists"}
        self.datasources[body["uid"]] = body
        return 200, {"message": "Datasource added", "id": 1, "name": body["name"], "datasource": body}

    def _put_dashboard(self, body: dict[str, Any]) -> tuple[int, Any]:
        dashboard = body["dashboard"]
        if not dashboard.get("title"):
            return 400, {"message": "Dashboard title cannot be empty"}
        if body.get("folderUid") not in self.folders:
            return 400, {"message": "folder not found"}
        uid = dashboard["uid"]
        known = self.dashboards.get(uid)
        if known and not body.get("overwrite"):
            return 412, {"status": "version-mismatch", "message": "The dashboard has been changed"}
        version = known["version"] + 1 if known else 1
        self.dashboards[uid] = {**dashboard, "version": version, "folderUid": body["folderUid"]}
        url = f"{self.prefix}/d/{uid}/fleet"
        return 200, {
            "id": 1,
            "uid": uid,
            "url": url,
            "status": "success",
            "version": version,
            "slug": "fleet",
        }
