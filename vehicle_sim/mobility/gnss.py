"""What a satellite receiver makes of a true position: noise, drift between houses, outages. Pure, seeded.

The error has a white part and a part that drifts (a Gauss-Markov process of first order for each axis), as
satellites and reflections change slowly. Where there is no sky the receiver first reckons on, worse each
second, then gives no position.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from vehicle_sim.roads.geodesy import metres_per_degree

_RECKONED_S: Final = 8.0
_WORSE_MS: Final = 4.0  # a second of reckoning
_WORSE_UP: Final = 1.5  # than along a horizontal axis
_BOX_KMH: Final = 60.0  # streets with lower limits lie between houses


@dataclass(frozen=True, slots=True)
class GnssErrors:
    """How good a receiver is; standard deviations in metres a horizontal axis, times in seconds.

    white_m: from reading to reading; drift_m: the slow part in the open, `street_m` between houses, both
    with the correlation time `drift_s`.
    outage_every_s: mean time between outages without a visible cause, 0 for none; they take `outage_s`.
    """

    white_m: float = 0.8
    drift_m: float = 1.5
    street_m: float = 5.0
    drift_s: float = 60.0
    outage_every_s: float = 3600.0
    outage_s: tuple[float, float] = (5.0, 45.0)


class Fix(NamedTuple):
    """A position in degrees, the accuracy in m that the receiver claims, and how far it is too high in m."""

    lat: float
    lon: float
    acc_m: float
    up_m: float


class Gnss:
    """One receiver. The same seed and calls give the same fixes."""

    def __init__(self, errors: GnssErrors, seed: int | str) -> None:
        self._errors = errors
        self._rng = random.Random(f"{seed}:gnss")  # noqa: S311 - a simulation, not a secret
        self._outages = random.Random(f"{seed}:outages")  # noqa: S311 - likewise; by time, not by readings
        self._east_m = self._rng.gauss(0.0, errors.drift_m)
        self._north_m = self._rng.gauss(0.0, errors.drift_m)
        self._blind_s = 0.0
        self._begin_s, self._end_s = self._next_outage(0.0)

    def fix(
        self, t_s: float, dt_s: float, lat: float, lon: float, limit_kmh: float, *, tunnel: bool
    ) -> Fix | None:
        """The fix at `t_s`, `dt_s` after the last one; None when the receiver has none."""
        errors, rng = self._errors, self._rng
        sigma = errors.street_m if limit_kmh < _BOX_KMH else errors.drift_m
        kept = math.exp(-dt_s / errors.drift_s)
        fresh = sigma * math.sqrt(1.0 - kept * kept)
        self._east_m = self._east_m * kept + rng.gauss(0.0, fresh)
        self._north_m = self._north_m * kept + rng.gauss(0.0, fresh)
        while t_s >= self._end_s:
            self._begin_s, self._end_s = self._next_outage(self._end_s)
        blind = tunnel or t_s >= self._begin_s
        self._blind_s = self._blind_s + dt_s if blind else 0.0
        if self._blind_s > _RECKONED_S:
            return None
        east = self._east_m + rng.gauss(0.0, errors.white_m)
        north = self._north_m + rng.gauss(0.0, errors.white_m)
        kx, ky = metres_per_degree(lat)
        accuracy = math.hypot(sigma, errors.white_m) * math.sqrt(2) + _WORSE_MS * self._blind_s
        # Heights come from the same signals, and are worse: all satellites are above.
        return Fix(lat + north / ky, lon + east / kx, accuracy, _WORSE_UP * (east + north) / math.sqrt(2))

    def _next_outage(self, after_s: float) -> tuple[float, float]:
        if self._errors.outage_every_s <= 0:
            return math.inf, math.inf
        begin = after_s + self._outages.expovariate(1.0 / self._errors.outage_every_s)
        return begin, begin + self._outages.uniform(*self._errors.outage_s)
