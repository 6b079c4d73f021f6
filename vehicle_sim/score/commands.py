"""Commands: what reached the units and what they answered, against what the platform says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vehicle_sim.score.statistics import Spread, spread
from vehicle_sim.truth.records import Answered, Happened, Ordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OPEN: Final = frozenset({"queued", "paged", "sent", "delivered"})


class Said(msgspec.Struct, frozen=True):
    """A command as the platform shows it; `outcome`: what it says that the unit said."""

    state: str
    outcome: str | None
    created_at: float  # seconds since 1970


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """Commands of a run.

    received: that reached a unit, each once. answered: that a unit ended with an answer. agreed: of those,
    that the platform shows with the same outcome. open: of those, that it still shows under way. differing:
    that it shows otherwise. unknown: that reached a unit and the platform does not know. not_received:
    that it shows as done by a unit which never got them. again: that came to a unit more than once.
    """

    received: int = 0
    answered: int = 0
    agreed: int = 0
    open: int = 0
    differing: int = 0
    unknown: int = 0
    not_received: int = 0
    again: int = 0
    to_unit_s: Spread | None = None


def compare(happened: Iterable[Happened], said: Mapping[str, Said], began_at: float) -> Commands:
    """Compare what happened in a run that began then with what the platform says, by command id."""
    arrived: dict[str, list[float]] = {}
    outcomes: dict[str, str] = {}
    for one in happened:
        match one:
            case Ordered():
                arrived.setdefault(one.id, []).append(one.at)
            case Answered(final=True):
                outcomes[one.id] = one.state
            case _:
                pass
    known = {id_: outcome for id_, outcome in outcomes.items() if id_ in said}
    agreed = sum(outcome in (said[id_].outcome, said[id_].state) for id_, outcome in known.items())
    waiting = sum(said[id_].outcome != outcome and said[id_].state in _OPEN for id_, outcome in known.items())
    return Commands(
        received=len(arrived),
        answered=len(outcomes),
        agreed=agreed,
        open=waiting,
        differing=len(known) - agreed - waiting,
        unknown=sum(id_ not in said for id_ in arrived),
        not_received=sum(
            command.outcome == "succeeded" and command.created_at >= began_at and id_ not in arrived
            for id_, command in said.items()
        ),
        again=sum(len(times) > 1 for times in arrived.values()),
        to_unit_s=spread([times[0] - said[id_].created_at for id_, times in arrived.items() if id_ in said]),
    )
