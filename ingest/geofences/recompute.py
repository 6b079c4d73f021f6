"""The buckets that a transaction derives, against geofences; and the alerts that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.geofences import rows
from ingest.geofences.alerts import settle
from ingest.geofences.chain import rederive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ingest.database import Connection
    from ingest.derive.rules import Rules
    from ingest.derive.track import Track
    from ingest.geofences.crossings import Crossed, Crossing
    from ingest.geofences.rows import FenceReader, Place


async def derive_geofences(
    connection: Connection,
    reader: FenceReader,
    rules: Rules,
    wanted: Mapping[int, Mapping[int, Track | None]],
) -> set[Place]:
    """Derive buckets anew, inside the caller's transaction.

    Args:
        connection: of the worker that holds the lock.
        reader: the geofences.
        rules: the parameters.
        wanted: by vehicle and bucket number all readings; None: there are none any more.

    Returns:
        The (vehicle, bucket number) that go on from something else now, and have to be derived after this.
    """
    fences = await reader.read(connection)
    places = [(vehicle, number) for vehicle, tracks in wanted.items() for number in sorted(tracks)]
    if not fences.by_id:
        await rows.remove_buckets(connection, places)
        return set()
    kept = await rows.states(connection, places)
    held = await rows.crossings_of(connection, places)
    crossed: dict[Place, Crossed] = {}
    again: set[Place] = set()
    for vehicle, tracks in wanted.items():
        around = {number: kept[vehicle, number] for number in tracks}
        found, following = rederive(vehicle, tracks, around, fences, rules)
        crossed |= {(vehicle, number): of for number, of in found.items()}
        again |= {(vehicle, number) for number in following}
    await rows.write_buckets(connection, crossed)
    await rows.remove_buckets(connection, [place for place in places if place not in crossed])
    gone, new = _differences(held, crossed)
    await rows.replace_crossings(connection, gone, new)
    await _settle(connection, [*gone, *((place[0], one) for place, one in new)])
    return again


def _differences(
    held: Mapping[Place, list[Crossing]], crossed: Mapping[Place, Crossed]
) -> tuple[list[tuple[int, Crossing]], list[tuple[Place, Crossing]]]:
    """The crossings that are not so any more, by vehicle, and those that are new, by bucket."""
    gone = [
        (place[0], one)
        for place, of in held.items()
        for one in of
        if place not in crossed or one not in crossed[place].crossings
    ]
    new = [
        (place, one)
        for place, of in crossed.items()
        for one in of.crossings
        if one not in held.get(place, ())
    ]
    return gone, new


async def _settle(connection: Connection, changed: Iterable[tuple[int, Crossing]]) -> None:
    """Raise and correct the alerts of what changed, by vehicle."""
    times = [(vehicle, one.fence, one.at_us) for vehicle, one in changed]
    if not times:
        return
    concerned = set(await rows.pairs_to_settle(connection, times))
    since: dict[tuple[int, int], int] = {}
    for vehicle, fence, at in times:
        if (vehicle, fence) in concerned:
            since[vehicle, fence] = min(at, since.get((vehicle, fence), at))
    if since:
        found = await rows.pairs(connection, since)
        settled = [(of, settle(of.alerts, of.crossings, of.kinds, of.live_from_us)) for of in found]
        await rows.write_alerts(connection, settled)
