"""`fleetcell command`: have a vehicle do something, and see what becomes of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fleetcell.cli.common import DEFAULT_DATA, ApiError, DataDir, Vehicle, api, duration, stderr
from fleetcell.contract.commands import TERMINAL, CommandState, check_command
from fleetcell.contract.errors import ConfigError, PayloadError
from fleetcell.contract.topics import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleetcell.cli.common import Api

PATIENCE_S: Final = (
    90.0  # after not_after: an accepted command may end a minute later, and the server says so
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "command", epilog="Example: fleetcell command taxi-0001 set_interval --arg seconds=30 --wait"
    )(command)


def command(
    vehicle: Vehicle,
    name: Annotated[str, typer.Argument(help="ping, locate, lock, unlock, sleep, wake, reboot, ...")],
    data: DataDir = DEFAULT_DATA,
    arg: Annotated[
        list[str] | None, typer.Option(help="name=value; a value is JSON, or else a text. Repeat for more.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="""Must hold at the vehicle: speed=0, state=online, 'soc={"min": 20}'."""),
    ] = None,
    not_after: Annotated[
        str | None, typer.Option(help="RFC 3339, or from now: 30s, 15m, 6h, 2d. Default: 5m.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show the steps; exit 0 only when it succeeded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the command as JSON.")] = False,
) -> None:
    """Send a command to a vehicle. It waits for a vehicle that sleeps or has no link, until its deadline."""
    body: dict[str, Any] = {"name": name, "args": pairs(arg, "--arg")}
    if require:
        body["require"] = pairs(require, "--require")
    if not_after is not None:
        body["not_after"] = deadline(not_after, datetime.now(UTC))
    try:
        check_command(name, body["args"], body.get("require"))
    except PayloadError as error:
        raise ConfigError(str(error)) from None
    client = api(data)
    made = client.post(f"/api/v1/vehicles/{check_name(vehicle, 'vehicle')}/commands", body)
    if not wait:
        print(json.dumps(made, indent=1) if as_json else made["id"])
        return
    ended = _follow(client, made)
    if as_json:
        print(json.dumps(ended, indent=1))
    elif ended["result"] is not None:
        print(json.dumps(ended["result"]))
    if ended["state"] != CommandState.SUCCEEDED:
        raise typer.Exit(1)


def _follow(client: Api, made: dict[str, Any]) -> dict[str, Any]:
    """Show each step on standard error until the command has ended; the command as it ended."""
    allowed = datetime.fromisoformat(made["not_after"]) - datetime.fromisoformat(made["created_at"])
    give_up = time.monotonic() + allowed.total_seconds() + PATIENCE_S
    stderr.print(f"command {made['id']}, until {made['not_after']}", highlight=False)
    found, shown, pause = made, 0, 0.1
    while True:
        for step in found["steps"][shown:]:
            stderr.print(step_line(step), highlight=False, markup=False)
        shown = len(found["steps"])
        if found["state"] in TERMINAL:
            if found["error"]:
                stderr.print(found["error"], highlight=False, markup=False)
            return found
        if time.monotonic() > give_up:
            raise ApiError(f"the command is still {found['state']}: is ingest running? fleetcell doctor")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
        found = client.get(f"/api/v1/commands/{made['id']}")


def step_line(step: dict[str, Any]) -> str:
    """A step in one line: its time, what happened, and with what."""
    detail = ", ".join(f"{name} {value}" for name, value in step["detail"].items())
    at = datetime.fromisoformat(step["at"]).astimezone()
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03} {step['event']}" + (f" ({detail})" if detail else "")


def pairs(given: Iterable[str] | None, flag: str) -> dict[str, Any]:
    """`name=value` options as an object: a value that is JSON is taken so, any other is a text.

    Raises:
        ConfigError: one is not of that form, or a name is given twice.
    """
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"{flag} {text}: write name=value")
        if name in found:
            raise ConfigError(f"{flag} {name}: given twice")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def deadline(value: str, now: datetime) -> str:
    """`--not-after` as RFC 3339.

    Raises:
        ConfigError: neither RFC 3339 nor a duration from now.
    """
    if (given := duration(value)) is not None:
        return (now + given).isoformat()
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(
            f"--not-after {value}: use RFC 3339 (2026-05-01T12:00:00Z) or from now (30s, 15m, 6h)"
        ) from None
    return (parsed if parsed.tzinfo else parsed.astimezone()).isoformat()
