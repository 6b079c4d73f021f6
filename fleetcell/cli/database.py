"""`fleetcell db verify`, `replay-dead-letters`, `backup` and `restore`: upkeep of what is stored."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from fleetcell.cli.common import DEFAULT_DATA, DataDir, OfVehicle, console, layout, moment, stderr
from fleetcell.contract.errors import FleetcellError
from fleetcell.layout import AlreadyRunningError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
        _verify(owner(dsn, data), vehicle or None, None if start is None else datetime.fromisoformat(start))
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
    vehicle: OfVehicle = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored.")] = False,
) -> None:
    """Take dead letters in once more, after what refused them was mended; what is stored is none any more."""
    asyncio.run(_replay(owner(dsn, data), vehicle, only_try=dry_run))


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
        stderr.print(
            f"{taken} dead letters can be read now ({readings} readings, {events} events), {refused} cannot"
        )
    else:
        stderr.print(
            f"{taken} dead letters taken in, {readings} readings and {events} events stored; {refused} remain"
        )


@app.command("backup", epilog="Example: fleetcell db backup fleet.dump")
def db_backup(
    file: Annotated[Path, typer.Argument(help="To write; pg_dump's custom format.")],
    data: DataDir = DEFAULT_DATA,
    dsn: Dsn = None,
) -> None:
    """Write the whole database into one file, while everything runs. Keep the secrets beside it."""
    from ingest.backup import backup

    async def work() -> int:
        async with _server(dsn, data) as owner:
            return await backup(owner, file)

    try:
        size = asyncio.run(work())
    except OSError as error:
        raise FleetcellError(f"{file}: {error}") from None
    stderr.print(f"{file}: {size:,} bytes")


@app.command("restore", epilog="Example: fleetcell db restore fleet.dump --replace")
def db_restore(
    file: Annotated[Path, typer.Argument(help="Of `fleetcell db backup`.", exists=True, dir_okay=False)],
    data: DataDir = DEFAULT_DATA,
    dsn: Dsn = None,
    replace: Annotated[bool, typer.Option("--replace", help="Remove what is in the database first.")] = False,
) -> None:
    """Make the database what it was when the file was written. The services must be stopped."""
    from ingest.backup import restore

    async def work() -> str:
        async with _server(dsn, data) as owner:
            return await restore(owner, file, replace=replace)

    stderr.print(f"restored; tier: {asyncio.run(work())}")


@asynccontextmanager
async def _server(dsn: str | None, data: Path) -> AsyncIterator[str]:
    """The database named, or the embedded one: of the running platform, else run as long as needed."""
    from ingest.embedded import EmbeddedPostgres

    if dsn is not None:
        yield dsn
        return
    found = layout(data)
    embedded = EmbeddedPostgres(found.postgres)
    try:
        lock = found.lock()
    except AlreadyRunningError:
        yield embedded.dsn("owner")
        return
    with lock:
        async with embedded.running():
            yield embedded.dsn("owner")


def owner(dsn: str | None, data: Path) -> str:
    """The database named, or that of `fleetcell up` on the data directory, which has to run."""
    from ingest.embedded import EmbeddedPostgres

    return dsn or EmbeddedPostgres(layout(data).postgres).dsn("owner")
