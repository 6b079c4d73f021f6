"""Let everything around presence and commands fail, on a clock of its own, and judge it after each step.

    python -m tests.ingest.chaos [--steps 10000] [--seed N] [--shrink]

The seed that is printed gives the same steps again, with the same number of steps. `--shrink` looks for the
shortest way to a fault.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

import structlog
from rich.progress import Progress

from tests.ingest.presence_machine import chaos
from tests.postgres_servers import PlainServer, fresh_database, serving


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ingest.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000, help="at least so many (10000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--shrink", action="store_true", help="look for the shortest way to a fault")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fleetcell-") as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        server = PlainServer(Path(folder) / "postgres")
        with serving(server), fresh_database(server) as database, Progress(transient=True) as progress:
            bar = progress.add_task("steps", total=options.steps)
            steps = chaos(
                database.owner,
                options.steps,
                options.seed,
                shrink=options.shrink,
                say=lambda done: progress.update(bar, completed=done),
            )
    print(f"{steps:,} steps in {time.monotonic() - began:.0f} s, no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main())
