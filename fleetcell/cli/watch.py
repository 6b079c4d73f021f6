"""`fleetcell watch`: a live table of presence in the terminal."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text  # never markup: a reason may be a vehicle's own word

from fleetcell.cli.common import DEFAULT_DATA, DataDir, api, console

if TYPE_CHECKING:
    from fleetcell.cli.common import Api

STYLES = {"online": "green", "suspect": "yellow", "asleep": "blue", "offline": "red", "unknown": "magenta"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", epilog="Example: fleetcell watch --state suspect")(watch)


def watch(
    data: DataDir = DEFAULT_DATA,
    region: Annotated[str | None, typer.Option(help="Only this region.")] = None,
    state: Annotated[str | None, typer.Option(help="Only vehicles in this state.")] = None,
) -> None:
    """Watch the fleet's presence live. Ctrl-C ends it."""
    asyncio.run(_watch(api(data), region, state))


async def _watch(client: Api, region: str | None, state: str | None) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    url = (
        client.url.replace("http", "ws", 1)
        + "/api/v1/live?max_hz=0.2"
        + (f"&region={region}" if region else "")
    )
    fleet: dict[str, dict[str, Any]] = {}
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        async for link in connect(
            url, additional_headers={"Authorization": f"Bearer {client.key}"}, proxy=None
        ):
            try:
                async for text in link:
                    apply(fleet, json.loads(text))
                    live.update(table_of(fleet, state), refresh=True)
            except ConnectionClosed:
                continue  # `connect` comes back with a backoff; a snapshot follows


def apply(fleet: dict[str, dict[str, Any]], frame: dict[str, Any]) -> None:
    """Take a live frame: what is known of each vehicle's presence, by its id."""
    match frame["type"]:
        case "snapshot":
            fleet.clear()
            fleet.update({v["id"]: v["registration"] for v in frame["vehicles"] if v["registration"]})
        case "presence":
            fleet.update({change["vehicle"]: change for change in frame["changes"]})


def table_of(fleet: dict[str, dict[str, Any]], state: str | None) -> Table:
    """What is not online comes first; `state` leaves only vehicles in it."""
    table = Table("Vehicle", "State", "Reason", "Since", "Region", title=f"{len(fleet)} vehicles")
    now = datetime.now(UTC)
    for vehicle, held in sorted(fleet.items(), key=lambda item: (item[1]["state"] == "online", item[0])):
        if state in (None, held["state"]):
            age = (now - datetime.fromisoformat(held["since"])).total_seconds() if held["since"] else 0
            state_cell, reason = Text(held["state"], STYLES.get(held["state"], "")), Text(held["reason"])
            table.add_row(vehicle, state_cell, reason, f"{age:.0f} s", held["region"] or "")
    return table
