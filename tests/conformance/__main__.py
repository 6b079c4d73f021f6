"""`python -m tests.conformance [--write]`: measure all brokers, print the table, write it into the docs."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.broker_servers import STARTERS
from tests.conformance.brokers import address, embedded, title
from tests.conformance.measure import documented, measure, table, write


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    columns = {}
    with tempfile.TemporaryDirectory(prefix="fleetcell-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with embedded(folder) as broker:
            columns[title(broker)] = asyncio.run(measure(broker))
        for program, start in STARTERS.items():
            server = start(folder / program)
            try:
                other = address(server)
                known = documented().get(title(other), {})
                columns[title(other)] = asyncio.run(measure(other, known))
            finally:
                server.stop()
    if "--write" in sys.argv[1:]:
        write(columns)
    sys.stdout.write(table(columns))


if __name__ == "__main__":
    main()
