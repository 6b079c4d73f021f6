"""`fleetcell doctor`, `check-config`, `db`, `certs`: what an operator asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fleetcell.cli.common import DEFAULT_DATA, DataDir, console, layout, print_error
from fleetcell.cli.database import Dsn, owner
from fleetcell.contract.errors import ConfigError

certs = typer.Typer(help="Certificates for development.", no_args_is_help=True)
db = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("doctor", epilog="Example: fleetcell doctor --data .fleetcell")(doctor)
    app.command("check-config", epilog="Example: FLEETCELL_PORT=80800 fleetcell check-config dashboard")(
        check_config
    )


def doctor(data: DataDir = DEFAULT_DATA) -> None:
    """Say what is found (versions, database tier, broker, limits). Exit 1 when something is wrong."""
    import asyncio

    from fleetcell.doctor import Verdict, examine

    findings = asyncio.run(examine(layout(data)))
    marks = {Verdict.GOOD: "[green]ok[/]", Verdict.NOTE: "[yellow]note[/]", Verdict.BAD: "[red]wrong[/]"}
    table = Table("", "What", "Found", show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(marks[finding.verdict], finding.what, finding.found)
    console.print(table)
    if any(finding.verdict is Verdict.BAD for finding in findings):
        raise typer.Exit(1)


def check_config(
    service: Annotated[
        str | None, typer.Argument(help="broker, ingest, dashboard or sim. Default: all.")
    ] = None,
) -> None:
    """Check the environment and list every setting with its value; secrets are not shown."""
    from pydantic import SecretStr

    from fleetcell.settings import PREFIX, SERVICES, load

    if service is not None and service not in SERVICES:
        raise ConfigError(f"no service {service!r}; there are {', '.join(SERVICES)}")
    wrong = False
    for name in [service] if service else SERVICES:
        kind = SERVICES[name]
        try:
            settings = load(kind)
        except ConfigError as error:
            print_error(ConfigError(f"{name}: {error}"))
            wrong = True
            continue
        table = Table("Variable", "Value", "Meaning", title=name, title_justify="left")
        for field, info in kind.model_fields.items():
            value = getattr(settings, field)
            shown = (
                "(set, not shown)" if isinstance(value, SecretStr) else "" if value is None else str(value)
            )
            table.add_row(f"{PREFIX}{field.upper()}", shown, info.description or "")
        console.print(table)
    if wrong:
        raise typer.Exit(2)


@db.command("migrate", epilog="Example: fleetcell db migrate --dsn postgresql://user:password@host/database")
def db_migrate(data: DataDir = DEFAULT_DATA, dsn: Dsn = None) -> None:
    """Bring the schema up to date, and say which tier the database is."""
    import asyncio

    from ingest.database import migrate

    print(f"the schema is up to date; tier: {asyncio.run(migrate(owner(dsn, data))).value}")


@db.command("status", epilog="Example: fleetcell db status")
def db_status(data: DataDir = DEFAULT_DATA, dsn: Dsn = None) -> None:
    """Which tier the database is. Changes nothing."""
    import asyncio

    from ingest.database import describe

    print(asyncio.run(describe(owner(dsn, data))))


@certs.command("make", epilog="Example: fleetcell certs make --host broker.example.org --unit veh-0001")
def certs_make(
    data: DataDir = DEFAULT_DATA,
    out: Annotated[Path | None, typer.Option(help="Folder. Default: certs in the data directory.")] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of the broker; repeat for several.")
    ] = None,
    unit: Annotated[list[str] | None, typer.Option(help="A vehicle's id; repeat for several.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that they are valid.")] = 90,
) -> None:
    """Make a development authority (kept when there is one), the broker's certificate and vehicles' ones."""
    try:
        from fleetcell.certs import make
    except ImportError:
        raise ConfigError("this needs the cryptography package: pip install 'fleetcell[certs]'") from None

    folder = out.expanduser().absolute() if out is not None else layout(data).root / "certs"
    for file in make(folder, host or ["localhost", "127.0.0.1", "::1"], unit or [], days):
        print(file)
    print(f"""
# The broker with them:
export FLEETCELL_TLS_CERT_FILE='{folder}/server.pem'
export FLEETCELL_TLS_KEY_FILE='{folder}/server.key'
export FLEETCELL_TLS_CLIENT_CA_FILE='{folder}/ca.pem'
# Its clients:
export FLEETCELL_BROKER_CA_FILE='{folder}/ca.pem'""")
