"""The clock of a unit: it drifts until it is set again, and sometimes it is very wrong. Pure, seeded.

Two errors are known from the field: a unit whose clock lost its battery begins at 1970, and a receiver whose
firmware knows no later GPS week counts 1,024 weeks too few.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WEEK_ROLLOVER_MS: Final = 1024 * 7 * 86_400_000


class Jump(StrEnum):
    """How a clock is very wrong."""

    EPOCH = "1970"  # counts from 1970-01-01 00:00 UTC
    WEEK_ROLLOVER = "rollover"  # 1,024 weeks behind


@dataclass(frozen=True, slots=True)
class ClockErrors:
    """How bad clocks are; each one draws its own.

    drift_ppm: from and to, in microseconds a second.
    set_every_s: how often the network sets it, 0: never.
    jump_every_s: mean time from one jump to the next, 0: none; after `jump_s` the clock is right again.
    jumps: which ones.
    """

    drift_ppm: tuple[float, float] = (-40.0, 40.0)
    set_every_s: float = 3600.0
    jump_every_s: float = 0.0
    jump_s: tuple[float, float] = (20.0, 300.0)
    jumps: tuple[Jump, ...] = (Jump.EPOCH, Jump.WEEK_ROLLOVER)


FAULTY: Final = ClockErrors(jump_every_s=6 * 3600.0)


class DeviceClock:
    """One clock; ask it in the order of time. The same errors and seed give the same clock."""

    def __init__(self, errors: ClockErrors, seed: int | str) -> None:
        self._errors = errors
        rng = random.Random(f"{seed}:clock")  # noqa: S311 - a simulation, not a secret
        self._rng = rng
        self._drift = rng.uniform(*errors.drift_ppm) * 1e-6
        self._set_s = rng.uniform(-errors.set_every_s, 0.0)
        self._jump: Jump | None = None
        self._jumped_s = 0.0
        self._change_s = self._next_jump(0.0)

    def read(self, t_s: float, true_ms: int) -> int:
        """What it shows, in ms since 1970: `t_s` seconds after it began, when the time is `true_ms`."""
        errors = self._errors
        while t_s >= self._change_s:
            changed = self._change_s
            if self._jump is None:
                self._jump = self._rng.choice(errors.jumps)
                self._change_s = changed + self._rng.uniform(*errors.jump_s)
                self._jumped_s = changed
            else:
                self._jump = None
                self._set_s = changed
                self._change_s = self._next_jump(changed)
        if self._jump is Jump.EPOCH:
            return round((t_s - self._jumped_s) * 1000)
        if errors.set_every_s > 0:
            self._set_s += (t_s - self._set_s) // errors.set_every_s * errors.set_every_s
        shown = true_ms + round(self._drift * (t_s - self._set_s) * 1000)
        return shown - WEEK_ROLLOVER_MS if self._jump is Jump.WEEK_ROLLOVER else shown

    def _next_jump(self, after_s: float) -> float:
        if self._errors.jump_every_s <= 0 or not self._errors.jumps:
            return float("inf")
        return after_s + self._rng.expovariate(1.0 / self._errors.jump_every_s)
