"""`fleetcell grafana`."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetcell.cli.common import console
from fleetcell.contract.errors import ConfigError

app = typer.Typer(help="Grafana: the data source and the dashboard of fleetcell.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Grafana: the data source and the dashboard of fleetcell."""


@app.command(
    epilog="Example: GRAFANA_TOKEN=glsa_... fleetcell grafana sync --url http://localhost:3000 "
    "--dsn postgresql://fleetcell_dashboard:PASSWORD@db:5432/fleetcell"
)
def sync(
    url: Annotated[str, typer.Option(envvar="GRAFANA_URL", help="Address of Grafana.")],
    dsn: Annotated[
        str, typer.Option(envvar="FLEETCELL_DSN", help="The database, as the role fleetcell_dashboard.")
    ],
    token: Annotated[
        str | None, typer.Option(envvar="GRAFANA_TOKEN", help="Of a service account with the role Admin.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="User name, where there is no token.")] = None,
    password: Annotated[str | None, typer.Option(envvar="GRAFANA_PASSWORD", help="The user's.")] = None,
    database_host: Annotated[
        str | None, typer.Option(help="How Grafana reaches the database, when not by the host of the DSN.")
    ] = None,
    timescale: Annotated[bool, typer.Option(help="The database has TimescaleDB.")] = False,
) -> None:
    """Make a data source, a folder and a dashboard in Grafana, or bring them up to date."""
    try:
        from dashboard import grafana
    except ImportError as missing:
        raise ConfigError(
            f"this needs the extra `grafana`: pip install 'fleetcell[grafana]' ({missing})"
        ) from None
    if (user is None) != (password is None):
        raise ConfigError("give --user together with GRAFANA_PASSWORD, or a token")
    account = (user, password) if user is not None and password is not None else None
    source = grafana.source_of_dsn(dsn, host=database_host, timescale=timescale)
    synced = grafana.sync(url, source, token=token, user=account)
    for part, what in synced.done.items():
        console.print(f"{part}: {what}")
    console.print(synced.url)
