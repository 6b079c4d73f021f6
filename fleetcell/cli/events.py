"""`fleetcell query events` and `hazards`: what happened, from a terminal."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from fleetcell.cli.common import DEFAULT_DATA, AsJson, DataDir, Limit, OfVehicle, Since, Until
from fleetcell.cli.lists import Columns, place, print_list

app = typer.Typer()  # its commands are those of `query`

Box = Annotated[str | None, typer.Option(help="Only in this box: west,south,east,north in degrees.")]


@app.command(epilog="Example: fleetcell query events --vehicle taxi-0001 --kind dtc --since 1d")
def events(
    data: DataDir = DEFAULT_DATA,
    vehicle: OfVehicle = None,
    kind: Annotated[list[str] | None, typer.Option(help="Such as dtc, crash; repeat for more.")] = None,
    since: Since = None,
    until: Until = None,
    bbox: Box = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """What vehicles reported, newest first: trouble codes, harsh driving, collisions."""
    columns: Columns = {
        "Time": lambda one: one["time"],
        "Vehicle": lambda one: one["vehicle"],
        "Kind": lambda one: one["kind"],
        "Place": lambda one: place(one["lat"], one["lon"]),
        "Data": lambda one: json.dumps(
            {key: value for key, value in one["data"].items() if key not in ("lat", "lon")}
        ),
    }
    print_list(
        "/api/v1/events",
        data,
        since,
        until,
        columns,
        as_json,
        "no events",
        most=limit,
        vehicle=vehicle,
        kind=",".join(kind) if kind else None,
        bbox=bbox,
    )


@app.command(epilog="Example: fleetcell query hazards --active")
def hazards(
    data: DataDir = DEFAULT_DATA,
    active: Annotated[bool, typer.Option("--active", help="Only those that hold now.")] = False,
    since: Since = None,
    until: Until = None,
    bbox: Box = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """What vehicles warned each other of, last told first."""
    columns: Columns = {
        "Detected": lambda one: one["detected_at"],
        "Kind": lambda one: one["kind"],
        "State": lambda one: one["state"],
        "Valid until": lambda one: one["valid_until"],
        "Place": lambda one: place(one["lat"], one["lon"]),
        "Region": lambda one: one["region"],
        "Station": lambda one: f"{one['station']}/{one['sequence']}",
    }
    print_list(
        "/api/v1/hazards",
        data,
        since,
        until,
        columns,
        as_json,
        "no hazards",
        most=limit,
        active="true" if active else None,
        bbox=bbox,
    )
