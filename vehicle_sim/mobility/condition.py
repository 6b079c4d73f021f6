"""What changes slowly in a vehicle: tyre pressures and trouble codes. Pure, seeded, by time."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vehicle_sim.mobility.kinds import Kind

TYRES: Final = ("tyre_fl", "tyre_fr", "tyre_rl", "tyre_rr")
"""Wire keys of the pressures in kPa. The catalogue does not have them: they are stored as extra signals."""

_LEAK_KPA_S: Final = 7.0 / (30 * 86400)  # a good tyre loses 7 kPa a month
_PUNCTURE: Final = 0.02  # of the tyres
_PUNCTURE_KPA_S: Final = 15.0 / 3600
_PUMPED_AT: Final = 0.8  # of the cold pressure: somebody sees to it
_WARM_SHARE: Final = 0.1  # warmed up, the pressure is higher by this
_WARMING_S: Final = 900.0

# Codes of SAE J2012 that come and go. Of an engine: misfire, catalyst, mixture, evaporative leak; of any
# vehicle: 12 V supply, wheel speed sensor, lost communication.
_ENGINE: Final = ("P0300", "P0420", "P0171", "P0442")
_ANY: Final = ("P0562", "C0035", "U0100")
_FAULT_EVERY_S: Final = 12 * 3600.0
_FAULT_S: Final = (300.0, 6 * 3600.0)


class Condition:
    """The tyres and faults of one vehicle; ask in the order of time.

    Args:
        kind: for the pressure.
        seed: of what goes wrong.
        engine: whether there is one to have faults.
    """

    def __init__(self, kind: Kind, seed: int | str, *, engine: bool) -> None:
        rng = random.Random(f"{seed}:condition")  # noqa: S311 - a simulation, not a secret
        self._seed = seed
        self._drawn = 0  # faults
        self._cold_kpa = kind.tyres_kpa
        self._pressures = [kind.tyres_kpa * rng.uniform(0.93, 1.03) for _ in TYRES]
        self._leaks = [_PUNCTURE_KPA_S if rng.random() < _PUNCTURE else _LEAK_KPA_S for _ in TYRES]
        self._warmth = 0.0  # 0 cold, 1 after a long drive
        self._t_s = 0.0
        self._codes = (*_ANY, *_ENGINE) if engine else _ANY
        self._faults: dict[str, float] = {}  # code -> when it clears
        self._next_fault_s = rng.expovariate(1.0 / _FAULT_EVERY_S)

    def pass_to(self, t_s: float, *, driving: bool) -> None:
        """Let time pass; `driving` since the last call."""
        dt = t_s - self._t_s
        self._t_s = t_s
        self._warmth += ((1.0 if driving else 0.0) - self._warmth) * -math.expm1(-dt / _WARMING_S)
        for i, leak in enumerate(self._leaks):
            self._pressures[i] -= leak * dt
            if self._pressures[i] < self._cold_kpa * _PUMPED_AT:
                self._pressures[i], self._leaks[i] = self._cold_kpa, _LEAK_KPA_S
        while self._next_fault_s <= t_s:
            began = self._next_fault_s
            self._drawn += 1
            # One for each fault: a generator that is kept for the next day has 2.5 KiB.
            rng = random.Random(f"{self._seed}:fault:{self._drawn}")  # noqa: S311 - as above
            self._faults[rng.choice(self._codes)] = began + rng.uniform(*_FAULT_S)
            self._next_fault_s = began + rng.expovariate(1.0 / _FAULT_EVERY_S)
        self._faults = {code: end for code, end in self._faults.items() if end > t_s}

    def tyres(self) -> dict[str, float]:
        """The pressures in kPa by wire key, higher when the tyres are warm."""
        factor = 1.0 + _WARM_SHARE * self._warmth
        return {key: round(kpa * factor, 1) for key, kpa in zip(TYRES, self._pressures, strict=True)}

    def codes(self) -> list[str]:
        """The trouble codes that are set, sorted."""
        return sorted(self._faults)
