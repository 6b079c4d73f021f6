"""One vehicle's buckets in a row: what changed is derived anew, later ones as far as that changes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from ingest.derive.journeys import NOTHING, Journey, advance, under_way
from ingest.derive.summary import Last, Rollup, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.derive.rules import Rules
    from ingest.derive.segments import Segment
    from ingest.derive.track import Track


class State(msgspec.Struct, frozen=True):
    """What a bucket hands on to the next."""

    last: Last | None = None
    journey: Journey = NOTHING


class Derived(msgspec.Struct, frozen=True):
    """What is kept of a bucket; `number` counts buckets since 1970."""

    number: int
    segments: list[Segment]
    state: State


START: Final = State()


@dataclass(slots=True)
class Changes:
    """What has to be written of one vehicle; bucket numbers everywhere.

    rollups: derived anew. journeys: only what is under way at their end changed. emptied: they have no
    readings any more. ended: trips and stops by the bucket that ended them, for each bucket that was looked
    at. open: what is under way; `to_the_end` says that it was looked for. again: the buckets that go on from
    something else now, and have to be derived after this.
    """

    rollups: dict[int, tuple[Rollup, list[Segment], State]] = field(default_factory=dict)
    journeys: dict[int, Journey] = field(default_factory=dict)
    emptied: list[int] = field(default_factory=list)
    ended: dict[int, list[Segment]] = field(default_factory=dict)
    open: Segment | None = None
    to_the_end: bool = False
    again: list[int] = field(default_factory=list)


def rederive(
    before: State,
    kept: Sequence[Derived],
    tracks: Mapping[int, Track | None],
    rules: Rules,
    *,
    complete: bool,
) -> Changes | None:
    """Derive the buckets of `tracks` anew.

    Args:
        before: what the bucket before the first of them handed on.
        kept: what is kept from the first of them on, in order.
        tracks: the dirty buckets with all their readings; None: it has none.
        rules: the parameters.
        complete: nothing is kept after the last of `kept`.

    Returns:
        The changes; None: more of what is kept is needed to tell.
    """
    changes = Changes()
    state = before
    held = {one.number: one for one in kept}
    last_due = max(tracks)
    handed_on_else = settled = False
    for number in sorted(held.keys() | tracks.keys()):
        one = held.get(number)
        if number > last_due and settled and not handed_on_else:
            return changes
        if number in tracks:
            track = tracks[number]
            if track is None:
                changes.emptied.append(number)
                changes.ended[number] = []
                handed_on_else, settled = handed_on_else or one is not None, False
                continue
            summary = summarise(state.last, track, rules)
            journey, ended = advance(state.journey, summary.segments, rules)
            state = State(summary.last, journey)
            changes.rollups[number] = (summary.rollup, summary.segments, state)
            handed_on_else = one is None or one.state.last != state.last
        else:
            assert one is not None
            if handed_on_else:
                changes.again.append(number)
                handed_on_else = False
            journey, ended = advance(state.journey, one.segments, rules)
            state = State(one.state.last, journey)
            if journey != one.state.journey:
                changes.journeys[number] = journey
        changes.ended[number] = ended
        settled = one is not None and one.state.journey == state.journey
    if not complete:
        return changes if settled and not handed_on_else and max(held, default=-1) > last_due else None
    changes.to_the_end = True
    changes.open = under_way(state.journey, rules)
    return changes
