"""Numbers that came before: is it the same reading again, or another one?

Another reading under a number that is taken means that a unit's spool began again within its boot, or that
two units use one identity and one boot. It is not stored in the place of the first, nor dropped: it becomes a
dead letter, and the ledger counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from ingest.database import statement
from ingest.dead_letters import DeadLetter, event_json, sample_json, single
from ingest.readings import gather

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from ingest.database import Connection
    from ingest.settle import Settlement

Key = tuple[int, str]  # vehicle id, boot

REASON: Final = (
    "another reading has this number: the unit's spool began again within its boot, "
    "or two units use one identity"
)
WINDOW_US: Final = 86_400_000_000  # readings older than this may be past the retention already: not compared
COMPARED: Final = ("lat", "lon", "speed", "odo")


async def conflicts(
    connection: Connection, settlements: Mapping[Key, Settlement], count: Counter[Key]
) -> list[DeadLetter]:
    """Compare what came again with what is stored, in the transaction that has stored the new readings.

    The same reading has the same time, position, speed and odometer.

    Args:
        connection: inside the transaction.
        settlements: by vehicle id and boot.
        count: how many others there are of each is added here.

    Returns:
        What is another reading or event than the stored one of its number.
    """
    letters = []
    for key, letter in (*await _readings(connection, settlements), *await _events(connection, settlements)):
        count[key] += 1
        letters.append(letter)
    return letters


async def _readings(
    connection: Connection, settlements: Mapping[Key, Settlement]
) -> list[tuple[Key, DeadLetter]]:
    given = [
        (key, fresh, position)
        for key, outcome in settlements.items()
        for fresh in outcome.repeated
        for position in fresh.positions or ()
    ]
    if not given:
        return []
    found = gather((key[0], fresh) for key, outcome in settlements.items() for fresh in outcome.repeated)
    nothing = [None] * len(found)
    within = (found.received_us - found.times_us <= WINDOW_US).nonzero()[0].tolist()
    columns: list[list[Any]] = [found.signals.hot.get(name, nothing) for name in COMPARED]
    others = await connection.fetch(
        statement("other_readings"),
        within,
        found.vehicle_ids[within].tolist(),
        [UUID(bytes=boot) for boot in found.boots[within].tolist()],
        found.seqs[within].tolist(),
        found.times_us[within].tolist(),
        *([column[row] for row in within] for column in columns),
        int(found.times_us[within].min(initial=2**62)),
        int(found.times_us[within].max(initial=0)),
    )
    letters = []
    for (row,) in others:
        key, (upload, _, _), position = given[row]
        letters.append((key, single(upload, sample_json(upload, position), REASON)))
    return letters


async def _events(
    connection: Connection, settlements: Mapping[Key, Settlement]
) -> list[tuple[Key, DeadLetter]]:
    given = [(key, repeated) for key, outcome in settlements.items() for repeated in outcome.repeated_events]
    given = [one for one in given if one[1].upload.received_us - one[1].time_us <= WINDOW_US]
    if not given:
        return []
    others = await connection.fetch(
        statement("other_events"),
        list(range(len(given))),
        [key[0] for key, _ in given],
        [UUID(key[1]) for key, _ in given],
        [repeated.event.seq for _, repeated in given],
        [repeated.time_us for _, repeated in given],
        [repeated.event.kind for _, repeated in given],
    )
    return [
        (given[row][0], single(given[row][1].upload, event_json(given[row][1].event), REASON))
        for (row,) in others
    ]
