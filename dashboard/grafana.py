"""`fleetcell grafana sync`: a data source, a folder and a dashboard in Grafana, by its HTTP API.

The one module that touches grafana_api_client (extra `grafana`). That client was last released in 2017:
its requests have no time limit by themselves, and its `.post()` sends a GET, so that only get, create
(POST), replace (PUT), update (PATCH) and delete are used here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from grafana_api_client import (  # type: ignore[import-untyped]
    GrafanaClient,
    GrafanaClientError,
    GrafanaServerError,
    GrafanaUnauthorizedError,
)

from dashboard.grafana_panels import FOLDER_UID, SOURCE_UID, fleet_dashboard
from fleetcell.contract.errors import FleetcellError

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 10.0
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
NOT_FOUND: Final = "Client Error 404"  # how the client words it


class GrafanaError(FleetcellError):
    """Grafana could not be brought up to date."""


@dataclass(frozen=True, slots=True)
class Source:
    """The database, as Grafana reaches it; `host` is a name, an address or the folder of a Unix socket."""

    host: str
    port: int
    database: str
    user: str
    password: str
    ssl_mode: str = "disable"
    timescale: bool = False


@dataclass(frozen=True, slots=True)
class Synced:
    """What was done: `url` of the dashboard, and for each part whether it was made or brought up to date."""

    url: str
    done: dict[str, str]


def source_of_dsn(dsn: str, *, host: str | None = None, timescale: bool = False) -> Source:
    """The parts of a DSN, best of a role that may only read.

    Args:
        dsn: postgresql://user:password@host:port/database, with `?host=` for a Unix socket.
        host: how Grafana reaches the server, where that is another address than ours.
        timescale: whether the database has TimescaleDB.

    Raises:
        GrafanaError: a part is missing.
    """
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    reached = host or parts.hostname or next(iter(query.get("host", [])), "")
    database = parts.path.lstrip("/")
    if parts.scheme not in ("postgresql", "postgres") or not (reached and database and parts.username):
        raise GrafanaError(
            "the DSN needs user, host and database: postgresql://user:password@host:5432/database"
        )
    port = parts.port or int(next(iter(query.get("port", [])), "5432"))
    local = reached in LOOPBACK or reached.startswith("/")
    default_mode = "disable" if local else "require"
    return Source(
        host=reached,
        port=port,
        database=unquote(database),
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        ssl_mode=next(iter(query.get("sslmode", [])), default_mode),
        timescale=timescale,
    )


def sync(
    url: str,
    source: Source,
    *,
    token: str | None = None,
    user: tuple[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Synced:
    """Make the data source, the folder and the dashboard, or bring them up to date. Can be repeated.

    Args:
        url: of Grafana, such as http://grafana.example.org:3000 or https://example.org/grafana.
        source: the database that the panels read.
        token: of a service account with the role Admin.
        user: name and password, instead of a token.
        timeout_s: for each request.

    Raises:
        GrafanaError: Grafana does not answer, or refuses; the message says what to do.
    """
    client = _client(url, token if token is not None else user, timeout_s)
    done = {
        "data source": _put(
            look=client.datasources.uid[SOURCE_UID].get,
            make=client.datasources.create,
            replace=client.datasources.uid[SOURCE_UID].replace,
            body=_source_body(source),
        ),
        "folder": _put(
            look=client.folders[FOLDER_UID].get,
            make=client.folders.create,
            replace=client.folders[FOLDER_UID].replace,
            body={"uid": FOLDER_UID, "title": "fleetcell", "overwrite": True},
        ),
    }
    answer = _ask(
        lambda: client.dashboards.db.create(
            dashboard=fleet_dashboard(),
            folderUid=FOLDER_UID,
            message="fleetcell grafana sync",
            overwrite=True,
        )
    )
    done["dashboard"] = "made" if answer.get("version") == 1 else "updated"
    path = answer.get("url", "")
    base = urlsplit(url)
    return Synced(f"{base.scheme}://{base.netloc}{path}", done)


def _client(url: str, credentials: str | tuple[str, str] | None, timeout_s: float) -> GrafanaClient:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GrafanaError(
            f"{url!r} is not an address of Grafana: write http://host:3000 or https://host/path"
        )
    if credentials is None:
        raise GrafanaError("give a token of a service account with the role Admin, or user and password")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    client = GrafanaClient(
        credentials, host=host, port=parts.port, url_path_prefix=parts.path.strip("/"), protocol=parts.scheme
    )
    # a redirect would turn a POST into a GET
    client.custom_requests_params = {"timeout": timeout_s, "allow_redirects": False}
    return client


def _source_body(source: Source) -> dict[str, Any]:
    return {
        "uid": SOURCE_UID,
        "name": "fleetcell",
        "type": "postgres",
        "access": "proxy",
        "url": source.host if source.host.startswith("/") else f"{source.host}:{source.port}",
        "user": source.user,
        "database": source.database,  # before Grafana 10
        "jsonData": {
            "database": source.database,
            "sslmode": source.ssl_mode,
            "postgresVersion": 1500,
            "timescaledb": source.timescale,
            "maxOpenConns": 5,
        },
        "secureJsonData": {"password": source.password},
    }


def _put(
    *, look: Callable[[], Any], make: Callable[..., Any], replace: Callable[..., Any], body: dict[str, Any]
) -> str:
    """Replace what is there, or make it."""
    if _ask(look, missing=True) is None:
        _ask(lambda: make(**body))
        return "made"
    _ask(lambda: replace(**body))
    return "updated"


def _ask(request: Callable[[], Any], *, missing: bool = False) -> Any:
    """The answer of Grafana; None where it has no such thing and that may be (`missing`)."""
    try:
        return request()
    except GrafanaUnauthorizedError:
        raise GrafanaError("Grafana does not accept this token or password") from None
    except GrafanaClientError as error:
        if missing and NOT_FOUND in str(error):
            return None
        hint = "; the service account needs the role Admin" if "Client Error 403" in str(error) else ""
        raise GrafanaError(f"Grafana refused: {error}{hint}") from None
    except GrafanaServerError as error:
        raise GrafanaError(f"Grafana has a fault: {error}") from None
    except requests.JSONDecodeError:
        raise GrafanaError("this is not Grafana's API: the answer is not JSON; check the address") from None
    except requests.RequestException as error:
        raise GrafanaError(f"Grafana does not answer: {error}") from None
