"""`fleetcell db verify` and `replay-dead-letters`: upkeep of what is stored."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from fleetcell.cli.common import DEFAULT_DATA, DataDir, console, layout, moment, stderr

app = typer.Typer()  # its commands are those of `db`

Dsn = Annotated[
    str | None,
    typer.Option(
        envvar="FLEETCELL_DSN", help="PostgreSQL; the schema's owner. Default: that of `fleetcell up`."
    ),
]


@app.command("verify", epilog="Example: fleetcell db verify --vehicle taxi-0001 --since 2d")
def db_verify(
    data: DataDir = DEFAULT_DATA,
    dsn: Dsn = None,
    vehicle: Annotated[list[str] | None, typer.Option(help="Only this one; repeat for more.")] = None,
    since: Annotated[str | None, typer.Option(help="From here on: RFC 3339, or an age such as 2d.")] = None,
) -> None:
    """Derive rollups, trips and stops anew and compare. Changes nothing; exit 1 when something differs."""
    start = moment(since, "--since")
    wrong = asyncio.run(
        _verify(_owner(dsn, data), vehicle or None, None if start is None else datetime.fromisoformat(start))
    )
    if wrong:
        raise typer.Exit(1)


async def _verify(dsn: str, vehicles: list[str] | None, since: datetime | None) -> bool:
    from ingest.database import connected
    from ingest.derive.verify import vehicles_to_verify, verify
    from ingest.errors import DatabaseError

    compared = pending = different = 0
    async with connected(dsn, "fleetcell db verify") as connection:
        known = await vehicles_to_verify(connection, vehicles)
        if missing := set(vehicles or ()) - {name for _, name in known}:
            raise DatabaseError(f"no readings of {', '.join(sorted(missing))}")
        with Progress(console=stderr, disable=not stderr.is_terminal) as progress:
            bar = progress.add_task("vehicles", total=len(known))
            async for found in verify(connection, vehicles=vehicles, since=since):
                progress.advance(bar)
                compared += found.buckets
                pending += found.pending
                different += len(found.differences)
                for one in found.differences:
                    at = datetime.fromtimestamp(one.start_us / 1e6, UTC)
                    console.print(escape(f"{one.vehicle}: {one.what} of {at:%FT%TZ}: {one.why}"))
    waiting = f", {pending} still to be derived" if pending else ""
    stderr.print(f"{len(known)} vehicles, {compared} rollups compared{waiting}: {different} differences")
    return different > 0


@app.command(
    "replay-dead-letters", epilog="Example: fleetcell db replay-dead-letters --vehicle taxi-0001 --dry-run"
)
def db_replay_dead_letters(
    data: DataDir = DEFAULT_DATA,
    dsn: Dsn = None,
    vehicle: Annotated[str | None, typer.Option(help="Only of this vehicle.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored.")] = False,
) -> None:
    """Take dead letters in once more, after what refused them was mended; what is stored is none any more."""
    asyncio.run(_replay(_owner(dsn, data), vehicle, only_try=dry_run))


async def _replay(dsn: str, vehicle: str | None, *, only_try: bool) -> None:
    from ingest.database import connected
    from ingest.replay import replay

    taken = refused = readings = events = 0
    async with connected(dsn, "fleetcell db replay-dead-letters") as connection:
        async for one in replay(connection, vehicle=vehicle, only_try=only_try):
            if one.why is None:
                taken += 1
                readings += one.readings
                events += one.events
            else:
                refused += 1
                console.print(escape(f"{one.id} {one.topic}: {one.why}"))
    if only_try:
        stderr.print(f"{taken} dead letters can be read now, {refused} cannot")
    else:
        stderr.print(
            f"{taken} dead letters taken in, {readings} readings and {events} events stored; {refused} remain"
        )


def _owner(dsn: str | None, data: Path) -> str:
    from ingest.embedded import EmbeddedPostgres

    return dsn or EmbeddedPostgres(layout(data).postgres).dsn("owner")
