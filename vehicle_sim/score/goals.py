"""From what really happened to a vehicle to what should be shown of it. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from fleetcell.contract.presence import Timers
from vehicle_sim.score.presence import ASLEEP, GONE, OFFLINE, ONLINE, Goal
from vehicle_sim.truth.records import Change, Reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Tolerances(msgspec.Struct, frozen=True, kw_only=True):
    """How long the platform may take to find out, seconds.

    attach_s: that a unit is there, from CONNACK on. told_s: what a unit or its closing connection says.
    silent_s: that a link is silent; one and a half keep-alives are the broker's right, by MQTT 3.1.1.
    linger_s: from there until it must say offline; before, suspect is right too.
    """

    attach_s: float = 5.0
    told_s: float = 5.0
    silent_s: float = 35.0
    linger_s: float = 15.0


def tolerances(keep_alive_s: float, linger_s: float = Timers().linger_s) -> Tolerances:
    """With 5 s to spare on each of the timers."""
    return Tolerances(silent_s=1.5 * keep_alive_s + 5.0, linger_s=linger_s + 5.0)


def by_vehicle(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """The changes of each vehicle, in order of time."""
    found: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        found[change.vehicle].append(change)
    return {vehicle: sorted(mine, key=lambda change: change.at) for vehicle, mine in found.items()}


def goals(changes: Sequence[Change], allowed: Tolerances) -> list[Goal]:
    """What should be shown of one vehicle; `changes` in order of time.

    A link that is cut may end as a lost session: the time to find out counts from the cut.

    Who is away tries to come back. A unit counts its epoch up before each CONNECT, so the epochs that it has
    passed over by the time of its next session were asked for, and not answered in time: the answer was lost,
    or the unit had given up by then. Whether the request had come, the unit cannot know.
    """
    found: list[Goal] = []
    away_since: float | None = None
    epoch = 0  # of the last session that the unit had
    for change in changes:
        if away_since is not None and change.reach in (Reach.CUT, Reach.DOWN):
            continue
        while found and found[-1].at >= change.at and not found[-1].kind:
            found.pop()  # the end of a linger that did not come to its end
        if away_since is not None and not found[-1].kind:
            tried = range(epoch + 1, change.epoch)
            found[-1] = found[-1]._replace(tried=tried, linger_s=allowed.linger_s)
        epoch = change.epoch
        match change.reach:
            case Reach.REACHABLE:
                found.append(Goal(change.at, ONLINE, allowed.attach_s, f"online: {change.reason}"))
                away_since = None
            case Reach.CUT | Reach.DOWN:
                away_since = change.at
                window = allowed.silent_s if change.link else allowed.told_s
                found.append(Goal(change.at, GONE, window, f"away: {change.reason}"))
                found.append(Goal(change.at + window + allowed.linger_s, OFFLINE, 0.0))
            case Reach.ASLEEP | Reach.GONE:
                found += _said(change, allowed, cut=away_since is not None)
    return found


def _said(change: Change, allowed: Tolerances, *, cut: bool) -> list[Goal]:
    """It said that it sleeps, or goodbye. Over a link it may not have been heard: then it was simply lost."""
    said = ASLEEP if change.reach is Reach.ASLEEP else OFFLINE
    name = "asleep" if change.reach is Reach.ASLEEP else "goodbye"
    if not (change.link or cut):
        return [Goal(change.at, said, allowed.told_s, name)]
    return [
        Goal(change.at, said | GONE, allowed.silent_s, name),
        Goal(change.at + allowed.silent_s + allowed.linger_s, said | OFFLINE, 0.0),
    ]
