"""`fleetcell broker`, `broker-auth`, `ingest`, `dashboard`: a service each, set by the environment."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("broker", epilog="Example: FLEETCELL_WS_PORT=9001 fleetcell broker")(broker)
    app.command("broker-auth", epilog="Example: FLEETCELL_AUTH_PORT=8090 fleetcell broker-auth")(broker_auth)
    app.command("ingest", epilog="Example: FLEETCELL_DSN=postgresql://... fleetcell ingest")(ingest)
    app.command("dashboard", epilog="Example: FLEETCELL_PORT=8080 fleetcell dashboard")(dashboard)


def broker() -> None:
    """Run the embedded MQTT broker. `fleetcell check-config broker` lists its settings."""
    from broker.app import run
    from fleetcell.service import configure_logging, run_service
    from fleetcell.settings import BrokerSettings, load

    settings = load(BrokerSettings)
    configure_logging(settings.log_level, json=settings.log_json)
    run_service(run(settings))


def broker_auth(
    ejabberd: Annotated[
        bool, typer.Option("--ejabberd", help="Answer on standard input and output, as ejabberd asks")
    ] = False,
) -> None:
    """Answer RabbitMQ, EMQX or ejabberd who may connect and what he may do: docs/broker.md."""
    from broker.auth_service import run, run_ejabberd
    from fleetcell.service import configure_logging, run_service
    from fleetcell.settings import BrokerAuthSettings, load

    settings = load(BrokerAuthSettings)
    configure_logging(settings.log_level, json=settings.log_json)
    if ejabberd:
        run_ejabberd(settings)
    else:
        run_service(run(settings))


def ingest() -> None:
    """Run ingest: MQTT to TimescaleDB, and the presence register of one region."""
    from fleetcell.service import collect_less, configure_logging, run_service
    from fleetcell.settings import IngestSettings, load
    from ingest.app import run

    settings = load(IngestSettings)
    configure_logging(settings.log_level, json=settings.log_json)
    collect_less()
    run_service(run(settings))


def dashboard() -> None:
    """Run the dashboard: the API, the live feed and the web page."""
    from dashboard.app import run
    from fleetcell.service import collect_less, configure_logging, run_service
    from fleetcell.settings import DashboardSettings, load

    settings = load(DashboardSettings)
    configure_logging(settings.log_level, json=settings.log_json)
    collect_less()
    run_service(run(settings))
