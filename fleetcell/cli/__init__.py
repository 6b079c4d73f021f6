"""The command `fleetcell`. Each command imports its service inside, so that --help is quick."""

from __future__ import annotations

import sys

import typer

from fleetcell import __version__
from fleetcell.cli import (
    command,
    database,
    events,
    geofences,
    grafana,
    journeys,
    operations,
    query,
    services,
    sim,
    up,
    vehicles,
    watch,
)
from fleetcell.cli.common import print_error
from fleetcell.contract.errors import ConfigError, FleetcellError, TopicError
from fleetcell.service import configure_logging

app = typer.Typer(
    name="fleetcell",
    help="Telematics for vehicles: who is reachable, since when, why not; and every reading, stored once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
up.register(app)
services.register(app)
app.add_typer(sim.app, name="sim")
app.add_typer(vehicles.app, name="vehicles")
app.add_typer(geofences.app, name="geofences")
query.app.add_typer(journeys.app)
query.app.add_typer(events.app)
query.app.add_typer(geofences.queries)
app.add_typer(query.app, name="query")
watch.register(app)
command.register(app)
operations.register(app)
operations.db.add_typer(database.app)
app.add_typer(operations.db, name="db")
app.add_typer(operations.certs, name="certs")
app.add_typer(grafana.app, name="grafana")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"fleetcell {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Telematics for vehicles: who is reachable, since when, why not; and every reading, stored once."""


def main() -> None:
    """Run the command: one clear line for an error, exit 2 for bad usage and 1 for failure."""
    configure_logging()  # to standard error: standard output is for answers; a service sets its own
    try:
        app()
    except (ConfigError, TopicError) as error:  # a name that was given is none
        print_error(error)
        sys.exit(2)
    except FleetcellError as error:
        print_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `fleetcell query ... | head`
        sys.stderr.close()
        sys.exit(0)
