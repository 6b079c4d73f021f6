"""A list of the API as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from fleetcell.cli.common import api, console, moment, stderr

if TYPE_CHECKING:
    from pathlib import Path

Columns = dict[str, Callable[[dict[str, Any]], str]]
PAGE = 500


def place(lat: float | None, lon: float | None) -> str:
    """A position in degrees as a cell of a table; empty where there is none."""
    return "" if lat is None or lon is None else f"{lat:.5f}, {lon:.5f}"


def print_list(
    path: str,
    data: Path,
    since: str | None,
    until: str | None,
    columns: Columns,
    as_json: bool,
    nothing: str,
    *,
    most: int | None = None,
    page: int = PAGE,
    **params: Any,
) -> None:
    """Print a list as a table, or as JSON: all of it, or `most` items, which are asked for by `page`."""
    params |= {"since": moment(since, "--since"), "until": moment(until, "--until")}
    if most is not None:
        params["limit"] = min(most, page)
    items = list(islice(api(data).pages(path, **params), most))
    if as_json:
        print(json.dumps(items, indent=1))
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*(escape(shown(item)) for shown in columns.values()))
    if items:
        console.print(table)
    else:
        stderr.print(nothing)
