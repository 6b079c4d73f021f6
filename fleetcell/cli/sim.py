"""`fleetcell sim`: simulated vehicles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fleetcell.cli import faults
from fleetcell.cli.common import DEFAULT_DATA, DataDir, console, layout, stderr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vehicle_sim.score.scoring import Scored
    from vehicle_sim.tally import Score

app = typer.Typer(help="Simulated vehicles, and replays of real traces.", no_args_is_help=True)
roads = typer.Typer(help="Road networks.", no_args_is_help=True)
app.add_typer(roads, name="roads")
app.add_typer(faults.app, name="faults")

Link = Annotated[
    str,
    typer.Option(help="Link profile: perfect, lte, 5g, 3g, rural, tunnel, storm or trace:FILE[@START]."),
]
Region = Annotated[str | None, typer.Option(help="Region; default: that of the running platform.")]
Seed = Annotated[int | None, typer.Option(help="Seed: the same seed, the same run.")]
ShowScore = Annotated[
    bool, typer.Option("--score", help="Record what really happens, and compare with what the platform says.")
]
Html = Annotated[
    Path | None, typer.Option(help="With --score: write a report with plots. Needs the extra `report`.")
]
_SCORE = "What really happened, against what the platform says"
AsJson = Annotated[bool, typer.Option("--json", help="Print the score as JSON.")]


@app.command(epilog="Example: fleetcell sim run --vehicles 50 --duration 60 --seed 7 --score")
def run(
    data: DataDir = DEFAULT_DATA,
    vehicles: Annotated[int, typer.Option(min=1, max=20_000, help="Vehicles.")] = 25,
    region: Region = None,
    roads_file: Annotated[
        Path | None, typer.Option("--roads", help="Road network; default: the centre of Helsinki.")
    ] = None,
    link: Link = "perfect",
    rate: Annotated[float, typer.Option(help="Readings a second of each vehicle, Hz.")] = 1.0,
    duration: Annotated[float | None, typer.Option(help="Seconds; default: until Ctrl-C.")] = None,
    sleepers: Annotated[
        float, typer.Option(help="Share of the vehicles that park after each trip and then sleep, 0 to 1.")
    ] = 0.0,
    gnss_errors: Annotated[
        bool, typer.Option("--gnss-errors", help="Positions drift, and are missing in tunnels and outages.")
    ] = False,
    clock_errors: Annotated[
        bool, typer.Option("--clock-errors", help="Clocks drift, and jump to 1970 or by 1,024 weeks.")
    ] = False,
    start_hour: Annotated[
        float | None,
        typer.Option(help="Local time at the beginning, 0 to 24: vehicles keep the hours of their kind."),
    ] = None,
    faults_file: Annotated[
        Path | None, typer.Option("--faults", help="YAML file of what goes wrong when; see docs/faults.md.")
    ] = None,
    v2x: Annotated[
        str, typer.Option(help="What vehicles tell each other: cam, denm or cam,denm; see docs/v2x.md.")
    ] = "",
    v2x_format: Annotated[str, typer.Option(help="json or uper.")] = "json",
    cam_rate: Annotated[float, typer.Option(help="CAMs a second at most, 1 to 10 Hz.")] = 10.0,
    seed: Seed = None,
    drain: Annotated[
        float | None,
        typer.Option(help="Wait so long for the last acknowledgements, s; default 10, with --score 60."),
    ] = None,
    score: ShowScore = False,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Drive simulated vehicles on real streets, against the running platform."""
    from fleetcell.service import run_service
    from fleetcell.settings import SimSettings, load
    from vehicle_sim.app import RunOptions, run_simulation
    from vehicle_sim.v2x.options import V2xOptions

    _log_warnings()
    _check_html(html, score=score)
    options = RunOptions(
        data_dir=data.expanduser().absolute(),
        vehicles=vehicles,
        rate_hz=rate,
        duration_s=duration,
        sleepers=sleepers,
        v2x=V2xOptions.read(v2x, v2x_format, cam_rate),
        gnss_errors=gnss_errors,
        clock_errors=clock_errors,
        seed=seed,
        link=link,
        start_hour=start_hour,
        faults=faults_file,
        region=region,
        roads=roads_file,
        progress=True,
        score=score,
        drain_s=drain,
        **_platform(load(SimSettings)),
    )
    # What is pending at the end is in the units' spools, and the next run sends it: no failure.
    result = run_service(run_simulation(options))
    _report(result, shown=score, as_json=as_json, html=html)
    if result.problem:
        raise typer.Exit(1)


