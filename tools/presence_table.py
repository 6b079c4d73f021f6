"""Write the table of the presence fold into docs/presence.md, from the fold itself.

    python tools/presence_table.py            write it
    python tools/presence_table.py --check    exit 1 where the document differs

Each situation is reached by what a vehicle and its gateway do, from the first attach on, and meets each
thing that can happen next. The tests bring the same situations about in a register on PostgreSQL.

Needs fleetcell installed: .venv/bin/python.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fleetcell.contract.messages import Claim, ClaimKind, PresenceState
from fleetcell.contract.presence import (
    Outcome,
    Reason,
    Registration,
    Timers,
    blind,
    evidence,
    expire,
    fold,
    returned,
    revoke,
)

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "presence.md"
BEGIN, END = "<!-- table -->\n", "<!-- end -->"

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
TIMERS = Timers(hysteresis_s=100)  # each wait is another number of seconds, so that it can be named
SLEEP_S = 600.0
KEEP_ALIVE_S = 300.0  # of a vehicle whose broker waits for longer than the timers
WAITS = {
    TIMERS.update_interval_s + TIMERS.grace_s: "interval + grace",
    TIMERS.linger_s: "linger",
    TIMERS.detach_s: "detach",
    SLEEP_S + TIMERS.grace_s: "sleep + grace",
    TIMERS.hysteresis_s: "hysteresis",
    1.5 * KEEP_ALIVE_S: "1.5 keep-alive",
}
EPOCH = 8  # of the session in every situation


@dataclass(frozen=True)
class Told:
    """A claim or will; `elsewhere`: at another region's gateway, `just_back`: one that has come back."""

    claim: Claim
    elsewhere: bool = False
    just_back: bool = False


@dataclass(frozen=True)
class Life:
    """A sign of life that is not a claim."""

    epoch: int
    by: Reason


@dataclass(frozen=True)
class Deadline:
    """Time passes, up to the deadline."""


@dataclass(frozen=True)
class Blind:
    """The gateway did not hear."""


@dataclass(frozen=True)
class Back:
    """The gateway hears again; `late`: a deadline has passed meanwhile."""

    late: bool = False


@dataclass(frozen=True)
class Revoked:
    """An operator ended the credential."""


Step = Told | Life | Deadline | Blind | Back | Revoked


def claim(
    kind: ClaimKind, n: int, *, newer: int = 0, reason: str | None = None, to: str | None = None
) -> Claim:
    sleep_s = SLEEP_S if kind is ClaimKind.SLEEP else None
    return Claim(kind, EPOCH + newer, START, n=n, reason=reason, sleep_s=sleep_s, to=to)


def will(newer: int = 0) -> Claim:
    return Claim(ClaimKind.DETACH, EPOCH + newer, START, reason=Reason.LOST)


ATTACH = Told(claim(ClaimKind.ATTACH, 1))
PATIENT = Told(Claim(ClaimKind.ATTACH, EPOCH, START, n=1, keep_alive=KEEP_ALIVE_S))
SLEEP = Told(claim(ClaimKind.SLEEP, 2))
SHUTDOWN = Told(claim(ClaimKind.DETACH, 2, reason=Reason.SHUTDOWN))
HANDOVER = Told(claim(ClaimKind.DETACH, 2, reason=Reason.HANDOVER))
HANDOVER_TO = Told(claim(ClaimKind.DETACH, 2, reason=Reason.HANDOVER, to="elsewhere"))
WILL = Told(will())
THREE_LOSSES: tuple[Step, ...] = tuple(
    step
    for newer in (-3, -2, -1)
    for step in (Told(claim(ClaimKind.ATTACH, 1, newer=newer)), Told(will(newer)))
)

SITUATIONS: dict[str, tuple[Step, ...]] = {
    "never heard": (),
    "online": (ATTACH,),
    "online, long keep-alive": (PATIENT,),
    "suspect (overdue)": (ATTACH, Deadline()),
    "suspect (lost)": (ATTACH, WILL),
    "suspect (flapping), attached": (*THREE_LOSSES, ATTACH),
    "suspect (flapping), lost": (*THREE_LOSSES, ATTACH, WILL),
    "suspect (handover)": (ATTACH, HANDOVER),
    "suspect (handover), region named": (ATTACH, HANDOVER_TO),
    "suspect (overslept)": (ATTACH, SLEEP, Deadline()),
    "asleep": (ATTACH, SLEEP),
    "asleep, link ended": (ATTACH, SLEEP, WILL),
    "offline (shutdown)": (ATTACH, SHUTDOWN),
    "offline (lost)": (ATTACH, WILL, Deadline()),
    "offline (timeout)": (ATTACH, Deadline(), Deadline()),
    "offline (handover)": (ATTACH, HANDOVER, Deadline()),
    "offline (revoked)": (ATTACH, Revoked()),
    "unknown (handover)": (ATTACH, HANDOVER_TO, Deadline()),
    "unknown (gateway)": (ATTACH, Blind()),
    "unknown (gateway), long keep-alive": (PATIENT, Blind()),
    "unknown (gateway), will heard": (ATTACH, Blind(), Told(will(), just_back=True)),
}

