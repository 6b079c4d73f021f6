"""The score: figures of each kind, as JSON and as rows of a table. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from vehicle_sim.score import presence
from vehicle_sim.score.commands import Commands, Said, compare
from vehicle_sim.score.goals import Tolerances, by_vehicle, goals
from vehicle_sim.score.presence import Shown, State
from vehicle_sim.score.readings import Account, Ledger, Stored, account
from vehicle_sim.score.statistics import Spread, spread
from vehicle_sim.truth import distances
from vehicle_sim.truth.records import Bytes, Change, Errors, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vehicle_sim.truth.records import Boot, Happened, Run

NEVER_HEARD = "never heard"


class Noticed(msgspec.Struct, frozen=True):
    """How long until something was shown; `never`: it was not, though there was time enough."""

    n: int
    never: int
    delay_s: Spread | None


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What was shown of the vehicles against what was so.

    judged_s: vehicle seconds. wrong_s: of those, beyond the tolerances, with another state; `wrong_by_state`
    says which. unknown_s: beyond the tolerances, shown as unknown: that is no claim, so it is not wrong.
    false_offline, false_online: episodes.
    """

    judged_s: float = 0.0
    wrong_s: float = 0.0
    unknown_s: float = 0.0
    false_offline: int = 0
    false_online: int = 0
    delays: dict[str, Noticed] = {}
    wrong_by_state: dict[str, float] = {}
    tolerances: Tolerances = Tolerances()


class Distance(msgspec.Struct, frozen=True):
    """How far a shown position is from the true one, m."""

    n: int
    p50_m: float
    p95_m: float
    max_m: float


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The live view: over all, by the age of the shown position, and over time (seconds, p50 m, p95 m, n)."""

    overall: Distance | None = None
    by_age: dict[str, Distance] = {}
    over_time: list[tuple[float, float, float, int]] = []
    problem: str | None = None


class Air(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in one direction, by layer; `per_reading`: all layers by the readings that are stored."""

    messages: int
    payload: int
    mqtt: int
    websocket: int
    tcp_ip: int
    total: int
    per_reading: float | None
    overhead: float | None  # what is not payload, as a share of the total
    packets_measured: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How well a platform did in one run."""

    began_at: datetime
    link: str
    seed: int | None
    vehicles: int
    duration_s: float
    complete: bool  # the record of the run is whole
    readings: Account
    presence: Presence
    position: Position
    commands: Commands
    up: Air
    down: Air
    faults: dict[str, int] = {}

    @property
    def faultless(self) -> bool:
        """Whether every reading is stored once or explained."""
        return not (self.readings.unexplained or self.readings.duplicates or self.readings.altered)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are in docs/simulator.md."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        found["readings"]["unexplained"] = self.readings.unexplained
        found["faultless"] = self.faultless
        return found


def judge_presence(
    changes: Iterable[Change], shown: Mapping[str, Sequence[Shown]], until: float, allowed: Tolerances
) -> Presence:
    """All vehicles, up to a moment. A vehicle that nothing is shown of counts as unknown."""
    seconds = wrong = unknown = 0.0
    false_offline = false_online = 0
    by_state: defaultdict[str, float] = defaultdict(float)
    noticed: defaultdict[str, list[float | None]] = defaultdict(list)
    for vehicle, mine in by_vehicle(changes).items():
        wanted = goals(mine, allowed)
        seen = [Shown(float("-inf"), State.UNKNOWN, NEVER_HEARD, 0, None), *shown.get(vehicle, ())]
        verdict = presence.judge(wanted, seen, until)
        seconds += verdict.seconds
        false_offline += verdict.false_offline
        false_online += presence.false_online(wanted, seen, until)
        for what, lasted in presence.wrong_by_state(wanted, seen, until).items():
            by_state[what] += lasted
            if what.startswith(State.UNKNOWN):
                unknown += lasted
            else:
                wrong += lasted
        for delay in presence.delays(wanted, seen, until):
            noticed[delay.kind].append(delay.seconds)
    return Presence(
        judged_s=round(seconds, 1),
        wrong_s=round(wrong, 3),
        unknown_s=round(unknown, 3),
        false_offline=false_offline,
        false_online=false_online,
        delays={kind: _noticed(found) for kind, found in sorted(noticed.items())},
        wrong_by_state={
            what: round(by_state[what], 3) for what in sorted(by_state, key=by_state.__getitem__)
        },
        tolerances=allowed,
    )


def _noticed(found: Sequence[float | None]) -> Noticed:
    seen = [delay for delay in found if delay is not None]
    return Noticed(len(found), len(found) - len(seen), spread(seen))


def position(errors: Errors) -> Position:
    """The figures of the distances that were counted."""
    all_ages: Counter[int] = Counter()
    for counts in errors.counts.values():
        all_ages.update(counts)
    order = [*(name for _, name in distances.AGES), distances.OLDEST]
    return Position(
        overall=_distance(all_ages, max(errors.largest.values(), default=0.0)),
        by_age={
            age: found
            for age in order
            if (found := _distance(errors.counts.get(age, {}), errors.largest.get(age, 0.0))) is not None
        },
        over_time=errors.over_time,
        problem=errors.problem,
    )


def _distance(counts: Mapping[int, int], largest: float) -> Distance | None:
    p50, p95 = distances.quantile(counts, 0.5), distances.quantile(counts, 0.95)
    if p50 is None or p95 is None:
        return None
    return Distance(
        sum(counts.values()), round(min(p50, largest), 2), round(min(p95, largest), 2), round(largest, 2)
    )


def air(passed: Bytes, stored: int) -> Air:
    """One direction."""
    return Air(
        messages=passed.messages,
        payload=passed.payload,
        mqtt=passed.mqtt,
        websocket=passed.websocket,
        tcp_ip=passed.tcp_ip,
        total=passed.total,
        per_reading=round(passed.total / stored, 1) if stored else None,
        overhead=round(1 - passed.payload / passed.total, 4) if passed.total else None,
        packets_measured=passed.measured,
    )


class Claims(msgspec.Struct, kw_only=True):
    """What the platform says of a run, by its API; times are by the clock of the simulator's machine."""

    rows: dict[tuple[str, str], Stored] = {}  # by vehicle and boot
    ledgers: dict[tuple[str, str], Ledger] = {}
    shown: dict[str, list[Shown]] = {}
    commands: dict[str, Said] = {}
    asked_at: float = 0.0


def report(
    run: Run, boots: Iterable[Boot], happened: Sequence[Happened], claims: Claims, allowed: Tolerances
) -> Report:
    """Compare all that was recorded with all that the platform says."""
    total = Account()
    for boot in boots:
        key = boot.vehicle, boot.boot
        rows, held = claims.rows.get(key, Stored()), claims.ledgers.get(key, Ledger())
        total += account(boot, rows, held, complete=run.ended_at is not None)
    changes = [one for one in happened if isinstance(one, Change)]
    last = max((one.at for one in happened), default=run.began_at)
    return Report(
        began_at=datetime.fromtimestamp(run.began_at, UTC).replace(microsecond=0),
        link=run.link,
        seed=run.seed,
        vehicles=len(run.vehicles),
        duration_s=round((run.ended_at or last) - run.began_at, 3),
        complete=run.ended_at is not None,
        readings=total,
        presence=judge_presence(changes, claims.shown, min(claims.asked_at, run.ended_at or last), allowed),
        position=position(run.errors),
        commands=compare(happened, claims.commands, run.began_at),
        up=air(run.up, total.stored),
        down=air(run.down, total.stored),
        faults=dict(Counter(one.kind for one in happened if isinstance(one, Fault))),
    )
