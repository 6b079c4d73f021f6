"""How long vehicles were in each state, from rows of seconds. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dashboard.fleet import STATES
from dashboard.shapes import Uptime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def uptime_of(rows: Sequence[Mapping[str, Any]]) -> Uptime:
    """The sum of rows with since, until, state and seconds; a row without a state holds the bounds alone."""
    seconds = dict.fromkeys(STATES, 0.0)
    for row in rows:
        if row["state"] is not None:
            seconds[row["state"]] += row["seconds"]
    known = sum(seconds.values()) - seconds["unknown"]
    ratio = seconds["online"] / known if known > 0 else None
    return Uptime(rows[0]["since"], rows[0]["until"], seconds, ratio)


def uptime_by_region(rows: Iterable[Mapping[str, Any]]) -> dict[str, Uptime]:
    """The same for each region in the rows."""
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["region"] is not None:
            found[row["region"]].append(row)
    return {region: uptime_of(own) for region, own in found.items()}
