"""The score as rows of a table: what, how much, with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vehicle_sim.score.readings import Account
    from vehicle_sim.score.report import Air, Distance, Position, Presence, Report
    from vehicle_sim.score.statistics import Spread

Row = tuple[str, str]


def rows(report: Report) -> list[Row]:
    """All of it; what did not happen is left out where 0 is no news."""
    found = [
        ("link", report.link),
        *_readings(report.readings),
        *_presence(report.presence),
        *_position(report.position),
    ]
    commands = report.commands
    if commands.received or commands.not_received:
        found.append(
            (
                "commands received / answered / agreed",
                f"{commands.received:,} / {commands.answered:,} / {commands.agreed:,}",
            )
        )
        if commands.to_unit_s is not None:
            found.append(("  time to the unit", _spread(commands.to_unit_s)))
        wrong = commands.differing + commands.unknown + commands.not_received
        found.append(("  differing, unknown or never received", f"{wrong:,}"))
    found += [("uplink", _air(report.up)), ("downlink", _air(report.down))]
    found += [(f"fault: {kind}", f"{count:,}") for kind, count in sorted(report.faults.items())]
    if not report.complete:
        found.append(("the record is cut off", "the simulator was killed before the end"))
    return found


def _readings(found: Account) -> Iterator[Row]:
    yield "readings made", f"{found.made:,}" + (f" ({found.events:,} of them events)" if found.events else "")
    yield "  stored", f"{found.stored:,}"
    yield "  stored twice", f"{found.duplicates:,}"
    yield "  lost", f"{found.lost:,}"
    yield "  pending at the unit", f"{found.pending:,}"
    yield "  unexplained", f"{found.unexplained:,}"
    for name, count in (
        ("evicted, the spool was full", found.evicted),
        ("dead-lettered", found.dead_lettered),
        ("torn with the power", found.torn),
        ("quarantined, of those stored", found.quarantined),
        ("never made, but stored", found.invented),
        ("contradicted by the ledger", found.contradicted),
        ("sent again and stored once", found.arrived_again),
    ):
        if count:
            yield f"  {name}", f"{count:,}"
    yield "  with other values than made", f"{found.altered:,} of {found.compared:,} compared"


def _presence(found: Presence) -> Iterator[Row]:
    yield "false offline / false online", f"{found.false_offline:,} / {found.false_online:,} episodes"
    share = 100 * found.wrong_s / found.judged_s if found.judged_s else 0.0
    yield "wrong state", f"{found.wrong_s:,.1f} s of {found.judged_s:,.0f} vehicle s ({share:.3f} %)"
    if found.unknown_s:
        yield "  shown as unknown", f"{found.unknown_s:,.1f} s"
    for kind, noticed in found.delays.items():
        text = _spread(noticed.delay_s) if noticed.delay_s else "none seen"
        never = f", {noticed.never:,} never" if noticed.never else ""
        yield f"  until shown, {kind}", f"{text}, n {noticed.n:,}{never}"


def _position(found: Position) -> Iterator[Row]:
    if found.problem is not None:
        yield "live view", found.problem
    if found.overall is None:
        if found.problem is None:
            yield "position error of the live view", "no position was shown"
        return
    yield "position error of the live view", _distance(found.overall)
    for age, distance in found.by_age.items():
        yield f"  {age} old", _distance(distance)


def _distance(found: Distance) -> str:
    return f"p50 {found.p50_m:,.1f} m, p95 {found.p95_m:,.1f} m, max {found.max_m:,.1f} m, n {found.n:,}"


def _spread(found: Spread) -> str:
    return f"p50 {found.p50:,.2f} s, p95 {found.p95:,.2f} s, max {found.max:,.2f} s"


def _air(found: Air) -> str:
    each = "no reading stored" if found.per_reading is None else f"{found.per_reading:,.0f} B a reading"
    return (
        f"{each}; {found.total:,} B: payload {found.payload:,}, MQTT {found.mqtt:,}, "
        f"WebSocket {found.websocket:,}, TCP/IP {found.tcp_ip:,}"
    )
