"""The broker's own process under the fuzzer: `broker.app`, and a count of its objects on SIGUSR1.

Argument: the file that the counts are written to, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections import Counter
from pathlib import Path

from broker.app import run
from fleetcell.service import configure_logging, run_service
from fleetcell.settings import BrokerSettings, load

OURS = ("Link", "Session", "Identity", "TcpConnection", "WebSocketConnection", "Decoder")


def count_objects() -> dict[str, int]:
    """Objects that can be reached, and those of a connection by their class."""
    gc.collect()
    found = gc.get_objects()
    names = Counter(type(thing).__name__ for thing in found)
    return {"all": len(found), **{name: names[name] for name in OURS}}


async def serve(file: Path, settings: BrokerSettings) -> None:
    """The broker until SIGTERM."""

    def report() -> None:
        new = file.with_suffix(".new")
        new.write_text(json.dumps(count_objects()))
        new.replace(file)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, report)
    await run(settings)


if __name__ == "__main__":
    settings = load(BrokerSettings)
    configure_logging(settings.log_level)
    run_service(serve(Path(sys.argv[1]), settings))
