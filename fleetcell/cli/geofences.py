"""`fleetcell geofences`, and `fleetcell query visits` and `alerts`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fleetcell.cli.common import (
    DEFAULT_DATA,
    Api,
    AsJson,
    DataDir,
    Limit,
    OfVehicle,
    Since,
    Until,
    Vehicle,
    api,
    console,
    stderr,
)
from fleetcell.cli.lists import Columns, print_list
from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.contract.geofences import area_of, fields_of

app = typer.Typer(help="Geofences: areas that vehicles enter and leave.", no_args_is_help=True)
queries = typer.Typer()  # its commands are those of `query`

PATH = "/api/v1/geofences"


@app.command(epilog="Example: fleetcell geofences add depot.geojson --name depot --alert enter --alert exit")
def add(
    file: Annotated[
        Path, typer.Argument(help="GeoJSON: a geometry, a Feature, or a FeatureCollection: one of each.")
    ],
    data: DataDir = DEFAULT_DATA,
    name: Annotated[str | None, typer.Option(help="Default: the property `name` of the Feature.")] = None,
    radius: Annotated[float | None, typer.Option(help="Metres around a Point.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="Metres outside from which on a vehicle has left; default 25.")
    ] = None,
    vehicle: Annotated[
        list[str] | None, typer.Option(help="It holds for this one only; repeat for more.")
    ] = None,
    alert: Annotated[list[str] | None, typer.Option(help="enter or exit; repeat for both.")] = None,
    dwell: Annotated[int | None, typer.Option(help="Alert when a vehicle stays for so many seconds.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change one that has this name.")] = False,
) -> None:
    """Make geofences. What is not given as an option is taken from the Features' properties."""
    if wrong := sorted(set(alert or ()) - {"enter", "exit"}):
        raise ConfigError(f"--alert {wrong[0]}: use enter or exit (or --dwell SECONDS)")
    options: dict[str, Any] = {
        "name": name,
        "radius_m": radius,
        "margin_m": margin,
        "vehicles": vehicle or None,
    }
    if alert or dwell:
        options["alerts"] = {kind: kind in (alert or ()) for kind in ("enter", "exit")} | {"dwell_s": dwell}
    wishes = [
        fields_of(feature) | {key: value for key, value in options.items() if value is not None}
        for feature in _features(file)
    ]
    if len(wishes) > 1 and name is not None:
        raise ConfigError(f"{file} has {len(wishes)} features: --name is for one")
    for number, wish in enumerate(wishes):
        if not isinstance(wish.get("name"), str):
            raise ConfigError(f"{file}: feature {number} has no property `name`: give --name")
        try:
            area_of(wish["geometry"], wish.get("radius_m"))
        except FleetcellError as error:
            raise FleetcellError(f"{file}: {wish['name']}: {error}") from None
    client = api(data)
    known = {one["name"]: one["id"] for one in _all(client)} if replace else {}
    for wish in wishes:
        if wish["name"] in known:
            client.put(f"{PATH}/{known[wish['name']]}", wish)
            stderr.print(escape(f"{wish['name']} is changed"))
        else:
            made = client.post(PATH, wish)
            stderr.print(escape(f"{wish['name']} is geofence {made['id']}"))


@app.command("list", epilog="Example: fleetcell geofences list")
def list_(data: DataDir = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List the geofences; --json has their geometry too."""
    if as_json:
        print(json.dumps(list(api(data).pages(PATH)), indent=1))
        return
    table = Table("Id", "Name", "Vehicles", "Alerts", "Version", "History", "Changed", "By")
    for one in _all(api(data)):
        vehicles = "all" if one["vehicles"] is None else str(len(one["vehicles"]))
        history = "is being derived" if one["pending"] else "complete"
        row = (str(one["id"]), one["name"], vehicles, _alerting(one["alerts"]), str(one["version"]), history)
        table.add_row(*map(escape, (*row, one["updated_at"], one["updated_by"])))
    if table.row_count:
        console.print(table)
    else:
        stderr.print("no geofences; make one with `fleetcell geofences add`")


@app.command(epilog="Example: fleetcell geofences remove depot")
def remove(
    geofence: Annotated[str, typer.Argument(help="Id or name.")],
    data: DataDir = DEFAULT_DATA,
) -> None:
    """Remove a geofence and its visits. Its alerts stay."""
    client = api(data)
    found = [one for one in _all(client) if geofence in (str(one["id"]), one["name"])]
    exact = [one for one in found if one["name"] == geofence] or found
    if not exact:
        raise FleetcellError(f"there is no geofence {geofence}; `fleetcell geofences list` shows them")
    client.delete(f"{PATH}/{exact[0]['id']}")
    stderr.print(escape(f"{exact[0]['name']} is removed"))


@queries.command(epilog="Example: fleetcell query visits taxi-0001 --since 1d")
def visits(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """When a vehicle was in which geofence, the newest first."""
    columns: Columns = {
        "Geofence": lambda one: one["geofence"],
        "Entered": lambda one: one["entered_at"],
        "Left": lambda one: "goes on" if one["open"] else one["left_at"],
        "Last position": lambda one: one["last_at"] or "",
        "Silence": lambda one: "left in one" if one["left_unseen"] else "has one" if one["gap"] else "",
    }
    path = f"/api/v1/vehicles/{vehicle}/visits"
    print_list(path, data, since, until, columns, as_json, "no visits in this time", most=limit)


@queries.command(epilog="Example: fleetcell query alerts --state open --since 1d")
def alerts(
    data: DataDir = DEFAULT_DATA,
    vehicle: OfVehicle = None,
    state: Annotated[
        list[str] | None, typer.Option(help="open, acknowledged or corrected; repeat for more.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """The alerts of geofences, last raised first."""
    columns: Columns = {
        "Id": lambda one: str(one["id"]),
        "Raised": lambda one: one["raised_at"],
        "Vehicle": lambda one: one["vehicle"],
        "What": lambda one: one["kind"],
        "Geofence": lambda one: one["geofence"],
        "At": lambda one: one["at"],
        "State": lambda one: one["state"],
        "Correction": _correction,
        "Acknowledged by": lambda one: one["acknowledged_by"] or "",
    }
    print_list(
        "/api/v1/alerts",
        data,
        since,
        until,
        columns,
        as_json,
        "no alerts",
        most=limit,
        vehicle=vehicle,
        state=",".join(state) if state else None,
    )


def _features(file: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise FleetcellError(f"{file}: {error}") from None
    match found:
        case {"type": "FeatureCollection", "features": [_, *_] as features} if all(
            isinstance(one, dict) for one in features
        ):
            return list(features)
        case {"type": "Feature"}:
            return [found]
        case {"type": "Polygon" | "MultiPolygon" | "Point"}:
            return [{"geometry": found}]
        case _:
            raise FleetcellError(
                f"{file}: it is not a GeoJSON Feature, FeatureCollection (with features), Polygon, "
                "MultiPolygon or Point"
            )


def _all(client: Api) -> list[dict[str, Any]]:
    return list(client.pages(PATH, geometry="false", limit=200))


def _correction(one: dict[str, Any]) -> str:
    return f"moved to {one['holds_at']}" if one["correction"] == "moved" else one["correction"] or ""


def _alerting(rules: dict[str, Any]) -> str:
    found = [kind for kind in ("enter", "exit") if rules[kind]]
    if rules["dwell_s"] is not None:
        found.append(f"{rules['dwell_s']} s inside")
    return ", ".join(found)
