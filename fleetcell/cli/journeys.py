"""`fleetcell query trips`, `stops`, `summary` and `dead-letters`: derived data from a terminal."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import typer

from fleetcell.cli.common import DEFAULT_DATA, AsJson, DataDir, Limit, OfVehicle, Since, Until, Vehicle
from fleetcell.cli.lists import Columns, place, print_list

app = typer.Typer()  # its commands are those of `query`


PAGE = 20  # dead letters: each holds up to 256 KiB
SHOWN_BYTES = 60


@app.command(epilog="Example: fleetcell query trips taxi-0001 --since 1d")
def trips(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """The trips of a vehicle, newest first: when, how far, how fast, how much energy."""
    columns: Columns = {
        "Start": lambda one: one["start"],
        "End": _end,
        "Duration": lambda one: _duration(one["duration_s"]),
        "Distance": lambda one: f"{one['distance_m'] / 1000:.2f} km",
        "Moving": lambda one: _duration(one["moving_s"]),
        "Average": lambda one: _speed(one["speed_avg"]),
        "Highest": lambda one: _speed(one["speed_max"]),
        "Used": _energy,
        "From": lambda one: place(one["start_lat"], one["start_lon"]),
        "To": lambda one: place(one["end_lat"], one["end_lon"]),
    }
    print_list(
        f"/api/v1/vehicles/{vehicle}/trips", data, since, until, columns, as_json, "no trips in this time"
    )


@app.command(epilog="Example: fleetcell query stops taxi-0001 --since 1d")
def stops(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """The stops of a vehicle, newest first: when, how long, where."""
    columns: Columns = {
        "Start": lambda one: one["start"],
        "End": _end,
        "Duration": lambda one: _duration(one["duration_s"]),
        "Place": lambda one: place(one["lat"], one["lon"]),
        "Charged": lambda one: f"{one['soc_charged']:.1f} %" if one["soc_charged"] else "",
        "Filled": lambda one: f"{one['fuel_filled']:.1f} %" if one["fuel_filled"] else "",
    }
    print_list(
        f"/api/v1/vehicles/{vehicle}/stops", data, since, until, columns, as_json, "no stops in this time"
    )


@app.command(epilog="Example: fleetcell query summary taxi-0001 --bucket 1d")
def summary(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    since: Since = None,
    until: Until = None,
    bucket: Annotated[str, typer.Option(help="10m, 1h, 1d or another multiple of ten minutes.")] = "1h",
    as_json: AsJson = False,
) -> None:
    """Readings, distance, moving time, speed and energy by time, oldest first."""
    columns: Columns = {
        "Time": lambda one: one["time"],
        "Readings": lambda one: str(one["count"]),
        "Distance": lambda one: f"{one['distance_m'] / 1000:.2f} km",
        "Moving": lambda one: _duration(one["moving_s"]),
        "Average": lambda one: _speed(one["speed_avg"]),
        "Highest": lambda one: _speed(one["speed_max"]),
        "Used": _energy,
    }
    path = f"/api/v1/vehicles/{vehicle}/summary"
    print_list(path, data, since, until, columns, as_json, "no readings in this time", bucket=bucket)


@app.command("dead-letters", epilog="Example: fleetcell query dead-letters --vehicle taxi-0001")
def dead_letters(
    data: DataDir = DEFAULT_DATA,
    vehicle: OfVehicle = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """What arrived and could not be used, last arrived first; --json has the whole payload in base64."""
    columns: Columns = {
        "Id": lambda one: str(one["id"]),
        "Last": lambda one: one["last_at"],
        "Times": lambda one: str(one["count"]),
        "Topic": lambda one: one["topic"],
        "Bytes": lambda one: str(one["size"]),
        "Reason": lambda one: one["reason"],
        "Payload": lambda one: repr(base64.b64decode(one["payload"])[:SHOWN_BYTES])[2:-1],
    }
    print_list(
        "/api/v1/dead-letters",
        data,
        since,
        until,
        columns,
        as_json,
        "no dead letters",
        most=limit,
        page=PAGE,
        vehicle=vehicle,
    )


def _end(one: dict[str, Any]) -> str:
    return "goes on" if one["open"] else str(one["end"])


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _speed(kmh: float | None) -> str:
    return "" if kmh is None else f"{kmh:.0f} km/h"


def _energy(one: dict[str, Any]) -> str:
    used = (f"{one[f'{kind}_used']:.1f} % {kind}" for kind in ("soc", "fuel") if one[f"{kind}_used"])
    return ", ".join(used)
