"""Kill a unit's spool at every byte that it writes, and read what is left.

    python -m tests.chaos.spool_crash [--most N] [--seed S]

A script uses the spool as a unit does: readings and events, acknowledgements, evictions, rewrites of a file,
restarts, epochs. A forked process plays it and ends by `os._exit` after so many bytes; a name that is made,
moved or removed, and a file that is cut, count as one byte. Then the spool is opened again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from fleetcell.contract import ledger
from fleetcell.contract.ledger import EMPTY, Ranges
from fleetcell.service import configure_logging
from tests.vehicle_sim.spools import open_spool
from vehicle_sim import boot_log
from vehicle_sim.spool import Spool

KILLED = 77  # exit status
READINGS = 14
MOST_BYTES = 260  # of readings in the spool: some are evicted
REWRITE_AT = 200  # bytes of a file


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the script says: making and made (a reading), settling and settled, epoch."""

    what: str
    boot: str = ""
    seq: int = 0
    ranges: Ranges = EMPTY


class Budget:
    """Lets so many bytes through to the disk, and then ends the process. None: all of them."""

    def __init__(self, most: int | None) -> None:
        self.used = 0
        self._most = most

    def install(self) -> None:
        """Stand before everything that changes the disk."""
        write = os.pwrite

        def pwrite(fd: int, data: Any, offset: int) -> int:
            view = memoryview(data)
            for at in range(len(view)):
                if self.used + at == self._most:
                    write(fd, view[:at], offset)
                    os._exit(KILLED)
            self.used += len(view)
            return write(fd, view, offset)

        os.pwrite = pwrite
        os.ftruncate = self._one(os.ftruncate)
        Path.replace = self._one(Path.replace)  # type: ignore[method-assign] # as long as the process lives
        Path.unlink = self._one(Path.unlink)  # type: ignore[method-assign]

    def _one(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if self.used == self._most:
                os._exit(KILLED)
            self.used += 1
            return change(*arguments, **options)

        return counted


def play(directory: Path, say: Callable[[Told], None]) -> None:
    """What a unit does with its spool."""
    spool = open_spool(directory, MOST_BYTES)
    epoch(spool, say)
    for turn in range(READINGS):
        current = spool.current
        seq = current.last_seq + 1
        say(Told("making", current.boot, seq))
        spool.append(data_of(seq), event=turn % 5 == 4)
        say(Told("made", current.boot, seq))
        if turn % 4 == 3:
            acknowledge(spool, current.boot, ((seq - 2, seq - 1),), say)
        if turn == 6:
            spool.restart()
            epoch(spool, say)
            acknowledge(spool, current.boot, ((1, 4),), say)
    spool.close()
    spool = open_spool(directory, MOST_BYTES)  # powered off and on
    epoch(spool, say)
    for log in list(spool.boots):
        if log.last_seq:
            acknowledge(spool, log.boot, ((1, log.last_seq),), say)
    spool.close()


def data_of(seq: int) -> bytes:
    """A reading."""
    return f"reading {seq:03d}".encode()


def epoch(spool: Spool, say: Callable[[Told], None]) -> None:
    """Take an epoch."""
    say(Told("epoch", seq=spool.epochs.take()))


def acknowledge(spool: Spool, boot: str, ranges: Ranges, say: Callable[[Told], None]) -> None:
    """Settle, saying so before and after."""
    say(Told("settling", boot, ranges=ranges))
    spool.settle(boot, ranges)
    say(Told("settled", boot, ranges=ranges))


def crash(directory: Path, most: int | None) -> tuple[list[Told], int]:
    """Play it in a process of its own, up to so many bytes: what it said, and how many it wrote at least."""
    reader, out = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            boot_log._COMPACT_AT = REWRITE_AT  # type: ignore[misc] # so that files are rewritten
            budget = Budget(most)
            budget.install()
            play(directory, lambda told: _say(out, told))
            _say(out, Told("done", seq=budget.used))
        except BaseException as error:  # noqa: BLE001 - it must not go on as its parent
            os.write(2, f"after {most} bytes: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(out)
    with os.fdopen(reader, "rb") as told:
        said = [msgspec.json.decode(line, type=Told) for line in told.read().splitlines()]
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, KILLED):
        raise AssertionError(f"after {most} bytes: the process ended with {code}")
    done = [one.seq for one in said if one.what == "done"]
    return said, done[0] if done else 0


def judge(directory: Path, said: list[Told]) -> list[str]:
    """Open what is left, and say what is wrong with it."""
    faults = []
    spool = open_spool(directory, 10 * MOST_BYTES)
    settled, settling = _ranges(said, "settled"), _ranges(said, "settling")
    made, making = _numbers(said, "made"), _numbers(said, "making")
    waiting = {(log.boot, seq): log.read(seq) for log in spool.boots for seq in log.pending}
    evicted = {(log.boot, seq) for log in spool.boots for seq in ledger.numbers(log.evicted)}
    for boot, seq in made - settling:
        if (boot, seq) not in waiting and (boot, seq) not in evicted:
            faults.append(f"reading {seq} of {boot} is lost")
    for (boot, seq), data in waiting.items():
        if (boot, seq) not in making:
            faults.append(f"reading {seq} of {boot} was never made")
        if (boot, seq) in settled:
            faults.append(f"reading {seq} of {boot} is back")
        if data != data_of(seq):
            faults.append(f"reading {seq} of {boot} is another one: {data!r}")
    if spool.current.boot in {one.boot for one in said}:
        faults.append("a boot comes twice")
    taken = max((one.seq for one in said if one.what == "epoch"), default=0)
    if spool.epochs.take() <= taken:
        faults.append(f"epoch {taken} comes twice")
    spool.close()
    return faults


def _say(out: int, told: Told) -> None:
    os.write(out, msgspec.json.encode(told) + b"\n")


def _numbers(said: list[Told], what: str) -> set[tuple[str, int]]:
    return {(one.boot, one.seq) for one in said if one.what == what}


def _ranges(said: list[Told], what: str) -> set[tuple[str, int]]:
    return {(one.boot, seq) for one in said if one.what == what for seq in ledger.numbers(one.ranges)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.spool_crash")
    parser.add_argument("--most", type=int, help="that many of the bytes, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    configure_logging("error")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole" / "unit"
        whole.parent.mkdir()
        said, total = crash(whole, None)
        faults = [f"without a crash: {why}" for why in judge(whole, said)]
        points = list(range(total))
        if options.most is not None and options.most < total:
            points = random.Random(options.seed).sample(points, options.most)
        for point in points:
            directory = Path(folder) / f"at-{point}" / "unit"
            directory.parent.mkdir()
            said, _ = crash(directory, point)
            faults += [f"after {point} bytes: {why}" for why in judge(directory, said)]
            shutil.rmtree(directory.parent)
    sys.stdout.write(json.dumps({"bytes": total, "points": len(points), "faults": faults}) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
