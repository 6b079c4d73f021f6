"""The tables of geofences, read and written for several vehicles at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from fleetcell.contract.errors import PayloadError
from fleetcell.contract.geofences import area_of
from ingest.database import statement
from ingest.geofences.alerts import HORIZON_S, Alert
from ingest.geofences.chain import Kept
from ingest.geofences.crossings import Crossing, Fence, Fences, Whereabouts
from ingest.geofences.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ingest.database import Connection
    from ingest.geofences.alerts import Settled
    from ingest.geofences.crossings import Crossed

log = structlog.get_logger()

Place = tuple[int, int]  # vehicle, bucket number

_inside: Final = msgspec.json.Decoder(dict[int, int | None])
_alert: Final = msgspec.json.Decoder(Alert)
_crossing: Final = msgspec.json.Decoder(Crossing)
_geometry: Final = msgspec.json.Decoder()


class Pair(NamedTuple):
    """A vehicle and a geofence whose crossings changed, with what alerts are settled by."""

    vehicle_id: int
    geofence_id: int
    name: str
    version: int
    kinds: frozenset[str]
    live_from_us: int | None
    alerts: list[Alert]
    crossings: list[Crossing]


class FenceReader:
    """The geofences as they are in the database; their areas are remembered."""

    def __init__(self) -> None:
        self._key: list[tuple[Any, ...]] = []
        self._fences = Fences(())
        self.pending = False  # the history of some is still to be derived

    async def read(self, connection: Connection) -> Fences:
        """Those that are not removed."""
        rows = await connection.fetch(statement("geofences"))
        self.pending = any(row["pending"] for row in rows)
        key = [tuple(row)[:-1] for row in rows]
        if key != self._key:
            self._fences = await self._load(connection, rows)
            self._key = key
        return self._fences

    async def _load(self, connection: Connection, rows: Sequence[Any]) -> Fences:
        known = {one[0]: one for one in self._key}
        new = [row["id"] for row in rows if not _same_area(known.get(row["id"]), tuple(row))]
        shapes = {one.id: one.shape for one in self._fences.by_id.values() if one.id not in new}
        for row in await connection.fetch(statement("geofence_areas"), new):
            try:
                shapes[row["id"]] = Shape(area_of(_geometry.decode(row["geometry"]), row["radius_m"]))
            except PayloadError as error:  # the API checks; what came in past it must not stop the others
                log.warning("a geofence is left out", id=row["id"], reason=str(error))
        return Fences(
            Fence(
                row["id"],
                row["version"],
                shapes[row["id"]],
                row["margin_m"],
                row["dwell_s"],
                None if row["vehicles"] is None else frozenset(row["vehicles"]),
            )
            for row in rows
            if row["id"] in shapes
        )


async def states(connection: Connection, places: Sequence[Place]) -> dict[Place, Kept]:
    """What is kept around (vehicle, bucket number) pairs."""
    rows = await connection.fetch(statement("geofence_states"), *_columns(places, 2))
    return {
        (row["vehicle_id"], row["number"]): Kept(
            _whereabouts(row, ""), row["before_number"], _whereabouts(row, "before_"), row["after_number"]
        )
        for row in rows
    }


async def crossings_of(connection: Connection, places: Sequence[Place]) -> dict[Place, list[Crossing]]:
    """What is kept of buckets; one without anything is left out."""
    found: dict[Place, list[Crossing]] = {}
    for row in await connection.fetch(statement("geofence_crossings_of"), *_columns(places, 2)):
        found.setdefault((row["vehicle_id"], row["number"]), []).append(Crossing(*list(row)[2:]))
    return found


async def write_buckets(connection: Connection, crossed: Mapping[Place, Crossed]) -> None:
    """Write what buckets hand on."""
    await _write(
        connection,
        "write_geofence_buckets",
        [
            (
                *place,
                of.state.position_us,
                of.state.lat,
                of.state.lon,
                msgspec.json.encode(of.state.inside).decode(),
                *(of.box or (None,) * 4),
            )
            for place, of in crossed.items()
        ],
    )


async def remove_buckets(connection: Connection, places: Sequence[Place]) -> None:
    """Forget what buckets handed on."""
    await _write(connection, "remove_geofence_buckets", places)


async def replace_crossings(
    connection: Connection, gone: Iterable[tuple[int, Crossing]], new: Iterable[tuple[Place, Crossing]]
) -> None:
    """Remove crossings by vehicle, and write those of buckets."""
    await _write(
        connection,
        "remove_geofence_crossings",
        [(vehicle, one.fence, one.at_us, one.kind) for vehicle, one in gone],
    )
    await _write(connection, "write_geofence_crossings", [(*place, *one) for place, one in new])


async def pairs_to_settle(
    connection: Connection, changed: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int]]:
    """The (vehicle, geofence) pairs whose alerts may be concerned, of (vehicle, geofence, time in us)."""
    rows = await connection.fetch(statement("geofences_to_settle"), *_columns(changed, 3), HORIZON_S)
    return [tuple(row) for row in rows]


async def pairs(connection: Connection, since: Mapping[tuple[int, int], int]) -> list[Pair]:
    """What alerts of (vehicle, geofence) are settled by, from the visit on that lies around a time."""
    given = [(vehicle, fence, at) for (vehicle, fence), at in since.items()]
    rows = await connection.fetch(statement("geofence_visits_and_alerts"), *_columns(given, 3), HORIZON_S)
    return [
        Pair(
            row["vehicle_id"],
            row["geofence_id"],
            row["name"],
            row["version"],
            frozenset(_kinds(row)),
            row["live_from_us"],
            [_alert.decode(one) for one in row["alerts"]],
            [_crossing.decode(one) for one in row["crossings"]],
        )
        for row in rows
    ]


async def write_alerts(connection: Connection, settled: Sequence[tuple[Pair, Settled]]) -> None:
    """Raise and correct alerts."""
    await _write(
        connection,
        "raise_alerts",
        [
            (of.vehicle_id, of.geofence_id, of.name, of.version, one.kind, one.at_us, one.lat, one.lon)
            for of, what in settled
            for one in what.raised
        ],
    )
    await _write(connection, "correct_alerts", [one for _, what in settled for one in what.corrected])


def _kinds(row: Any) -> Iterable[str]:
    if row["alert_enter"]:
        yield "enter"
    if row["alert_exit"]:
        yield "exit"
    if row["dwell_s"] is not None:
        yield "dwell"


def _same_area(known: tuple[Any, ...] | None, row: tuple[Any, ...]) -> bool:
    """Whether it is the same geofence (of the same database) in the same version."""
    return known is not None and (known[0], known[1], known[4]) == (row[0], row[1], row[4])


def _whereabouts(row: Any, prefix: str) -> Whereabouts | None:
    if row[f"{prefix}inside"] is None:
        return None
    inside = _inside.decode(row[f"{prefix}inside"])
    position_us = row[f"{prefix}position_us"]
    if position_us is None:
        return Whereabouts(inside=inside)
    return Whereabouts(position_us, row[f"{prefix}lat"], row[f"{prefix}lon"], inside)


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]


async def _write(connection: Connection, name: str, rows: Sequence[Sequence[object]]) -> None:
    """A statement that takes rows as one array a column; nothing where there are none."""
    if rows:
        await connection.execute(statement(name), *_columns(rows, len(rows[0])))
