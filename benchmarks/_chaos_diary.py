"""What one schedule looked like from outside, moment by moment: it tells why a violation came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleetcell.contract import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from benchmarks._chaos_units import UnitReport

LINES: Final = 60  # of each log


class Diary:
    """How the units and the register changed, and what the processes logged meanwhile.

    Args:
        logs: the processes' log files; what they hold by now is of earlier schedules.
    """

    def __init__(self, logs: Iterable[Path]) -> None:
        self.lines: list[str] = []
        self.stood_s = 0.0  # the longest time in which this process did nothing
        self._begun = {log: log.stat().st_size if log.exists() else 0 for log in logs}
        self._seen: dict[tuple[str, str], str] = {}

    def note(self, at_s: float, who: str, what: str, how: str) -> None:
        """It is so now; written down where it was otherwise before."""
        if self._seen.get((who, what)) != how:
            self._seen[who, what] = how
            self.lines.append(f"{at_s:+.2f} s {who}: {what} {how}")

    def look(
        self, at_s: float, reports: Mapping[str, UnitReport], rows: Iterable[Mapping[str, object]]
    ) -> None:
        """How the units say they are, and the register holds them, `at_s` seconds after all was whole."""
        for name, report in reports.items():
            link = report.problem or ("registered" if report.registered else "no problem")
            state = "gone" if report.gone else "asleep" if report.asleep else link
            self.note(at_s, name, "is", f"in epoch {report.epoch}, {state}")
            left = sum(map(ledger.count, (*report.pending.values(), *report.undeclared.values())))
            self.note(at_s, name, "has", f"{left} readings to deliver")
        for row in rows:
            shown = f"{row['state']} ({row['reason']}), epoch {row['epoch']}"
            self.note(at_s, str(row["vehicle"]), "is shown", shown)

    def logged(self) -> list[str]:
        """The last lines of each log since the schedule began."""
        found = []
        for log, begun in self._begun.items():
            if log.exists():
                with log.open("rb") as file:
                    file.seek(begun)
                    lines = file.read().decode(errors="replace").splitlines()
                found += [f"{log.stem}| {line}" for line in lines[-LINES:]]
        return found
