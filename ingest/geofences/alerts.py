"""Which alerts to raise and which to correct, by what is known now of a vehicle and a geofence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.geofences.crossings import DWELL, ENTER, EXIT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ingest.geofences.crossings import Crossing

HORIZON_S: Final = 300.0  # what is seen later than this after it was measured raises no alert
MOVED: Final = "moved"
WITHDRAWN: Final = "withdrawn"

_OPPOSITE: Final = {ENTER: EXIT, EXIT: ENTER, DWELL: EXIT}


class Alert(NamedTuple):
    """An alert as it is kept; times in µs since 1970.

    at_us: of the crossing that raised it. holds_us: of that crossing as it is known now; None: there was
        none.
    """

    id: int
    kind: str
    at_us: int
    holds_us: int | None


class Correction(NamedTuple):
    """What is to be noted of an alert; `why` None: it is as it was raised, after all."""

    id: int
    holds_us: int | None
    why: str | None


@dataclass(slots=True)
class Settled:
    """Crossings to raise alerts of, and alerts to correct."""

    raised: list[Crossing] = field(default_factory=list)
    corrected: list[Correction] = field(default_factory=list)


def settle(
    alerts: Sequence[Alert], crossings: Sequence[Crossing], kinds: Collection[str], live_from_us: int | None
) -> Settled:
    """One vehicle and one geofence.

    An alert belongs to the crossing at its time. Where that is gone, it belongs to the nearest one of its
    kind with no opposite one between them: later readings moved it. Where there is none, nothing like it
    happened.
    A crossing raises an alert if it has none, and is not before `live_from_us`.

    Args:
        alerts: of the geofence as it is now, from the visit on that is looked at first.
        crossings: from the same visit on, in the order of time.
        kinds: what raises alerts.
        live_from_us: µs since 1970; None: nothing does.
    """
    settled, known = Settled(), _consistent(crossings)
    for kind in (ENTER, EXIT, DWELL):
        places = {one.at_us: one for one in known if one.kind == kind}
        opposites = [one.at_us for one in known if one.kind == _OPPOSITE[kind]]
        waiting: list[Alert] = []
        for alert in (one for one in alerts if one.kind == kind):
            if places.pop(alert.at_us, None) is not None:
                _note(settled, alert, alert.at_us, None)
            elif alert.holds_us is None or places.pop(alert.holds_us, None) is None:
                waiting.append(alert)
        for alert in waiting:
            there = [at for at in places if not _any_between(opposites, at, alert.at_us)]
            nearest = min(there, key=lambda at: (abs(at - alert.at_us), at), default=None)
            if nearest is not None:
                del places[nearest]
            _note(settled, alert, nearest, WITHDRAWN if nearest is None else MOVED)
        if kind in kinds and live_from_us is not None:
            settled.raised += [
                one for at, one in places.items() if at >= live_from_us and not _was_there(one, known)
            ]
    return settled


def _consistent(crossings: Sequence[Crossing]) -> list[Crossing]:
    """Without a second entry before an exit, or exit before an entry.

    They are there for a moment when late readings changed a bucket and the next one is still to follow: the
    first of them is what will be left.
    """
    found: list[Crossing] = []
    inside: bool | None = None
    for one in sorted(crossings, key=lambda one: (one.at_us, one.kind != ENTER)):
        if one.kind in (ENTER, EXIT):
            if inside is (one.kind == ENTER):
                continue
            inside = one.kind == ENTER
            found.append(one)
        elif one.kind == DWELL:
            found.append(one)
    return found


def _any_between(times: Sequence[int], one: int, other: int) -> bool:
    low, high = min(one, other), max(one, other)
    return any(low < at < high for at in times)


def _was_there(crossing: Crossing, known: Sequence[Crossing]) -> bool:
    """Whether an entry is a vehicle's first position, or ends a silence that began inside."""
    if crossing.kind != ENTER:
        return False
    return crossing.before_us is None or any(
        one.kind == EXIT and one.at_us == crossing.before_us and one.silence for one in known
    )


def _note(settled: Settled, alert: Alert, holds_us: int | None, why: str | None) -> None:
    if alert.holds_us != holds_us:
        settled.corrected.append(Correction(alert.id, holds_us, why))
