"""The Grafana dashboard: its panels, and their SQL from dashboard/sql/grafana/. Pure."""

from __future__ import annotations

from typing import Any, Final

from dashboard.database import sql

SOURCE_UID: Final = "fleetcell-postgresql"
FOLDER_UID: Final = "fleetcell"
DASHBOARD_UID: Final = "fleetcell-fleet"
QUERIES: Final = ("states", "positions", "speed", "charge", "presence", "gateways", "lag")
VARIABLE: Final = "vehicles_variable"
_SOURCE: Final = {"type": "postgres", "uid": SOURCE_UID}
_STATE_COLOURS: Final = {
    "online": "green",
    "suspect": "orange",
    "asleep": "blue",
    "offline": "red",
    "unknown": "gray",
}


def query(name: str) -> str:
    """The SQL of a panel, with Grafana's macros and variables in it."""
    return sql(f"grafana/{name}").strip()


def fleet_dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's JSON model."""
    return {
        "id": None,
        "uid": DASHBOARD_UID,
        "title": "Fleet",
        "tags": ["fleetcell"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [_vehicle_variable()]},
        "panels": [
            _panel(1, "piechart", "Vehicles by state", "states", (0, 0, 6, 8), **_states()),
            _panel(2, "geomap", "Where they are", "positions", (6, 0, 12, 16), options=_map_options()),
            _panel(3, "stat", "Ingest", "lag", (18, 0, 6, 8), unit="s"),
            _panel(4, "table", "Gateways", "gateways", (0, 8, 6, 8)),
            _panel(5, "timeseries", "Presence changes", "presence", (18, 8, 6, 8), series=True),
            _panel(6, "timeseries", "Speed", "speed", (0, 16, 12, 9), unit="velocitykmh", series=True),
            _panel(7, "timeseries", "Charge or fuel", "charge", (12, 16, 12, 9), unit="percent", series=True),
        ],
    }


def _panel(
    number: int,
    kind: str,
    title: str,
    name: str,
    place: tuple[int, int, int, int],
    *,
    unit: str = "",
    series: bool = False,
    options: dict[str, Any] | None = None,
    overrides: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    x, y, width, height = place
    return {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "fieldConfig": {"defaults": {"unit": unit} if unit else {}, "overrides": overrides or []},
        "options": options or {},
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "format": "time_series" if series else "table",
                "editorMode": "code",
                "rawQuery": True,
                "rawSql": query(name),
            }
        ],
    }


def _states() -> dict[str, Any]:
    overrides = [
        {
            "matcher": {"id": "byName", "options": state},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for state, colour in _STATE_COLOURS.items()
    ]
    options = {
        "reduceOptions": {"values": True, "calcs": ["lastNotNull"], "fields": ""},
        "legend": {"displayMode": "table", "placement": "bottom", "values": ["value"]},
    }
    return {"options": options, "overrides": overrides}


def _map_options() -> dict[str, Any]:
    return {
        "view": {"id": "fit", "allLayers": True, "padding": 5},
        "basemap": {"type": "default", "name": "Basemap"},
        "layers": [
            {
                "type": "markers",
                "name": "Vehicles",
                "location": {"mode": "coords", "latitude": "lat", "longitude": "lon"},
                "config": {
                    "showLegend": False,
                    "style": {
                        "color": {"fixed": "green"},
                        "size": {"fixed": 5, "min": 2, "max": 15},
                        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
                        "text": {"field": "vehicle", "mode": "field"},
                    },
                },
                "tooltip": True,
            }
        ],
    }


def _vehicle_variable() -> dict[str, Any]:
    return {
        "name": "vehicle",
        "label": "Vehicle",
        "type": "query",
        "datasource": _SOURCE,
        "query": query(VARIABLE),
        "refresh": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }
