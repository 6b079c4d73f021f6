"""`fleetcell vehicles`: credentials of vehicle units, how long their data is kept, and erasure."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from fleetcell.cli.common import DEFAULT_DATA, DataDir, OfVehicle, Vehicle, api, console, stderr
from fleetcell.contract.errors import ConfigError, FleetcellError
from fleetcell.contract.topics import check_name

app = typer.Typer(help="Provision vehicles: their secret is shown once.", no_args_is_help=True)

BATCH = 500
POLL_S = 0.25  # how often the progress of an erasure is asked for


@app.command(epilog="Example: fleetcell vehicles add bus-17 bus-18")
def add(
    ids: Annotated[list[str], typer.Argument(help="Vehicle ids: A-Z a-z 0-9 _ -, at most 64 characters.")],
    data: DataDir = DEFAULT_DATA,
    rotate: Annotated[bool, typer.Option(help="Give a vehicle that exists a new secret.")] = False,
) -> None:
    """Provision vehicles and print each one's secret. It is not stored and cannot be shown again."""
    _provision(data, ids, rotate=rotate)


@app.command("import", epilog="Example: fleetcell vehicles import fleet.csv > secrets.csv")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with a header and a column `id`.")],
    data: DataDir = DEFAULT_DATA,
) -> None:
    """Provision the vehicles of a CSV file."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            rows = csv.DictReader(source)
            if "id" not in (rows.fieldnames or ()):
                raise FleetcellError(f"{file}:1: no column `id` in the header")
            ids = []
            for row in rows:
                try:
                    ids.append(check_name((row["id"] or "").strip(), "vehicle"))
                except FleetcellError as error:
                    raise FleetcellError(f"{file}:{rows.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FleetcellError(f"{file}: {error}") from None
    _provision(data, ids, rotate=False)


def _provision(data: Path, ids: list[str], *, rotate: bool) -> None:
    for vehicle in ids:
        try:
            check_name(vehicle, "vehicle")
        except FleetcellError as error:
            raise ConfigError(str(error)) from None
    client = api(data)
    known = 0
    print("id,secret")
    for start in range(0, len(ids), BATCH):
        answer = client.post("/api/v1/vehicles", {"ids": ids[start : start + BATCH], "rotate": rotate})
        for item in answer["items"]:
            if item["secret"] is None:
                known += 1
            else:
                print(f"{item['id']},{item['secret']}")
    if known:
        stderr.print(f"{known} existed already and keep their secret (--rotate gives a new one)")


@app.command("list", epilog="Example: fleetcell vehicles list --state offline")
def list_(
    data: DataDir = DEFAULT_DATA,
    state: Annotated[str | None, typer.Option(help="online, suspect, asleep, offline or unknown.")] = None,
    region: Annotated[str | None, typer.Option(help="Only this region.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the vehicles with their presence."""
    items = api(data).pages("/api/v1/vehicles", state=state, region=region, limit=500)
    if as_json:
        for item in items:
            print(json.dumps(item))
        return
    table = Table("Vehicle", "State", "Reason", "Since", "Region", "Position")
    for item in items:
        table.add_row(*map(escape, _row(item)))
    if table.row_count:
        console.print(table)
    else:
        stderr.print("no vehicles; provision one with `fleetcell vehicles add`, or run `fleetcell sim run`")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    registration = item["registration"] or {}
    position = item.get("position")
    where = f"{position['lat']:.5f}, {position['lon']:.5f}" if position else ""
    return (
        item["id"],
        str(registration.get("state", "unknown")),
        str(registration.get("reason", "")),
        str(registration.get("since") or ""),
        str(registration.get("region") or ""),
        where,
    )


@app.command(epilog="Example: fleetcell vehicles revoke bus-17")
def revoke(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
) -> None:
    """Take a vehicle's credential away; its live session ends within 5 seconds."""
    api(data).post(f"/api/v1/vehicles/{check_name(vehicle, 'vehicle')}/revoke")
    stderr.print(f"{vehicle} is revoked")


@app.command(epilog="Example: fleetcell vehicles retention bus-17 30")
def retention(
    vehicle: Vehicle,
    days: Annotated[int | None, typer.Argument(min=1, max=36500, help="Default: as the fleet's.")] = None,
    data: DataDir = DEFAULT_DATA,
) -> None:
    """Keep what a vehicle measured for so many days, shorter or longer than the fleet's."""
    api(data).put(f"/api/v1/vehicles/{check_name(vehicle, 'vehicle')}/retention", {"days": days})
    stderr.print(f"{vehicle}: {'as the fleet' if days is None else f'{days} days'}")


@app.command(epilog="Example: fleetcell vehicles erase bus-17 --dry-run")
def erase(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a vehicle and all that was stored of it, for good. May be ended and run again: it goes on."""
    client = api(data)
    path = f"/api/v1/vehicles/{check_name(vehicle, 'vehicle')}"
    rows: dict[str, int] = client.get(f"{path}/erasure")["rows"]
    if dry_run:
        _print_rows(rows)
        return
    begun = client.get("/api/v1/erasures", vehicle=vehicle, limit=1)["items"]
    if not yes and not (begun and begun[0]["finished_at"] is None):
        if not sys.stdin.isatty():
            raise ConfigError("this cannot be undone: say --yes (or --dry-run to see what would go)")
        typer.confirm(f"Erase {vehicle} and its {sum(rows.values()):,} rows for good?", abort=True)
    erasure = client.delete(path)
    with Progress(console=stderr, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task(f"erasing {vehicle}", total=sum(rows.values()))
        before = sum(erasure["removed"].values()) if begun else 0
        while erasure["finished_at"] is None:
            time.sleep(POLL_S)
            erasure = client.get("/api/v1/erasures", vehicle=vehicle, limit=1)["items"][0]
            progress.update(bar, completed=sum(erasure["removed"].values()) - before)
    _print_rows(erasure["removed"])
    where = ", ".join(erasure["regions"])
    waits = f"; the retained state goes when the gateway of {where} is there" if where else ""
    stderr.print(escape(f"{vehicle} is erased{waits}"))


@app.command(epilog="Example: fleetcell vehicles erasures")
def erasures(
    data: DataDir = DEFAULT_DATA,
    vehicle: OfVehicle = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List who erased which vehicle when, and how many rows that were."""
    table = Table("Vehicle", "Asked", "By", "Finished", "Rows", "Retained state left in")
    for item in api(data).pages("/api/v1/erasures", vehicle=vehicle, limit=500):
        if as_json:
            print(json.dumps(item))
            continue
        table.add_row(
            *map(escape, (item["vehicle"], item["asked_at"], item["asked_by"], item["finished_at"] or "")),
            str(sum(item["removed"].values())),
            escape(", ".join(item["regions"])),
        )
    if table.row_count:
        console.print(table)
    elif not as_json:
        stderr.print("no vehicle was erased")


def _print_rows(rows: dict[str, int]) -> None:
    table = Table("Table", "Rows")
    for part, count in sorted(rows.items()):
        if count:
            table.add_row(part, str(count))
    table.add_row("together", str(sum(rows.values())))
    console.print(table)
