"""A worker of the benchmark of ingest: a process that stores its share of the messages.

    python -m benchmarks._ingest_worker DSN NUMBER COUNT SECONDS

The first line on standard input is answered when its messages are made, the second when they are stored.
"""

from __future__ import annotations

import itertools
import sys

import msgspec
import uvloop

from benchmarks.ingest import Run, Share, messages, most_messages
from fleetcell.service import configure_logging

SAMPLES = 10


async def main(dsn: str, number: int, count: int, seconds: float) -> None:
    configure_logging("warning")
    mine = itertools.islice(messages(SAMPLES), number, most_messages(seconds, SAMPLES) * count, count)
    run = Run(dsn, mine, SAMPLES)
    sys.stdin.readline()
    tell(Share())
    sys.stdin.readline()
    rate = await run.rate()
    await run.close()
    tell(Share(rate.per_s))


def tell(share: Share) -> None:
    """The answer to a line."""
    sys.stdout.buffer.write(msgspec.json.encode(share) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
