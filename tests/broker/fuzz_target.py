"""The broker's own process under the fuzzer: `broker.app`, and a look at it on SIGUSR1.

Argument: the file that the look is written to, as JSON: its objects, and the CPU time of its longest turn.
What a turn costs in CPU time is the broker's alone, however busy the machine is.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from broker.app import run
from broker.broker import Broker
from broker.listeners import Listener
from fleetcell.service import configure_logging, run_service
from fleetcell.settings import BrokerSettings, load

OURS = ("Link", "Session", "Identity", "TcpConnection", "WebSocketConnection", "Decoder")
# What the event loop calls: nobody else is answered before it returns.
TURNS = (
    (Listener, "received"),
    (Listener, "_go_on"),
    (Listener, "gone"),
    (Broker, "_flush"),
    (Broker, "_sweep"),
)


class Longest:
    """The turn that took most CPU time, ms."""

    def __init__(self) -> None:
        self.ms = 0.0

    def watch(self, turn: Callable[..., Any]) -> Callable[..., Any]:
        """The same turn, timed."""

        @wraps(turn)
        def timed(*arguments: Any) -> Any:
            began = time.thread_time_ns()
            try:
                return turn(*arguments)
            finally:
                self.ms = max(self.ms, (time.thread_time_ns() - began) / 1e6)

        return timed


def count_objects() -> dict[str, int]:
    """Objects that can be reached, and those of a connection by their class."""
    gc.collect()
    found = gc.get_objects()
    names = Counter(type(thing).__name__ for thing in found)
    return {"all": len(found), **{name: names[name] for name in OURS}}


async def serve(file: Path, settings: BrokerSettings) -> None:
    """The broker until SIGTERM."""
    longest = Longest()
    for owner, name in TURNS:
        setattr(owner, name, longest.watch(getattr(owner, name)))

    def report() -> None:
        new = file.with_suffix(".new")
        new.write_text(json.dumps({"objects": count_objects(), "longest_turn_ms": longest.ms}))
        new.replace(file)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, report)
    await run(settings)


if __name__ == "__main__":
    settings = load(BrokerSettings)
    configure_logging(settings.log_level)
    run_service(serve(Path(sys.argv[1]), settings))
