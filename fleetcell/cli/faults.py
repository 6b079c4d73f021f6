"""`fleetcell sim faults`: schedules of faults, before a run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated

import typer

from fleetcell.cli.common import console

app = typer.Typer(help="What goes wrong in a run, and when.", no_args_is_help=True)


@app.command(epilog="Example: fleetcell sim faults check faults.yaml --vehicles 10 --seed 7")
def check(
    file: Annotated[Path, typer.Argument(help="YAML file, as for `sim run --faults`.")],
    vehicles: Annotated[int, typer.Option(min=1, max=20_000, help="Vehicles of the run.")] = 25,
    duration: Annotated[float, typer.Option(min=0, help="Seconds from the beginning on.")] = 600.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check a schedule and print what it does to whom, and when.

    Whom a fault of one region hits depends on who is there at that moment: all that could be are listed.
    """
    from vehicle_sim.faults import hits, occurrences, read
    from vehicle_sim.run import vehicle_names

    schedule = read(file)
    units = dict.fromkeys(itertools.islice(vehicle_names(), vehicles))
    for occurrence in occurrences(schedule, seed):
        if occurrence.at_s > duration:
            break
        region = occurrence.fault.who.region
        brokers = {region or "": f"broker of {region}" if region else "each broker"}
        for hit in hits(occurrence, units, brokers):
            lasts_s = hit.fault.lasts_s or None
            if as_json:
                print(json.dumps({"at_s": round(hit.at_s, 3), "what": hit.fault.what, "who": hit.subject,
                                  "lasts_s": lasts_s, "line": hit.fault.line}))  # fmt: skip
            else:
                ends = f" for {lasts_s:g} s" if lasts_s else ""
                where = f" (if in {region})" if region and hit.subject in units else ""
                console.print(
                    f"{hit.at_s:10.3f} s  {hit.fault.what}{ends}: {hit.subject}{where}", highlight=False
                )