HAPPENS: dict[str, Step] = {
    "attach, newer session": Told(claim(ClaimKind.ATTACH, 1, newer=1)),
    "attach, newer session, another region": Told(claim(ClaimKind.ATTACH, 1, newer=1), elsewhere=True),
    "attach, newer session, impossible clock": Told(
        Claim(ClaimKind.ATTACH, EPOCH + 1, datetime(1970, 1, 1, tzinfo=UTC), n=1)
    ),
    "attach, same session": Told(claim(ClaimKind.ATTACH, 3)),
    "update, same session": Told(claim(ClaimKind.UPDATE, 3)),
    "update, newer session": Told(claim(ClaimKind.UPDATE, 2, newer=1)),
    "sleep, same session": Told(claim(ClaimKind.SLEEP, 3)),
    "sleep, newer session": Told(claim(ClaimKind.SLEEP, 2, newer=1)),
    "detach (shutdown), same session": Told(claim(ClaimKind.DETACH, 3, reason=Reason.SHUTDOWN)),
    "detach (shutdown), newer session": Told(claim(ClaimKind.DETACH, 2, newer=1, reason=Reason.SHUTDOWN)),
    "detach (handover), same session": Told(claim(ClaimKind.DETACH, 3, reason=Reason.HANDOVER)),
    "detach (handover), newer session": Told(claim(ClaimKind.DETACH, 2, newer=1, reason=Reason.HANDOVER)),
    "will, same session": WILL,
    "will, newer session": Told(will(1)),
    "will, same session, gateway just back": Told(will(), just_back=True),
    "will, newer session, gateway just back": Told(will(1), just_back=True),
    "claim heard before": ATTACH,
    "claim of an older session": Told(claim(ClaimKind.UPDATE, 9, newer=-7)),
    "will of an older session": Told(will(-7)),
    "telemetry, same session": Life(EPOCH, Reason.TELEMETRY),
    "command response, same session": Life(EPOCH, Reason.RESPONSE),
    "telemetry, older session": Life(EPOCH - 7, Reason.TELEMETRY),
    "the deadline": Deadline(),
    "the gateway is blind": Blind(),
    "the gateway is back": Back(),
    "the gateway is back, the deadline passed": Back(late=True),
    "credential ended": Revoked(),
}


@dataclass(frozen=True)
class Row:
    """What becomes of a situation when something happens; `nothing`: the register stays as it is."""

    situation: str
    happens: str
    becomes: str
    deadline: str
    event: bool
    page: bool

    def markdown(self) -> str:
        effect = ", ".join(["event"] * self.event + ["page"] * self.page)
        return f"| {self.happens} | {self.becomes} | {self.deadline} | {effect} |"


def row(
    situation: str,
    happens: str,
    before: Registration,
    after: Registration,
    now: datetime,
    *,
    event: bool,
    page: bool,
) -> Row:
    """The row that says how a registration changed at `now`."""
    if after == before:
        return Row(situation, happens, "nothing changes", "", event, page)
    becomes = f"{after.state} ({after.reason})"
    kept = (before.state, before.reason) == (after.state, after.reason)
    return Row(
        situation, happens, f"stays {becomes}" if kept else becomes, wait(before, after, now), event, page
    )


def wait(before: Registration, after: Registration, now: datetime) -> str:
    if after.deadline is None:
        return "none"
    if after.deadline == before.deadline:
        return "as before"
    return WAITS[(after.deadline - now).total_seconds()]


def take(held: Registration, step: Step, now: datetime) -> Outcome:
    """One step on the fold alone."""
    match step:
        case Told(said, elsewhere, just_back):
            unsettled = held.state is PresenceState.UNKNOWN and held.reason == Reason.GATEWAY
            region = "elsewhere" if elsewhere else "here"
            return fold(held, said, now, TIMERS, region=region, blind=just_back and unsettled)
        case Life(epoch, by):
            return evidence(held, epoch, now, TIMERS, by=by)
        case Deadline():
            return expire(held, now, TIMERS)
        case Blind():
            return blind(held, now, TIMERS)
        case Back():
            return returned(held, now, TIMERS)
        case Revoked():
            return revoke(held, now)


def moment(step: Step, held: Registration, now: datetime) -> datetime:
    """When a step is taken: at the deadline, or a second after the one before."""
    if isinstance(step, Deadline) or (isinstance(step, Back) and step.late):
        return held.deadline or now
    return now + timedelta(seconds=1)


def pages(step: Step, after: Registration) -> bool:
    """Whether the registrar pages also where nothing changes: all whom a gateway lost sight of."""
    return isinstance(step, Back) and (after.state, after.reason) == (PresenceState.UNKNOWN, Reason.GATEWAY)


def rows() -> list[Row]:
    """Every situation with everything that can happen."""
    found = []
    for situation, steps in SITUATIONS.items():
        held, now = Registration(), START
        for step in steps:
            now = moment(step, held, now)
            held, _ = take(held, step, now)
        for happens, step in HAPPENS.items():
            at = moment(step, held, now)
            after, change = take(held, step, at)
            page = pages(step, after) or (change is not None and change.page)
            found.append(row(situation, happens, held, after, at, event=change is not None, page=page))
    return found


def table() -> str:
    """Markdown: a section for each situation."""
    parts: list[str] = []
    last = ""
    for one in rows():
        if one.situation != last:
            last = one.situation
            parts.append(f"\n### {last}\n\n| happens | becomes | deadline | effect |\n|---|---|---|---|")
        parts.append(one.markdown())
    return "\n".join(parts) + "\n\n"


def filled(document: str) -> str:
    """The document with the table between its marks filled anew.

    Raises:
        ValueError: it has no place for the table.
    """
    if BEGIN not in document or END not in document:
        raise ValueError(f"{DOCUMENT.name} has no place for the table: {BEGIN.strip()} ... {END}")
    before, rest = document.split(BEGIN, 1)
    return before + BEGIN + table() + END + rest.split(END, 1)[1]


def main() -> int:
    document = DOCUMENT.read_text(encoding="utf-8")
    fresh = filled(document)
    if sys.argv[1:] == ["--check"]:
        if fresh != document:
            print(
                f"{DOCUMENT.name} differs from the fold: run python tools/presence_table.py", file=sys.stderr
            )
            return 1
        return 0
    DOCUMENT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
