"""`fleetcell query`: the API from a terminal."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fleetcell.cli.common import (
    DEFAULT_DATA,
    AsJson,
    DataDir,
    Since,
    Until,
    Vehicle,
    api,
    console,
    moment,
    stderr,
)
from fleetcell.contract.errors import ConfigError
from fleetcell.contract.presence import Reason

app = typer.Typer(help="Query telemetry and presence.", no_args_is_help=True)

FORMATS = ("table", "csv", "json", "ndjson", "geojson", "gpx", "parquet")


@app.command(epilog="Example: fleetcell query telemetry taxi-0001 --signal speed --since 10m --bucket 1m")
def telemetry(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    signal: Annotated[list[str] | None, typer.Option(help="Wire key; repeat for more. Default: all.")] = None,
    since: Since = None,
    until: Until = None,
    bucket: Annotated[str | None, typer.Option(help="Aggregate by 10s, 1m, 1h, ...")] = None,
    output: Annotated[str, typer.Option("--format", help=" | ".join(FORMATS))] = "table",
) -> None:
    """Readings of a vehicle, raw or aggregated, in order of time."""
    if output not in FORMATS:
        raise ConfigError(f"--format {output}: use one of {', '.join(FORMATS)}")
    client, path = api(data), f"/api/v1/vehicles/{vehicle}/telemetry"
    params: dict[str, Any] = {
        "signals": ",".join(signal) if signal else None,
        "since": moment(since, "--since"),
        "until": moment(until, "--until"),
        "bucket": bucket,
    }
    if output in ("csv", "geojson", "gpx"):
        print(client.text(path, **params, format=output), end="")
        return
    items = client.pages(path, **params, limit=5000)
    if output == "ndjson":
        for item in items:
            print(json.dumps(item))
        return
    rows = list(items)
    if output == "json":
        print(json.dumps(rows, indent=1))
    elif output == "parquet":
        _write_parquet(rows)
    else:
        _print_readings(rows)


def _print_readings(rows: list[dict[str, Any]]) -> None:
    if not rows:
        stderr.print("no readings in this time")
        return
    keys = list(dict.fromkeys(key for row in rows for key in row["signals"]))
    table = Table("Time", *(["Readings"] if "count" in rows[0] else ["Seq"]), *map(escape, keys))
    for row in rows:
        values = (_shown(row["signals"].get(key)) for key in keys)
        table.add_row(row["time"], str(row.get("count", row.get("seq"))), *map(escape, values))
    console.print(table)


def _shown(value: Any) -> str:
    if isinstance(value, dict):  # a bucket: its first aggregate, the average by default
        value = next(iter(value.values()), None)
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _write_parquet(rows: list[dict[str, Any]]) -> None:
    import sys

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("--format parquet needs pyarrow: pip install 'fleetcell[parquet]'") from None
    if sys.stdout.isatty():
        raise ConfigError("--format parquet is binary: send it to a file with > readings.parquet")
    flat = [{**{k: v for k, v in row.items() if k != "signals"}, **row["signals"]} for row in rows]
    pq.write_table(pa.Table.from_pylist(flat), sys.stdout.buffer)


@app.command(epilog="Example: fleetcell query latest taxi-0001")
def latest(vehicle: Vehicle, data: DataDir = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """The newest value of each signal, with its unit and age."""
    found = api(data).get(f"/api/v1/vehicles/{vehicle}")
    if as_json:
        print(json.dumps(found["latest"], indent=1))
        return
    table = Table("Signal", "Value", "Unit", "Age", "Measured")
    for key, entry in sorted(found["latest"].items()):
        table.add_row(
            key, _shown(entry["value"]), entry["unit"] or "", f"{entry['age_s']:.1f} s", entry["time"]
        )
    if table.row_count:
        console.print(table)
    else:
        stderr.print(f"{vehicle} has sent nothing yet")


@app.command(epilog="Example: fleetcell query presence taxi-0001 --as-of 2026-05-01T12:00:00Z")
def presence(
    vehicle: Vehicle,
    data: DataDir = DEFAULT_DATA,
    since: Annotated[str | None, typer.Option(help="RFC 3339, or an age.")] = None,
    as_of: Annotated[str | None, typer.Option(help="What was believed at this time.")] = None,
    valid_at: Annotated[str | None, typer.Option(help="What was so at this time, as known now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Where a vehicle is registered now, and the history of its presence: state, reason, evidence."""
    client, path = api(data), f"/api/v1/vehicles/{vehicle}/presence"
    times = {"since": since, "as_of": as_of, "valid_at": valid_at}
    asked = {name: moment(text, "--" + name.replace("_", "-")) for name, text in times.items()}
    items = list(client.pages(path, **asked, limit=500))
    if as_json:
        print(json.dumps(items, indent=1))
        return
    table = Table("At", "State", "Reason", "Region", "Epoch", "Address", "Evidence")
    for item in items:
        evidence = ", ".join(f"{name} {value}" for name, value in item["evidence"].items())
        about = (item["region"] or "", str(item["epoch"]), _address(item))
        table.add_row(item["at"], item["state"], item["reason"], *about, evidence)
    if table.row_count and not any(asked.values()):
        _print_registration(vehicle, client.get(f"/api/v1/vehicles/{vehicle}")["registration"])
    if table.row_count:
        console.print(table)
    else:
        stderr.print(f"nothing was heard of {vehicle} yet")


