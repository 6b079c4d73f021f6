"""What goes wrong in one schedule of the chaos harness: drawn from its seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks._chaos_proxy import AtCommit

if TYPE_CHECKING:
    from collections.abc import Sequence

VEHICLES: Final = 6
FIRST_S: Final = 0.4  # units are connecting until then
HEALED_S: Final = 2.6  # everything is whole again
LINKS: Final = (
    "units-broker-1",
    "units-broker-2",
    "ingest-1-broker",
    "ingest-2-broker",
    "ingest-1-database",
    "ingest-2-database",
)
SERVICES: Final = ("ingest-1", "ingest-2", "broker", "database", "units")
NETWORK: Final = ("delay", "stall", "black hole", "reset", "half close", "tear", "refuse")
PROCESS: Final = ("kill", "stop")
UNIT: Final = ("clock", "power loss", "sleep", "goodbye", "vanish")
JUMPS_S: Final = (-86_400.0, -3.0, 3.0, 3_600.0, 400 * 86_400.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """From `at` on, for `for_s` seconds (0: it is a moment), `kind` befalls `who`.

    who: a link, a service, a disk or a vehicle (by its number).
    amount: a share, a delay (s) or the jump of a clock (s), by kind.
    how: details of a kind.
    """

    at: float
    kind: str
    who: str
    for_s: float = 0.0
    amount: float = 0.0
    how: str = ""

    def __str__(self) -> str:
        parts = [f"{self.at:.2f} s: {self.kind} {self.who}"]
        if self.for_s:
            parts.append(f"for {self.for_s:.2f} s")
        if self.amount:
            parts.append(f"({self.amount:g})")
        if self.how:
            parts.append(f"({self.how})")
        return " ".join(parts)


def schedule(seed: int, number: int) -> list[Fault]:
    """The faults of one schedule, in their order: the same for the same seed and number."""
    rng = random.Random(f"{seed}:{number}")
    count = rng.choices((1, 2, 3, 4, 5), (1, 3, 4, 3, 2))[0]
    faults = [_draw(rng) for _ in range(count)]
    if rng.random() < 0.5:  # somebody leaves or is hurt, and nothing else needs to fail for that
        faults.append(_of_unit(rng))
    return sorted(_apart(faults), key=lambda fault: fault.at)


def _draw(rng: random.Random) -> Fault:
    family = rng.choices(("network", "commit", "process", "database", "disk", "unit"), (6, 2, 4, 2, 2, 2))[0]
    match family:
        case "network":
            return _of_network(rng)
        case "commit":
            how = rng.choice((AtCommit.ANSWER_LOST, AtCommit.ANSWER_LOST, AtCommit.NEVER_SENT))
            return Fault(_when(rng), "cut commit", rng.choice(LINKS[4:]), how=how)
        case "process":
            kind = rng.choice(PROCESS)
            return Fault(_when(rng), kind, rng.choice(SERVICES), _span(rng) if kind == "stop" else 0.0)
        case "database":
            return Fault(_when(rng), rng.choice(("restart", "failover")), "database", 0.3)
        case "disk":
            return Fault(_when(rng), "disk full", rng.choice(("units", "units", "database")), _span(rng))
        case _:
            return _of_unit(rng)


def _of_network(rng: random.Random) -> Fault:
    kind, who = rng.choice(NETWORK), rng.choice(LINKS)
    match kind:
        case "delay":
            return Fault(_when(rng), kind, who, _span(rng), amount=round(rng.uniform(0.01, 0.3), 3))
        case "stall" | "black hole" | "refuse":
            return Fault(_when(rng), kind, who, _span(rng))
        case "half close":
            return Fault(_when(rng), kind, who, how=rng.choice(("to server", "to client")))
        case "tear":
            return Fault(_when(rng), kind, who, amount=round(rng.uniform(0.0, 0.99), 2))
        case _:
            return Fault(_when(rng), kind, who)


def _of_unit(rng: random.Random) -> Fault:
    kind, who = rng.choice(UNIT), str(rng.randrange(VEHICLES))
    if kind == "clock":
        return Fault(_when(rng), kind, who, amount=rng.choice(JUMPS_S))
    return Fault(_when(rng), kind, who)


def _apart(faults: Sequence[Fault]) -> list[Fault]:
    """Without a second fault of the same link, process or vehicle: nobody dies twice at once."""
    kept: dict[tuple[str, str], Fault] = {}
    for fault in faults:
        scope = "network" if fault.who in LINKS and fault.kind != "cut commit" else "other"
        kept.setdefault((scope, fault.who), fault)
    return list(kept.values())


def _when(rng: random.Random) -> float:
    return round(rng.uniform(FIRST_S, HEALED_S - 0.6), 3)


def _span(rng: random.Random) -> float:
    return round(rng.uniform(0.2, 1.6), 3)
