"""One vehicle's buckets against geofences: some derived anew, and which others that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ingest.geofences.crossings import NOWHERE, Crossed, Whereabouts, cross

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.derive.rules import Rules
    from ingest.derive.track import Track
    from ingest.geofences.crossings import Fences


class Kept(NamedTuple):
    """What is kept of a bucket and of the last one before it, and the number of the next one."""

    own: Whereabouts | None
    before_number: int | None
    before: Whereabouts | None
    after_number: int | None


def rederive(
    vehicle: int, tracks: Mapping[int, Track | None], kept: Mapping[int, Kept], fences: Fences, rules: Rules
) -> tuple[dict[int, Crossed], list[int]]:
    """Derive buckets anew.

    Args:
        vehicle: whose.
        tracks: by number all readings; None: the bucket has none any more.
        kept: around each of them.
        fences: all geofences.
        rules: the parameters.

    Returns:
        Those with readings by number, and the numbers of others that go on from something else now.
    """
    found: dict[int, Crossed] = {}
    following: list[int] = []
    state, done = NOWHERE, -1
    for number in sorted(tracks):
        around, track = kept[number], tracks[number]
        if around.before is not None and around.before_number is not None and around.before_number > done:
            state = around.before
        if track is not None:
            found[number] = cross(state, track, fences, vehicle, rules)
            state = found[number].state
        done = number
        after = around.after_number
        if after is not None and after not in tracks and not _same(around.own, state, fences, vehicle):
            following.append(after)
    return found, following


def _same(held: Whereabouts | None, state: Whereabouts, fences: Fences, vehicle: int) -> bool:
    """Whether what follows goes on from the same as before; geofences that are gone do not matter."""
    holding = fences.of(vehicle)
    return held is not None and held.of(holding) == state.of(holding)
