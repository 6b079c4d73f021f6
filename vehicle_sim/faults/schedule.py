"""What goes wrong in a run, when, and for whom. Pure: a seed and names go in, moments and names come out.

A schedule is a list of faults. Each happens once or again and again (`occurrences`), and each time it hits
some of the units (`hits`). What one fault decides depends on the seed and on itself alone, not on the others
in the file. Times are seconds since the run began.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from vehicle_sim.links.noise import seed_of, uniform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DATABASE: Final = "postgres"


class What(StrEnum):
    """What is done, as the file names it."""

    KILL = "kill"  # the unit's process dies: no detach; a new boot after `for`
    POWER_LOSS = "power-loss"  # nothing more is sent, the last write of the spool is torn; likewise
    BLACK_HOLE = "black-hole"  # packets vanish, without FIN or RST; what is connected stays half open
    RESET = "reset"  # a middlebox ends all connections with RST
    SIM_SUSPENDED = "sim-suspended"  # the network takes the SIM no longer
    CLOCK_JUMP = "clock-jump"  # the unit dates its readings wrongly
    RECONNECT_STORM = "reconnect-storm"  # sessions end without DISCONNECT, and all come back at once
    BROKER_KILL = "broker-kill"  # SIGKILL; `fleetcell up` starts it again
    BROKER_STOP = "broker-stop"  # SIGSTOP, and SIGCONT after `for`
    DATABASE_KILL = "database-kill"
    DATABASE_STOP = "database-stop"


OF_BROKERS: Final = frozenset({What.BROKER_KILL, What.BROKER_STOP})
OF_THE_DATABASE: Final = frozenset({What.DATABASE_KILL, What.DATABASE_STOP})
AT_ONCE: Final = frozenset({What.RESET, What.RECONNECT_STORM, What.BROKER_KILL, What.DATABASE_KILL})
_ON_LINKS: Final = frozenset({What.POWER_LOSS, What.BLACK_HOLE, What.RESET, What.SIM_SUSPENDED})


@dataclass(frozen=True, slots=True)
class Who:
    """Which units: all that fit, and of those a share (above 0 to 1) that is drawn anew each time.

    vehicles: globs of vehicle ids, one of which fits; kind: car, taxi, van or truck, None: any; region: whose
    gateway serves the unit at that moment, None: any. Of a fault of brokers only `region` counts.
    """

    vehicles: tuple[str, ...] = ("*",)
    share: float = 1.0
    kind: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class When:
    """At set times, or every so many seconds from `after_s` on and before `until_s` (None: to the end).

    jitter_s: each unit that is hit is hit up to this much later.
    """

    at_s: tuple[float, ...] = ()
    every_s: float | None = None
    after_s: float = 0.0
    until_s: float | None = None
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClockJump:
    """What a clock shows while it is wrong: seconds more than the truth, or one of the known errors."""

    by_s: float = 0.0
    to: str | None = None  # a value of `device_clock.Jump`


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the file. `lasts_s` is 0 for what happens at once; `line` is where it stands."""

    what: What
    when: When
    who: Who = Who()
    lasts_s: float = 0.0
    clock: ClockJump | None = None
    line: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The faults of a run, in the order of the file. `seed` None: that of the run."""

    faults: tuple[Fault, ...] = ()
    seed: int | None = None

    @property
    def needs_links(self) -> bool:
        """Whether units need a simulated link to have these faults."""
        return any(fault.what in _ON_LINKS for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A fault's `number`th time (from 0); `seed` decides whom it hits, and when exactly."""

    at_s: float
    fault: Fault
    number: int
    seed: int


@dataclass(frozen=True, slots=True)
class Hit:
    """Somebody whom a fault hits: a vehicle, or a service of the platform."""

    at_s: float
    subject: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Happened:
    """What was really done to a vehicle or service; `at` in seconds since 1970.

    over: it is over now (a fault that happens at once has only its beginning).
    detail: of a power loss, `torn`: what the torn write of the spool was.
    """

    what: What
    subject: str
    at: float
    over: bool
    detail: str = ""


def occurrences(schedule: Schedule, seed: int) -> Iterator[Occurrence]:
    """Every time that a fault happens, in the order of time; without end where one repeats without end."""
    seed = seed if schedule.seed is None else schedule.seed
    alike: Counter[Fault] = Counter()
    streams = []
    for fault in schedule.faults:
        streams.append(_times(fault, seed_of(seed, repr(fault), alike[fault])))
        alike[fault] += 1
    return heapq.merge(*streams, key=lambda occurrence: occurrence.at_s)


def _times(fault: Fault, seed: int) -> Iterator[Occurrence]:
    when = fault.when
    if when.every_s is None:
        for number, at_s in enumerate(sorted(when.at_s)):
            yield Occurrence(at_s, fault, number, seed)
        return
    for number in itertools.count():
        at_s = when.after_s + number * when.every_s
        if when.until_s is not None and at_s >= when.until_s:
            return
        yield Occurrence(at_s, fault, number, seed)


def hits(occurrence: Occurrence, units: Mapping[str, str | None], brokers: Mapping[str, str]) -> list[Hit]:
    """Whom an occurrence hits, in the order of time.

    Args:
        occurrence: which.
        units: the region of each vehicle at that moment; None: not known, and it fits any.
        brokers: the broker service of each region of the platform.
    """
    fault = occurrence.fault
    if fault.what in OF_THE_DATABASE:
        subjects = [DATABASE]
    elif fault.what in OF_BROKERS:
        subjects = [service for region, service in brokers.items() if fault.who.region in (None, region)]
    else:
        fitting = [vehicle for vehicle, region in units.items() if _fits(fault.who, vehicle, region)]
        subjects = _drawn(occurrence, fitting)
    found = [Hit(occurrence.at_s + _jitter(occurrence, name), name, fault) for name in subjects]
    return sorted(found, key=lambda hit: (hit.at_s, hit.subject))


def _fits(who: Who, vehicle: str, region: str | None) -> bool:
    return (
        any(fnmatchcase(vehicle, glob) for glob in who.vehicles)
        and who.kind in (None, vehicle.partition("-")[0])
        and (who.region is None or region is None or who.region == region)
    )


def _drawn(occurrence: Occurrence, fitting: Iterable[str]) -> list[str]:
    """This time's share of those who fit; at least one, where anybody fits."""
    seed, number = occurrence.seed, occurrence.number
    order = sorted(fitting, key=lambda name: (uniform(seed, 0, number, seed_of(name)), name))
    return order[: max(1, round(occurrence.fault.who.share * len(order)))]


def _jitter(occurrence: Occurrence, subject: str) -> float:
    jitter_s = occurrence.fault.when.jitter_s
    return jitter_s * uniform(occurrence.seed, 1, occurrence.number, seed_of(subject)) if jitter_s else 0.0
