"""Which reader a file needs, and one list of traces with unique names from all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vehicle_sim.readers.csvlog import read_csv
from vehicle_sim.readers.fcd import read_fcd
from vehicle_sim.readers.files import TraceFile
from vehicle_sim.readers.gpx import read_gpx
from vehicle_sim.readers.names import unique_names
from vehicle_sim.readers.openxc import read_openxc
from vehicle_sim.readers.trace import Trace, TraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_READERS: Final[dict[str, Callable[[TraceFile], list[Trace]]]] = {
    ".xml": read_fcd,
    ".gpx": read_gpx,
    ".json": read_openxc,
    ".jsonl": read_openxc,
    ".ndjson": read_openxc,
    ".csv": read_csv,
}


def open_traces(paths: Iterable[Path]) -> list[Trace]:
    """Read the trace files, each to its end, in the order given.

    The format is told by the suffix, `.gz` after it or not: `.fcd.xml` or `.xml` (SUMO FCD), `.gpx`,
    `.json`, `.jsonl` or `.ndjson` (OpenXC), `.csv`. Vehicle names are made to follow the contract and
    to differ from each other.

    Raises:
        TraceError: one of the files cannot be read or is malformed; it says the file, line and reason.
    """
    traces = [trace for path in paths for trace in _read(Path(path))]
    names = unique_names([trace.vehicle for trace in traces])
    return [dataclasses.replace(trace, vehicle=name) for trace, name in zip(traces, names, strict=True)]


def _read(path: Path) -> list[Trace]:
    name = path.name.lower().removesuffix(".gz")
    reader = next((reader for suffix, reader in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        raise TraceError(
            path, None, f"unknown kind of file: the name must end in {', '.join(_READERS)} (or + .gz)"
        )
    if not path.is_file():
        raise TraceError(path, None, "no such file" if not path.exists() else "not a file")
    return reader(TraceFile(path))
