"""`python -m benchmarks NAME [--seconds S] [--json]`; `--list` names them, no NAME runs all.

A benchmark is a module of this package with

    ABOUT = "one line: what it measures, against what"
    async def run(seconds: float, say: Callable[[str], None]) -> dict[str, object]

It may take what `OPTIONS` names too; then the options of these names are for it.

`run` measures for about `seconds` and returns its figures: numbers with the unit at the end of the name
(`_s`, `_ms`, `_bytes`) or none for a ratio. A figure that means something on one machine only goes
together with a ratio to a peer or a floor measured in the same run. `say` reports progress.
"""

import argparse
import importlib
import inspect
import json
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

import uvloop
from rich.console import Console
from rich.table import Table

import benchmarks
from fleetcell.service import configure_logging

Figures = dict[str, object]
OPTIONS = ("vehicles", "seed", "workers", "parked", "link", "schedules", "only", "rate")


class Benchmark(Protocol):
    """A module of this package, as its docstring says."""

    ABOUT: str
    run: Callable[..., Awaitable[Figures]]


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        for name in names():
            print(f"{name:12} {load(name).ABOUT}")
        return 0
    configure_logging("warning")
    stderr = Console(stderr=True)
    for name in options.names or names():
        figures = measure(name, options, stderr)
        if options.json:
            print(json.dumps(figures), flush=True)
        else:
            show(figures)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure a part of fleetcell on this machine.",
        epilog="Example: python -m benchmarks mqtt --seconds 5 --json",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; all when none is named")
    parser.add_argument("--seconds", type=positive, default=10.0, help="how long each measurement lasts (10)")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a benchmark, on a line of its own"
    )
    parser.add_argument(
        "--vehicles", type=count, help="simulated units, where there are any (presence: 1000, sim: 2000)"
    )
    parser.add_argument("--seed", type=count, help="the same random choices as in the run that printed it")
    parser.add_argument("--workers", type=count, help="processes that share the units (sim: 1)")
    parser.add_argument("--parked", type=share, help="share of the vehicles that are parked (sim: 0)")
    parser.add_argument("--link", help="the units' links (sim: lte)")
    parser.add_argument("--schedules", type=count, help="how many to play (chaos: 10)")
    parser.add_argument("--only", type=count, help="the number of the one schedule to play again (chaos)")
    parser.add_argument("--rate", type=count, help="readings a second of each unit (outage: 10)")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(names()))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names())}")
    return options


def positive(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return seconds


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return number


def names() -> list[str]:
    """The modules of this package, helpers (with an underscore) apart."""
    return sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__) if found.name[0] != "_")


def load(name: str) -> Benchmark:
    module = importlib.import_module(f"benchmarks.{name}")
    if not isinstance(getattr(module, "ABOUT", None), str) or not inspect.iscoroutinefunction(
        getattr(module, "run", None)
    ):
        raise TypeError(f"benchmarks/{name}.py needs ABOUT and an async run(seconds, say)")
    return cast("Benchmark", module)


def measure(name: str, options: argparse.Namespace, stderr: Console) -> Figures:
    """One benchmark's figures, with what is needed to read them."""
    started = time.perf_counter()
    benchmark = load(name)
    wanted = {name: getattr(options, name) for name in OPTIONS}
    taken = inspect.signature(benchmark.run).parameters.keys() & wanted.keys()
    chosen = {key: wanted[key] for key in taken if wanted[key] is not None}

    async def run() -> Figures:
        return await benchmark.run(
            options.seconds, lambda text: stderr.print(f"[dim]{name}: {text}[/dim]"), **chosen
        )

    figures = uvloop.run(run())
    return {
        "benchmark": name,
        **figures,
        "seconds": round(time.perf_counter() - started, 1),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
    }


def show(figures: Figures) -> None:
    table = Table(title=str(figures["benchmark"]), title_justify="left", show_header=False)
    for key, value in figures.items():
        if key != "benchmark":
            table.add_row(key, f"{value:,.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