@app.command(epilog="Example: fleetcell sim replay bologna.fcd.xml.gz --speed 20 --score")
def replay(
    files: Annotated[list[Path], typer.Argument(help="SUMO FCD (.fcd.xml[.gz]), GPX, OpenXC JSON or CSV.")],
    data: DataDir = DEFAULT_DATA,
    speed: Annotated[str, typer.Option(help="Times as fast as recorded: 1, 20, ... or max.")] = "1",
    time: Annotated[str, typer.Option(help="shift (dated to end now) or original.")] = "shift",
    link: Link = "perfect",
    region: Region = None,
    wait: Annotated[float, typer.Option(help="Give up after so long without an acknowledgement, s.")] = 60.0,
    score: ShowScore = False,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Replay recorded traces as vehicles. Exit 1 when a reading was not acknowledged in the end."""
    from fleetcell.contract.errors import ConfigError
    from fleetcell.service import run_service
    from fleetcell.settings import SimSettings, load
    from vehicle_sim.app import ReplayOptions, run_replay
    from vehicle_sim.replay import TimeMode, parse_speed

    _log_warnings()
    _check_html(html, score=score)
    if time not in tuple(TimeMode):
        raise ConfigError(f"--time {time}: use shift or original")
    options = ReplayOptions(
        files=files,
        data_dir=data.expanduser().absolute(),
        speed=parse_speed(speed),
        time=TimeMode(time),
        link=link,
        region=region,
        quiet_s=wait,
        progress=True,
        score=score,
        **_platform(load(SimSettings)),
    )
    result = run_service(run_replay(options))
    _report(result, shown=score or not result.complete, as_json=as_json, html=html)
    if not result.complete:
        raise typer.Exit(1)


@app.command("score", epilog="Example: fleetcell sim score .fleetcell/sim/truth/20261120T101500.000000Z-4711")
def score_again(
    truth: Annotated[Path, typer.Argument(help="Folder with the record of a run with --score.")],
    data: DataDir = DEFAULT_DATA,
    api_url: Annotated[
        str | None, typer.Option("--api", help="The platform; its key: FLEETCELL_API_KEY.")
    ] = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Compare the record of an earlier run with what the platform says now."""
    from fleetcell.cli.common import Api, api
    from fleetcell.service import run_service
    from vehicle_sim.app import run_scoring

    _log_warnings()
    _check_html(html)
    found = api(data) if api_url is None else Api(api_url.rstrip("/"), _key(data))
    scored = run_service(run_scoring(truth, found.url, found.key, progress=True))
    if as_json:
        print(json.dumps(scored.report.to_dict()))
    else:
        _print_rows(_SCORE, _rows_of(scored))
    _write_html(scored, html)


@app.command(epilog="Example: fleetcell sim link --listen 127.0.0.1:1884 --to ws://127.0.0.1:9001 --link lte")
def link(
    to: Annotated[str, typer.Option(help="The broker: ws://, wss://, mqtt:// or mqtts:// URL.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT; port 0: any free one.")] = "127.0.0.1:1884",
    profile: Annotated[str, typer.Option("--link", help="Link profile, as of `sim run`.")] = "lte",
    seed: Seed = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="At T seconds: black-hole@T+SECONDS, sim@T+SECONDS or reset@T. Repeatable."),
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds; default: until Ctrl-C.")] = None,
) -> None:
    """Put any MQTT client on a cellular link: it connects here instead of to the broker.

    The client speaks to the broker as always, over WebSocket and TLS too; the relay passes bytes. At the end
    it prints what the links did, as JSON.
    """
    from fleetcell.service import run_service
    from vehicle_sim.links.serve import relay_options, serve_relay

    _log_warnings()
    statistics = run_service(
        serve_relay(relay_options(listen, to, fault or ()), profile, seed, duration, say=_say)
    )
    print(json.dumps(statistics))


