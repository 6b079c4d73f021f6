"""What a run did, counted as it goes, and the score that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vehicle_sim.score.scoring import Scored


@dataclass(slots=True)
class Tally:
    """Counts of all units of one run: readings, events among them, unless said otherwise."""

    made: int = 0
    events: int = 0  # of those made
    acked: int = 0  # of those made in this run
    backlog: int = 0  # left by earlier boots
    backlog_acked: int = 0
    evicted: int = 0
    rejected: int = 0  # by the gateway, as not readable
    torn: int = 0  # lost with a write of the spool that a power cut tore
    refused: int = 0  # by the spool: too large, or the disk is full
    batches: int = 0
    connects: int = 0
    handovers: int = 0
    bad_messages: int = 0
    last_ack: float | None = None  # when, on the clock of the event loop
    attach_s: dict[str, float] = field(default_factory=dict)  # first attach shown, seconds after the start

    def settled(self, count: int, now: float, *, backlog: bool) -> None:
        """Readings were acknowledged."""
        if backlog:
            self.backlog_acked += count
        else:
            self.acked += count
        if count:
            self.last_ack = now

    def attached(self, vehicle: str, seconds: float) -> None:
        """The register shows a unit online; the first time counts."""
        self.attach_s.setdefault(vehicle, seconds)

    def handed_over(self) -> None:
        """Another gateway serves a unit."""
        self.connects += 1
        self.handovers += 1

    @property
    def pending(self) -> int:
        """Readings that wait for their acknowledgement, those of earlier boots included."""
        gone = self.acked + self.backlog_acked + self.evicted + self.rejected + self.torn
        return self.made + self.backlog - gone


@dataclass(frozen=True, slots=True)
class Score:
    """The result of a run. `pending` includes what earlier boots left.

    `rows_per_s` counts from the start to the last acknowledgement, `duration_s` to the end of the run;
    attach times from a unit's start until the register shows it online.
    """

    kind: str
    vehicles: int
    duration_s: float
    made: int
    acked: int
    pending: int
    evicted: int
    rejected: int
    refused: int
    backlog: int
    backlog_acked: int
    resent: int
    batches: int
    connects: int
    handovers: int
    attached: int
    attach_p50_s: float | None
    attach_max_s: float | None
    rows_per_s: float
    seed: int | None = None
    problem: str | None = None
    v2x: dict[str, int] | None = None  # messages between vehicles, by what became of them
    truth: str | None = None  # the folder with the record of what really happened
    scored: Scored | None = None  # that against what the platform says

    @property
    def complete(self) -> bool:
        """Whether every reading is accounted for at the gateway."""
        return self.pending == 0 and self.refused == 0 and self.problem is None

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        found = {name: getattr(self, name) for name in self.__slots__ if name != "scored"}
        report = None if self.scored is None else self.scored.report.to_dict()
        return found | {"complete": self.complete, "report": report}

    def to_rows(self) -> list[tuple[str, str]]:
        """For people: what and how much, with its unit; what did not happen is left out."""
        rows = [
            ("vehicles", f"{self.vehicles:,}"),
            ("attached", f"{self.attached:,}"),
            ("attach time, median", _seconds(self.attach_p50_s)),
            ("attach time, longest", _seconds(self.attach_max_s)),
            ("readings made", f"{self.made:,}"),
            ("readings acknowledged", f"{self.acked:,}"),
            ("pending", f"{self.pending:,}"),
            *(
                (label, f"{count:,}")
                for label, count in (
                    ("left by earlier boots", self.backlog),
                    ("  acknowledged now", self.backlog_acked),
                    ("evicted, the spool was full", self.evicted),
                    ("rejected by the gateway", self.rejected),
                    ("refused by the spool", self.refused),
                    ("sent more than once", self.resent),
                )
                if count
            ),
            ("messages", f"{self.batches:,}"),
            ("connects", f"{self.connects:,}"),
            *([("handovers between regions", f"{self.handovers:,}")] if self.handovers else []),
            ("duration", f"{self.duration_s:,.1f} s"),
            ("rate", f"{self.rows_per_s:,.0f} readings/s"),
            *((f"V2X {name}", f"{count:,}") for name, count in (self.v2x or {}).items()),
        ]
        return rows if self.seed is None else [*rows, ("seed", str(self.seed))]


def _seconds(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f} s"


def score(
    tally: Tally,
    *,
    kind: str,
    vehicles: int,
    resent: int,
    began: float,
    ended: float,
    seed: int | None = None,
    problem: str | None = None,
) -> Score:
    """Sum up a run; `began` and `ended` in seconds on the clock of the event loop."""
    times = sorted(tally.attach_s.values())
    delivering_s = (tally.last_ack or ended) - began
    return Score(
        kind=kind,
        vehicles=vehicles,
        duration_s=round(ended - began, 3),
        made=tally.made,
        acked=tally.acked,
        pending=tally.pending,
        evicted=tally.evicted,
        rejected=tally.rejected,
        refused=tally.refused,
        backlog=tally.backlog,
        backlog_acked=tally.backlog_acked,
        resent=resent,
        batches=tally.batches,
        connects=tally.connects,
        handovers=tally.handovers,
        attached=len(times),
        attach_p50_s=round(times[len(times) // 2], 3) if times else None,
        attach_max_s=round(times[-1], 3) if times else None,
        rows_per_s=round((tally.acked + tally.backlog_acked) / delivering_s, 1) if delivering_s > 0 else 0.0,
        seed=seed,
        problem=problem,
    )
