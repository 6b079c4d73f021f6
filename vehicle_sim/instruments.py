"""What a unit can say about its vehicle when it is asked: the latest reading, the doors, its own uptime."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fleetcell.contract.commands import LocateResult, Measured, PingResult

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCKED: Final = "locked"  # no signal of the catalogue: it is stored with the extra ones


@dataclass(slots=True)
class Instruments:
    """The instruments of one vehicle since its last power-up; `now` is in seconds of a monotonic clock."""

    began: float = 0.0
    signals: Mapping[str, object] = field(default_factory=dict)  # of the latest reading
    read_at: float = 0.0
    time_ms: int = 0  # how that reading is dated
    locked: bool | None = None  # None: nobody has locked or unlocked it yet

    def power_up(self, now: float) -> None:
        """A new boot: nothing is measured yet."""
        self.began = now
        self.signals = {}

    def up_ms(self, at: float) -> int:
        """The uptime at a moment."""
        return max(0, round((at - self.began) * 1000))

    def read(self, time_ms: int, signals: Mapping[str, object], now: float) -> Mapping[str, object]:
        """A reading was made; gives it with the state of the doors, once that was set."""
        if self.locked is not None:
            signals = {**signals, LOCKED: self.locked}
        self.signals, self.time_ms, self.read_at = signals, time_ms, now
        return signals

    def measured(self, now: float) -> dict[str, Measured]:
        """The signals of the latest reading, with their age."""
        age_s = now - self.read_at
        return {key: Measured(value, age_s) for key, value in self.signals.items()}

    def position(self) -> LocateResult | None:
        """Where the vehicle is; None: the latest reading has no position."""
        lat, lon = _number(self.signals.get("lat")), _number(self.signals.get("lon"))
        if lat is None or lon is None:
            return None
        at = datetime.fromtimestamp(self.time_ms / 1000, UTC)
        heading, speed = _number(self.signals.get("heading")), _number(self.signals.get("speed"))
        return LocateResult(lat, lon, at, heading, speed)

    def about(self, boot: str, next_seq: int, now: float) -> PingResult:
        """The answer to `ping`."""
        return PingResult(boot, next_seq, round(now - self.began, 3))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