@roads.command("build", epilog="Example: fleetcell sim roads build city.osm.pbf city.geojson.gz")
def roads_build(
    extract: Annotated[Path, typer.Argument(help="OpenStreetMap extract (.osm.pbf).")],
    out: Annotated[Path, typer.Argument(help="Road network to write (.geojson.gz).")],
    buildings: Annotated[bool, typer.Option(help="Draw buildings on the map too.")] = True,
    heights: Annotated[Path | None, typer.Option(help="Folder of SRTM tiles (.hgt): slopes.")] = None,
) -> None:
    """Make a road network from any OpenStreetMap extract. Needs `pip install 'fleetcell[roads]'`."""
    from vehicle_sim.roads import build

    with stderr.status("reading the extract") as status:
        report = build(
            extract,
            out,
            lambda what, count: status.update(f"{what}: {count:,}"),
            buildings=buildings,
            heights=heights,
        )
    steep = f"slopes up to {report.steepest:.0%}" if report.heights else "no heights"
    print(
        f"{out}: {report.roads:,} roads, {report.km:,.1f} km, {report.nodes:,} junctions and ends, "
        f"{report.size_bytes / 1024:,.0f} KiB; left out {report.left_out:,} that lead nowhere; "
        f"{report.no_turns:,} forbidden turns, {report.no_paths:,} over more roads{_unread(report.unread)}; "
        f"{steep}. "
        "© OpenStreetMap contributors, ODbL 1.0"
    )


def _unread(counts: dict[str, int]) -> str:
    """The turn restrictions that the build left out."""
    if not counts:
        return ""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    return f", restrictions left out: {reasons}"


def _say(line: str) -> None:
    stderr.print(line, markup=False, highlight=False, soft_wrap=True)


def _log_warnings() -> None:
    from fleetcell.service import configure_logging

    # On a terminal the progress bar tells how the links are; a line a unit would bury it.
    configure_logging("error" if stderr.is_terminal else "warning")


def _platform(settings: Any) -> dict[str, Any]:
    """Where the platform is, as the environment says; None: as the running `fleetcell up` says."""
    return {
        "api_url": settings.api_url,
        "api_key": settings.api_key.get_secret_value() if settings.api_key else None,
        "broker_url": settings.broker_url,
        "broker_ca_file": settings.broker_ca_file,
    }


def _report(score: Score, *, shown: bool, as_json: bool, html: Path | None) -> None:
    if as_json:
        print(json.dumps(score.to_dict()))
    elif shown:
        _print_rows("As the units have it" if score.scored else None, score.to_rows())
        if score.scored is not None:
            _print_rows(_SCORE, _rows_of(score.scored))
    if score.truth is not None:
        _say(f"the record of the run is in {score.truth}")
    if score.scored is not None:
        _write_html(score.scored, html)
    if score.problem:
        stderr.print(score.problem, markup=False)


def _rows_of(scored: Scored) -> list[tuple[str, str]]:
    """The rows of a score."""
    from vehicle_sim.score.rows import rows

    return rows(scored.report)


def _print_rows(title: str | None, rows: Iterable[tuple[str, str]]) -> None:
    table = Table("", "", show_header=False, title=title, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)


def _key(data: Path) -> str:
    """FLEETCELL_API_KEY, else that of the `fleetcell up` on `data`."""
    import os

    return os.environ.get("FLEETCELL_API_KEY") or layout(data).read_admin_key()


def _check_html(html: Path | None, *, score: bool = True) -> None:
    """Raises ConfigError before anything is done, where no report could be written in the end."""
    from fleetcell.contract.errors import ConfigError
    from vehicle_sim.score.html import check

    if html is None:
        return
    if not score:
        raise ConfigError("--html is the report of a score: add --score")
    if html.is_dir() or not html.absolute().parent.is_dir():
        raise ConfigError(f"--html {html}: name a file in a folder that is there")
    check()


def _write_html(scored: Scored, html: Path | None) -> None:
    from vehicle_sim.score.html import page

    if html is not None:
        truth = scored.truth
        html.write_text(page(scored.report, truth.run, truth.happened, scored.claims))
        _say(f"the report is in {html}")
