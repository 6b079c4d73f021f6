"""The process that derives: `python -m ingest.derive`, started by the ingest service (`process.py`).

It reads its orders from standard input, writes its progress to standard output, and is gone as soon as its
standard input ends, however the service ended: a killed transaction leaves its marks for the next process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Final

import msgspec

from fleetcell.service import collect_less, configure_logging, run_service
from ingest.derive.messages import Orders, Progress
from ingest.derive.worker import Deriver
from ingest.pools import Database

NICE: Final = 5  # storing goes first: a third of the share of a process that has none


def main() -> None:
    """Derive until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's, which ends this
    line = sys.stdin.buffer.readline()
    if not line:
        return
    orders = msgspec.json.decode(line, type=Orders)
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    if hasattr(os, "nice"):  # not on Windows
        os.nice(NICE)
    configure_logging(orders.log_level, json=orders.log_json)
    collect_less()
    database = Database(orders.dsn, application=orders.application, timeout_s=orders.timeout_s)
    run_service(Deriver(database, orders.rules, _tell, delay_s=orders.delay_s).run())


def _end_with_the_service() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)  # at once, also out of a long computation


def _tell(progress: Progress) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(progress) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