def _print_registration(vehicle: str, now: dict[str, Any]) -> None:
    """What the home register answers: which region, which epoch, which address, since when."""
    console.print(
        f"{vehicle}: {now['state']} ({now['reason']}) since {now['since']}, region {now['region']}, "
        f"epoch {now['epoch']}, address {_address(now) or 'not told'}",
        markup=False,
        highlight=False,
    )
    if now["reason"] == Reason.HANDOVER and "to" in now["evidence"]:
        where = f"it was handed over to region {now['evidence']['to']}, whose register knows more"
        console.print(where, markup=False, highlight=False)


def _address(registered: dict[str, Any]) -> str:
    """The address that was handed out, and where the broker sees another one, that."""
    own, seen = registered["address"], registered["seen_address"]
    return " ".join([*([own] if own else []), *([f"(seen {seen})"] if seen and seen != own else [])])


def _lateness(entries: list[dict[str, Any]]) -> str:
    """`arrived within 1 s: 90, 10 s: 9, later: 1`; what nothing arrived in is left out."""
    parts = (
        f"{'later' if one['up_to_s'] is None else _within(one['up_to_s'])}: {one['count']}"
        for one in entries
        if one["count"]
    )
    return "arrived within " + (", ".join(parts) or "no time yet")


def _within(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


@app.command(epilog="Example: fleetcell query gaps taxi-0001")
def gaps(vehicle: Vehicle, data: DataDir = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Every missing sequence number with its reason, duplicates, lateness. Exit 1 when one is unexplained."""
    found = api(data).get(f"/api/v1/vehicles/{vehicle}/delivery")
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        table = Table("Boot", "From", "To", "Reason")
        for gap in found["gaps"]:
            table.add_row(gap["boot"], str(gap["first"]), str(gap["last"]), gap["reason"])
        if table.row_count:
            console.print(table)
        else:
            received = sum(b - a + 1 for boot in found["boots"] for a, b in boot["received"])
            stderr.print(f"no gaps: {received} readings in {len(found['boots'])} boots, each stored once")
        stderr.print(
            f"came again: {found['duplicates']}  quarantined: {found['quarantined']}  "
            f"clock corrected: {found['corrected']}  {_lateness(found['lateness'])}",
            highlight=False,
        )
        for flag in found["flags"]:
            stderr.print(
                f"{flag['kind'].replace('_', ' ')} ({flag['count']}, boots {', '.join(flag['boots'])}): "
                f"{flag['explanation']}",
                style="red",
                highlight=False,
            )
    if found["unexplained"]:
        raise typer.Exit(1)
