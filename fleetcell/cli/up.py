"""`fleetcell up`."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetcell.cli.common import DEFAULT_DATA, DataDir, layout, stderr

EXAMPLES = """
Examples:

    fleetcell up                             25 vehicles in Helsinki, at http://127.0.0.1:8080

    fleetcell up --vehicles 200 --port 0     any free port, printed

    fleetcell up --no-sim --data /srv/fleet  the platform alone

    fleetcell up --regions helsinki,espoo    two regions; vehicles hand over between them
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", epilog=EXAMPLES)(up)


def up(
    data: DataDir = DEFAULT_DATA,
    vehicles: Annotated[int, typer.Option(min=0, max=20_000, help="Simulated vehicles.")] = 25,
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0: any free one.")] = 8080,
    ws_port: Annotated[int, typer.Option(min=0, max=65535, help="MQTT over WebSocket; 0: free.")] = 9001,
    mqtt_port: Annotated[int, typer.Option(min=0, max=65535, help="MQTT over TCP; 0: free.")] = 1883,
    dsn: Annotated[str | None, typer.Option(help="Use this PostgreSQL instead of the embedded one.")] = None,
    dashboard_dsn: Annotated[
        str | None,
        typer.Option(
            envvar="FLEETCELL_DASHBOARD_DSN",
            help="With --dsn, where its user may not set passwords: it as the role fleetcell_dashboard.",
        ),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            envvar="FLEETCELL_BROKER_URL", help="Use this broker (URL) instead of the embedded one."
        ),
    ] = None,
    region: Annotated[str, typer.Option(envvar="FLEETCELL_REGION", help="Region served.")] = "helsinki",
    regions: Annotated[
        str | None,
        typer.Option(help="Several regions instead, such as helsinki,espoo: a broker and an ingest each."),
    ] = None,
    link: Annotated[
        str, typer.Option(help="Link profile of the simulated vehicles, as of `sim run`.")
    ] = "perfect",
    seed: Annotated[int | None, typer.Option(help="Seed of the simulation.")] = None,
    duration: Annotated[
        float | None, typer.Option("--for", min=0, help="Stop by itself after SECONDS.")
    ] = None,
    no_sim: Annotated[bool, typer.Option("--no-sim", help="No simulated vehicles.")] = False,
) -> None:
    """Start everything: database, broker, ingest, dashboard, simulated vehicles. Ctrl-C stops it."""
    import asyncio

    from fleetcell.contract.errors import ConfigError
    from fleetcell.contract.topics import check_name
    from fleetcell.mqtt.address import parse_url
    from fleetcell.up.platform import Platform, UpOptions
    from vehicle_sim.links import check_profile

    if broker is not None:
        try:
            parse_url(broker)
        except ValueError as error:
            raise ConfigError(f"--broker: {error}") from None
    options = UpOptions(
        vehicles=vehicles,
        port=port,
        ws_port=ws_port,
        mqtt_port=mqtt_port,
        dsn=dsn,
        dashboard_dsn=dashboard_dsn,
        broker_url=broker,
        regions=tuple(regions.split(",")) if regions else (check_name(region, "--region"),),
        link=check_profile(link),
        seed=seed,
        duration_s=duration,
        simulate=not no_sim,
    )
    platform = Platform(
        layout(data),
        options,
        say=lambda line: print(line, flush=True),
        progress=lambda line: stderr.print(f"[dim]{line}[/dim]", highlight=False),
    )
    raise typer.Exit(asyncio.run(platform.run()))
