"""The scores of runs as the tables of docs/simulator.md.

fleetcell sim run --vehicles 200 --duration 600 --seed 5 --link lte --score --json > lte.json
python -m benchmarks._score_table lte.json [--write]

With --write the scores are kept in docs/scores, each in place of an earlier one of its name, and the tables
are made of all that are there.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks._documents import put
from vehicle_sim.links import PROFILES
from vehicle_sim.score.readings import Account  # noqa: TC001 - msgspec reads it at run time
from vehicle_sim.score.report import Air, Position, Presence  # noqa: TC001 - likewise

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "simulator.md"
SCORES: Final = ROOT / "docs" / "scores"
BEGIN, END = "<!-- scores: begin -->\n", "<!-- scores: end -->\n"
ORDER: Final = tuple(PROFILES)
READINGS: Final = ("link", "run", "made", "stored", "twice", "lost", "evicted", "pending", "unexplained")
SHOWN: Final = (
    "link", "false offline", "false online", "wrong state", "outage shown, p50 / max", "position, p50 / p95",
    "a reading, up", "down", "overhead up",
)  # fmt: skip


class Judged(msgspec.Struct):
    """What of a report the table is made of."""

    began_at: datetime
    link: str
    readings: Account
    presence: Presence
    position: Position
    up: Air
    down: Air


class Figures(msgspec.Struct):
    """What `sim run --score --json` printed."""

    vehicles: int
    duration_s: float
    seed: int | None
    report: Judged


def document(found: Sequence[Figures]) -> str:
    """Both tables; profiles in the order of docs/links.md, then traces by name."""
    ordered = sorted(found, key=lambda one: (_place(one.report.link), one.report.link))
    readings = [_readings(one) for one in ordered]
    shown = [_shown(one) for one in ordered]
    return f"{_table(READINGS, readings)}\n\n{_table(SHOWN, shown)}\n"


def _place(link: str) -> int:
    return ORDER.index(link) if link in ORDER else len(ORDER)


def plain(link: str) -> str:
    """A trace without the folders that its file was in."""
    return f"trace:{link.removeprefix('trace:').rpartition('/')[2]}" if link.startswith("trace:") else link


def _readings(one: Figures) -> list[str]:
    of = one.report.readings
    numbers = (of.made, of.stored, of.duplicates, of.lost, of.evicted, of.pending, of.unexplained)
    on = f"{one.report.began_at:%Y-%m-%d}"
    return [
        f"`{plain(one.report.link)}`",
        f"{one.vehicles:,} vehicles, {one.duration_s:,.0f} s, seed {one.seed}, {on}",
        *(f"{number:,}" for number in numbers),
    ]


def _shown(one: Figures) -> list[str]:
    presence, position = one.report.presence, one.report.position.overall
    share = 100 * presence.wrong_s / presence.judged_s if presence.judged_s else 0.0
    return [
        f"`{plain(one.report.link)}`",
        f"{presence.false_offline:,}",
        f"{presence.false_online:,}",
        f"{presence.wrong_s:,.1f} s ({share:.3f} %)",
        _outages(presence),
        "none shown" if position is None else f"{position.p50_m:,.1f} / {position.p95_m:,.1f} m",
        _bytes(one.report.up),
        _bytes(one.report.down),
        "" if one.report.up.overhead is None else f"{100 * one.report.up.overhead:.0f} %",
    ]


def _outages(presence: Presence) -> str:
    """The kind that was noticed last of all, for it is the bound."""
    seen = [
        found.delay_s
        for kind, found in presence.delays.items()
        if kind.startswith("away: ") and found.delay_s is not None
    ]
    if not seen:
        return "none"
    slowest = max(seen, key=lambda delay: delay.max)
    return f"{slowest.p50:.1f} / {slowest.max:.1f} s"


def _bytes(way: Air) -> str:
    return "" if way.per_reading is None else f"{way.per_reading:,.0f} B"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read(paths: Sequence[Path]) -> list[Figures]:
    """The scores in these files.

    Raises:
        ValueError: a file is none; the message names it.
    """
    found = []
    for path in paths:
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Figures))
        except msgspec.MsgspecError as error:
            raise ValueError(f"{path} is not what `sim run --score --json` prints: {error}") from error
    return found


def keep(paths: Sequence[Path], folder: Path = SCORES) -> list[Path]:
    """Keep scores in a folder, without what names the machine; all that are there then."""
    folder.mkdir(exist_ok=True)
    for path in paths:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        found["truth"] = None
        found["report"]["link"] = plain(found["report"]["link"])
        (folder / path.name).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return sorted(folder.glob("*.json"))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks._score_table")
    parser.add_argument("files", type=Path, nargs="+", help="what `fleetcell sim run --score --json` printed")
    parser.add_argument("--write", action="store_true", help="into docs/simulator.md, too")
    options = parser.parse_args(arguments)
    text = document(read(options.files))
    if options.write:
        text = document(read(keep(options.files)))
        put(text, DOCUMENT, BEGIN, END)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
