"""The fleet in numbers, from counts by region and state and the gateways' heartbeats. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from dashboard.shapes import SILENT_AFTER_S, Ingest, Region, Served, Uptime
from fleetcell.contract.messages import PresenceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATES: Final = tuple(state.value for state in PresenceState)


def regions_of(
    gateways: Iterable[Mapping[str, Any]], counts: Iterable[Mapping[str, Any]]
) -> tuple[list[Region], dict[str, int]]:
    """Each region with its vehicles by shown state, and the same for the whole fleet.

    Args:
        gateways: rows of gateways.sql.
        counts: rows of fleet_counts.sql: region, state (null: never heard), vehicles.
    """
    heartbeats = {row["region"]: row for row in gateways}
    silent = {name for name, row in heartbeats.items() if row["heartbeat_age_s"] > SILENT_AFTER_S}
    total = dict.fromkeys(STATES, 0)
    by_region = {name: dict.fromkeys(STATES, 0) for name in heartbeats}
    for row in counts:
        unknown = row["state"] is None or row["region"] in silent
        state = PresenceState.UNKNOWN.value if unknown else row["state"]
        total[state] += row["vehicles"]
        if row["region"] in by_region:
            by_region[row["region"]][state] += row["vehicles"]
    regions = [
        Region(
            region=name,
            storing=row["storing"] and name not in silent,
            silent=name in silent,
            heartbeat_at=row["heartbeat_at"],
            heartbeat_age_s=round(row["heartbeat_age_s"], 3),
            lag_s=row["lag_s"],
            address_pool=row["address_pool"],
            started_at=row["started_at"],
            vehicles=sum(by_region[name].values()),
            states=by_region[name],
        )
        for name, row in sorted(heartbeats.items())
    ]
    return regions, total


def served(
    regions: Iterable[Region], entries: Mapping[str, Mapping[str, Any]], uptimes: Mapping[str, Uptime]
) -> list[Served]:
    """Each region with its entry in the directory (rows of regions.sql by region) and its uptime."""
    return [
        Served(
            **msgspec.structs.asdict(region),
            url=entries[region.region]["url"] if region.region in entries else None,
            cells=entries[region.region]["cells"] if region.region in entries else None,
            uptime=uptimes.get(region.region),
        )
        for region in regions
    ]


def ingest_of(regions: Iterable[Region]) -> Ingest:
    """The worst of all gateways. A silent one lags by at least the age of its heartbeat."""
    regions = list(regions)
    lags = [max(r.lag_s or 0.0, r.heartbeat_age_s) if r.silent else r.lag_s for r in regions]
    known = [lag for lag in lags if lag is not None]
    return Ingest(
        lag_s=round(max(known), 3) if known else None,
        storing=bool(regions) and all(region.storing for region in regions),
        silent_regions=[region.region for region in regions if region.silent],
    )
